"""What users ask for, one module or package per command."""
