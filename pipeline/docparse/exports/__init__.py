"""The regions of a run in the formats of other tools, and their corrections back."""
