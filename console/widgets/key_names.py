"""How keys stand on a keyboard: Textual calls `?` question_mark."""

from __future__ import annotations

from textual.keys import KEY_NAME_REPLACEMENTS, format_key, key_to_character

_LONG_NAMES = {short: long for long, short in KEY_NAME_REPLACEMENTS.items()}
"""`key_to_character` knows `solidus`, and not `slash`."""


def key_name(keys: str) -> str:
    """The first of `keys` (Textual names, comma between) as it stands on a keyboard."""
    return format_key(keys.split(",")[0])


def beside_typing(keys: str) -> str:
    """Those of `keys` that are no letter, digit or sign: in a field that is typed into, only they do something."""
    return ",".join(key for key in keys.split(",") if not (_character(key) or "\n").isprintable())


def _character(key: str) -> str | None:
    return key_to_character(_LONG_NAMES.get(key, key))


def key_names(keys: str) -> str:
    """All of `keys`, a space between."""
    return " ".join(format_key(key) for key in keys.split(",") if key)
