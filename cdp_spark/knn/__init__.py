"""Step 2, KNN graphs: exact search of small sets, cells and neighbours of neighbours for large ones."""
