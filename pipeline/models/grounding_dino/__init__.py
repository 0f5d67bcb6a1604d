"""Grounding DINO: boxes for phrases, by two implementations that load the same published weights."""
