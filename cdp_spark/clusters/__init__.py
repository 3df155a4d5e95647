"""Step 5, clusters: forest, connected components, pruning or agglomeration, numbering."""
