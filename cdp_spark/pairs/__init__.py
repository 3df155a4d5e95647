"""Step 3, candidate pairs: the block join, which brings both ends of a pair and their neighbours together."""
