"""Step 1, embeddings: check, normalise and number them; put unusable rows into quarantine."""
