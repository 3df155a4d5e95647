"""Clusters as training lists."""
