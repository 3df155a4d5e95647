"""Numerics that several steps share: dense numbering, float16, vector instructions, hashes."""
