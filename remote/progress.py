"""How everything in `remote` that lasts tells its caller how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of something that lasts; `total` is None while it is unknown."""

    phase: str
    message: str
    done: float = 0
    total: float | None = None
    unit: str = ""


Report = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """The default report: tells nobody."""
