"""Labelled embeddings to a mediator."""
