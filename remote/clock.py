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
SLICE_S = 0.25


class UncutClock:
    """Another clock whose waits nothing cuts short: for clean-ups, of which each pause must be slept to its end.

    A clock that raises in `sleep`, as that of a console that was told to end does, is waited out in real time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def time(self) -> float:
        """Unix seconds."""
        return self._clock.time()

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass: of the other clock, or real ones where those come sooner."""
        over, really_over = self.monotonic() + seconds, SYSTEM_CLOCK.monotonic() + seconds
        try:
            self._clock.sleep(seconds)
        except KeyboardInterrupt:
            while (left_s := min(over - self.monotonic(), really_over - SYSTEM_CLOCK.monotonic())) > 0:
                SYSTEM_CLOCK.sleep(min(SLICE_S, left_s))
