"""What users ask for, one module per command."""
