"""The user's tables as they are given: embeddings, labels, pictures; and how large they are."""
