"""vast.ai: its HTTP surface, and its words turned into ours."""
