"""The user's tables (embeddings, labels, pictures) and their sizes."""
