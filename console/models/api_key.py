"""What a key of an account looks like, before it is written anywhere."""

from __future__ import annotations

import re

from console.errors import WrongInput

SHORTEST, LONGEST = 16, 512


class SecretWrong(WrongInput):
    """What was given cannot be a key; the text never holds it."""


def checked_key(value: str) -> str:
    """A key without the blanks that copying adds.

    Raises:
        SecretWrong: it cannot be one.
    """
    value = value.strip()
    if not re.fullmatch(r"[!-~]+", value) or any(sign in value for sign in "\"'#\\$="):
        raise SecretWrong("a key has no blanks, quotes or other signs: copy it again from the account's page")
    if not SHORTEST <= len(value) <= LONGEST:
        raise SecretWrong(f"a key has at least {SHORTEST} characters, this has {len(value)}: copy all of it")
    return value
