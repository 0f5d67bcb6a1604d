"""A moment by two clocks: the one that people set, and the one that nothing moves."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from remote.agent import process

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
