"""Synthetic pages: every element is drawn by itself too, so boxes and masks are exact."""
