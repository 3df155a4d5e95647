"""Step 1, embeddings: checked, normalised, numbered; rows that cannot be used go to the quarantine."""
