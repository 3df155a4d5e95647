"""Estimate the cost of a run, before any work."""
