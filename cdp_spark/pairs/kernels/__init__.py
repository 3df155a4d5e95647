"""Arithmetic of candidate pairs, on arrays."""
