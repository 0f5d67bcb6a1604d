"""Models that see: their checkpoints, and how each is loaded and run."""
