"""Train a mediator from labelled embeddings."""
