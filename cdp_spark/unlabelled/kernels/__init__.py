"""Arithmetic of clustering without labels, on arrays."""
