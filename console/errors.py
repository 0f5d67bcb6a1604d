"""What separates a user's wrong input from everything else that can go wrong."""

from __future__ import annotations


class WrongInput(Exception):
    """Something that the operator gave cannot be worked with; commands end with exit code 2."""
