"""Arithmetic of the networks, on arrays."""
