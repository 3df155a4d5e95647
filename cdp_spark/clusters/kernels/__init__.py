"""Arithmetic of clusters, on arrays."""
