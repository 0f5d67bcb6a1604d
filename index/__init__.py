"""Records in, answers out: a Chroma index with an exact ranking snapshot beside it."""
