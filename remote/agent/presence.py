"""Time that no clock adjustment can move, and how long a box has been left alone by it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from remote.agent import process

HEARTBEAT_EVERY_S = 1.0
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))


@dataclass(frozen=True)
class Moment:
    """Now, by the wall and by what no adjustment moves: seconds since a boot that is named."""

    at: float
    """Unix seconds."""
    boot: str
    since_boot_s: float
    """Goes on while the machine sleeps, where the system can tell."""

    @classmethod
    def now(cls) -> Moment:
        """This moment."""
        return cls(time.time(), process.boot_id(), time.clock_gettime(_BOOT_CLOCK))

    def seconds_since(self, earlier: Moment) -> float:
        """Real seconds between two moments; by the wall clock only if the machine was booted between them."""
        if self.boot == earlier.boot:
            return self.since_boot_s - earlier.since_boot_s
        return self.at - earlier.at

    def to_json(self) -> dict[str, Any]:
        """Plain values; `Moment(**…)` reads them back."""
        return asdict(self)


class Heartbeat:
    """A file that is touched when the laptop says anything. What counts is that it changes, not what time it bears."""

    def __init__(self, root: Path) -> None:
        self._path = root / "deadman" / "heartbeat"
        self._beaten_at = -HEARTBEAT_EVERY_S
        self._seen = self._mark()

    def beat(self) -> None:
        """Note a word from the laptop; at most one write a second."""
        if time.monotonic() - self._beaten_at < HEARTBEAT_EVERY_S:
            return
        self._beaten_at = time.monotonic()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.utime(handle)
        finally:
            os.close(handle)

    def came(self) -> bool:
        """Whether the laptop said anything since the last look."""
        before, self._seen = self._seen, self._mark()
        return self._seen != before

    def _mark(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0
