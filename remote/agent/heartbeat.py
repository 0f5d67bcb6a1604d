"""The laptop's heartbeat on a box: whatever it says to the agent counts."""

from __future__ import annotations

import os
import time
from pathlib import Path

HEARTBEAT_EVERY_S = 1.0


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
