"""Compare clusters with labels: metrics, coverage, and many thresholds at once."""
