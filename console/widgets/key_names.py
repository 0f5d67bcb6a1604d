"""How keys stand on a keyboard: Textual calls `?` question_mark."""

from __future__ import annotations

from textual.keys import format_key


def key_name(keys: str) -> str:
    """The first of `keys` (Textual names, comma between) as it stands on a keyboard."""
    return format_key(keys.split(",")[0])


def key_names(keys: str) -> str:
    """All of `keys`, a space between."""
    return " ".join(format_key(key) for key in keys.split(",") if key)
