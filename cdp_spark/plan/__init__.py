"""What a run will cost, before any work."""
