"""alt+1 … alt+0 as a terminal sends them: Textual takes them for the signs that a Mac's option key makes, `¡` for 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS


@dataclass(frozen=True, slots=True)
class NamedKey:
    """What Textual's table of sequences holds of a key."""

    value: str
    """Its name."""


def tell_alt_digits() -> None:
    """Let escape and a digit be alt and the digit, in fields too; a sign that is typed as itself stays one."""
    table = cast(dict[str, Any], ANSI_SEQUENCES_KEYS)
    for digit in "1234567890":
        table[f"\x1b{digit}"] = (NamedKey(f"alt+{digit}"),)
