"""The `grounding-dino` detector: raw boxes with a score for every phrase, from pages in batches of one size."""
