"""Arithmetic of the KNN graph, on arrays."""
