"""Clusters against labels: metrics, coverage, and many thresholds at once."""
