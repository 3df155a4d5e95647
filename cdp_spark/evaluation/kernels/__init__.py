"""Arithmetic of evaluation, on arrays."""
