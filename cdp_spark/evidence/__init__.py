"""Explain why two items are, or are not, in one cluster."""
