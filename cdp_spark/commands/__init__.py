"""What users ask for: one module per command that no single room answers."""
