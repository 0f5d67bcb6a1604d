"""How the long operations of `index` tell where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One moment of a long operation."""

    phase: str
    message: str
    done: float = 0
    total: float | None = None
    unit: str = ""


Report = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Report to nobody."""
