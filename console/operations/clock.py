"""The time of a session: this machine's, or the emulated marketplace's, whose hours may be shorter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from remote.clock import SYSTEM_CLOCK


class SessionClock:
    """A `remote.clock.Clock` whose waits can be cut short from another thread.

    Until a marketplace was started in `state_dir` (None: there is never one), its time is this machine's.
    """

    def __init__(self, state_dir: Path | None, wait: Callable[[float], None]) -> None:
        """`wait` spends real seconds, and may raise."""
        self._state_dir = state_dir
        self._wait = wait

    def time(self) -> float:
        """Unix seconds."""
        return SYSTEM_CLOCK.time() + self._ahead_s

    def at(self, here: float) -> float:
        """Unix seconds at a moment of this machine (unix seconds too); a marketplace's if it went on at this pace."""
        return self.time() - (SYSTEM_CLOCK.time() - here) * self._speed

    def monotonic(self) -> float:
        """Seconds since some moment; a marketplace's clock is never set back."""
        return self.time() if self._state_dir is not None else SYSTEM_CLOCK.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let that many of its seconds pass."""
        self._wait(seconds / self._speed)

    @property
    def _ahead_s(self) -> float:
        from remote.localcloud.clock import VirtualTime

        formula = None if self._state_dir is None else VirtualTime.read(self._state_dir)
        return 0.0 if formula is None else formula.now() - SYSTEM_CLOCK.time()

    @property
    def _speed(self) -> float:
        from remote.localcloud.clock import VirtualTime

        formula = None if self._state_dir is None else VirtualTime.read(self._state_dir)
        return 1.0 if formula is None else formula.speed
