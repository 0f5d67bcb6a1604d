"""Time, handed in: the machine's own, or the emulated marketplace's, in which an hour may pass in a second."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What everything in `remote` that waits or bills asks for the time."""

    def time(self) -> float:
        """Unix seconds: what bills and rows are written in."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, never set back: what limits are measured in."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let that many of its seconds pass."""
        ...


class SystemClock:
    """This machine's time."""

    def time(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
