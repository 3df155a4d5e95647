"""Arithmetic of explanations, on arrays."""
