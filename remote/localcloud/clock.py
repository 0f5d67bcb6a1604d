"""The marketplace's own time, in which an hour may pass in a second: the formula, its file, and a clock for clients.

    virtual now = origin_virtual + (monotonic now - origin_monotonic) * speed + advanced

The machine's monotonic clock is one for all its processes, and nobody sets it back: a bill that was read once is never
read smaller because the wall clock was corrected in between.

The daemon alone moves the time; everybody else reads the formula from the state folder, so that asking for it is no
call. What the marketplace delays or bills is in virtual seconds; SSH, processes and links take the time that they take.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from remote.localcloud.files import read_json, write_json
from remote.localcloud.whereabouts import Whereabouts

NAME = "clock.json"
ADVANCE_LIMIT_S = 120.0


class ClockUnreachable(Exception):
    """The marketplace that owns this clock does not run or does not answer."""


REBOOT_GAP_S = 60.0
"""Where wall and monotonic clock have drifted apart by more, the machine was off or asleep."""


@dataclass(frozen=True, slots=True)
class VirtualTime:
    """The formula. Moments are seconds: unix, virtual or real, or of the monotonic clock, as their names say."""

    origin_virtual: float
    origin_real: float
    origin_monotonic: float
    speed: float
    advanced_s: float = 0.0

    @classmethod
    def starting(cls, virtual: float, speed: float) -> VirtualTime:
        """It is `virtual` now."""
        return cls(virtual, time.time(), time.monotonic(), speed)

    def now(self) -> float:
        """Virtual unix seconds."""
        return self.origin_virtual + (time.monotonic() - self.origin_monotonic) * self.speed + self.advanced_s

    def advanced(self, seconds: float) -> VirtualTime:
        """The same, so many virtual seconds later."""
        return replace(self, advanced_s=self.advanced_s + seconds)

    def resumed(self, speed: float) -> VirtualTime:
        """The same now, from here on at this speed; through a reboot, by the wall clock."""
        real_s = time.time() - self.origin_real
        passed_s = time.monotonic() - self.origin_monotonic
        if abs(real_s - passed_s) > REBOOT_GAP_S:
            passed_s = max(0.0, real_s)
        return VirtualTime.starting(self.origin_virtual + passed_s * self.speed + self.advanced_s, speed)

    def write(self, state_dir: Path) -> None:
        """Publish, for clients and for the next daemon of this state folder."""
        write_json(state_dir / NAME, asdict(self), durable=False)

    @classmethod
    def read(cls, state_dir: Path) -> VirtualTime | None:
        """What the daemon published last; None before the first one started."""
        value = read_json(state_dir / NAME)
        return None if value is None else cls(**value)


class MarketClock:
    """A `remote.clock.Clock` of the marketplace in a state folder. Threads and processes may share the marketplace.

    With `stepping`, a sleep makes the marketplace jump to its end, which costs milliseconds of real time. Sleeps of
    several threads overlap like real ones: each ends when the marketplace has reached its own moment.
    """

    def __init__(self, state_dir: Path, *, stepping: bool = False) -> None:
        self._state_dir = state_dir
        self._stepping = stepping
        self._lock = threading.Lock()
        self._read_stamp: tuple[int, int] | None = None
        self._formula: VirtualTime | None = None
        self._latest = 0.0

    def time(self) -> float:
        """Virtual unix seconds.

        Raises:
            ClockUnreachable: no marketplace was ever started here.
        """
        return self._virtual().now()

    def monotonic(self) -> float:
        """Virtual seconds that are never set back."""
        now = self.time()
        with self._lock:
            self._latest = max(self._latest, now)
            return self._latest

    def sleep(self, seconds: float) -> None:
        """Let so many virtual seconds pass; with `stepping`, everything that they bring has happened afterwards.

        Raises:
            ClockUnreachable: stepping, and the marketplace does not answer.
        """
        if seconds <= 0:
            return
        if self._stepping:
            self.advance_to(self.time() + seconds)
        else:
            time.sleep(seconds / self._virtual().speed)

    def advance(self, seconds: float) -> float:
        """Jump so many virtual seconds ahead; returns the virtual time then. Raises ClockUnreachable."""
        return self._post({"advance_s": seconds})

    def advance_to(self, moment: float) -> float:
        """Jump to a virtual moment, if it is still to come; returns the virtual time then. Raises ClockUnreachable."""
        return self._post({"until": moment})

    def _virtual(self) -> VirtualTime:
        """The formula, read anew when the daemon has replaced its file."""
        try:
            status = (self._state_dir / NAME).stat()
        except FileNotFoundError as error:
            raise ClockUnreachable(f"no marketplace was ever started in {self._state_dir}") from error
        stamp = (status.st_ino, status.st_mtime_ns)
        with self._lock:
            if self._formula is None or stamp != self._read_stamp:
                self._formula = VirtualTime.read(self._state_dir)
                self._read_stamp = stamp
            assert self._formula is not None
            return self._formula

    def _post(self, body: dict[str, float]) -> float:
        where = Whereabouts.read(self._state_dir)
        if where is None or not where.identity.alive:
            raise ClockUnreachable(f"the marketplace of {self._state_dir} does not run: start it, then step its clock")
        request = urllib.request.Request(  # noqa: S310 (our own loopback address)
            f"{where.url}/_emu/clock",
            method="POST",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {where.api_key}"},
        )
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=ADVANCE_LIMIT_S) as answer:
                return float(json.loads(answer.read())["now"])
        except (OSError, urllib.error.URLError, ValueError) as error:
            raise ClockUnreachable(f"the marketplace at {where.url} does not step its clock: {error}") from error
