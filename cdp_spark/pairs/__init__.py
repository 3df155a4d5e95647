"""Step 3, candidate pairs: the block join brings both ends of a pair and their neighbours together."""
