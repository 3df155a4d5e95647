"""Small networks that score pairs and clusters: forward pass, files, cross-fitting. Training is elsewhere."""
