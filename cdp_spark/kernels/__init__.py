"""Mathematics on NumPy arrays; nothing in this folder imports Spark."""
