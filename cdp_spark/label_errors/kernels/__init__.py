"""Arithmetic of label errors, on arrays."""
