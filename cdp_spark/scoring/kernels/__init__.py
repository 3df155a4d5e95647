"""Arithmetic of scoring, on arrays."""
