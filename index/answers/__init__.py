"""Answers from the index, each claim with a citation that was checked."""
