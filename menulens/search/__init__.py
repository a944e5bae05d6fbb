"""Vectors in, photos out: the index, its store, and the pages that show the result."""
