"""Arithmetic of agglomeration, on arrays."""
