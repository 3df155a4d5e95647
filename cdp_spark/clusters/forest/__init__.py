"""The maximum spanning forest of the scored pairs, its components and its merges."""
