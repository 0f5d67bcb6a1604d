"""When a log line was written and how grave it is, read from its first characters only: this runs for every line."""

from __future__ import annotations

import re
import time
from datetime import datetime
from enum import IntEnum

HEAD = 200
"""Characters of a line that are looked at; a megabyte on one line costs no more than a short one."""
HALF_DAY_S = 43_200.0

_ISO = re.compile(r"\[?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ?(Z|[+-]\d\d:?\d\d)?")
_CLOCK = re.compile(r"\[?(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?![\d:])")
_EPOCH = re.compile(r"\[?(1\d{9})(?:\.(\d{1,9})|(\d{3}))?(?!\d)")
_GRAVE = re.compile(
    r"(?P<error>\b(?:ERROR|CRITICAL|FATAL|EMERG)\b|\b(?:error|fatal|failed|panic):|✗ "
    r"|^Traceback \(most recent call last|^(?:[A-Za-z_]\w*\.)*\w*(?:Error|Exception)(?::|$)|\b[1-9]\d{0,8} failed\b)"
    r"|(?P<warning>\bWARN(?:ING)?\b|\bwarning:|\b\w{1,40}Warning:)"
    r"|(?P<debug>\b(?:DEBUG|TRACE)\b)"
)
_HINTS = ("err", "warn", "fail", "debug", "trace", "except", "fatal", "critical", "emerg", "panic", "✗")
"""A line without any of these needs no pattern, which takes twenty times as long."""


class Level(IntEnum):
    """How grave a line is; what says nothing about itself is ordinary."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


_LEVELS = {"error": Level.ERROR, "warning": Level.WARNING, "debug": Level.DEBUG}


def level_of(line: str) -> Level:
    """The level that a line names, or that its words give away: a traceback, `error:`, `2 failed`."""
    head = line[:HEAD].lower()
    for hint in _HINTS:
        if hint in head:
            break
    else:
        return Level.INFO
    found = _GRAVE.search(line, 0, HEAD)
    return _LEVELS[found.lastgroup] if found is not None and found.lastgroup is not None else Level.INFO


class StampReader:
    """Reads the time at the start of lines; remembers the last second, since neighbours mostly share it."""

    def __init__(self) -> None:
        self._seen = ""
        self._base = 0.0

    def read(self, line: str, arrived: float) -> float | None:
        """Unix seconds, or None where the line starts with no time.

        A time without a zone is this machine's local time; a clock without a date is of the last 24 hours before
        `arrived`, with half a day of grace for clocks that run ahead.
        """
        first = line[:1]
        if first != "[" and not ("0" <= first <= "9"):
            return None
        if found := _ISO.match(line):
            day, clock, fraction, zone = found.groups()
            key = f"{day}T{clock}{zone or ''}"
            if key != self._seen:
                try:
                    self._base = datetime.fromisoformat(key).timestamp()
                except (ValueError, OverflowError, OSError):  # 2026-99-99 is text, no time
                    return None
                self._seen = key
            return self._base + _fraction(fraction)
        if found := _CLOCK.match(line):
            key = found.group(0)[:9] + str(int(arrived // 3600))
            if key != self._seen:
                base = clock_time(int(found[1]), int(found[2]), int(found[3]), arrived)
                if base is None:
                    return None
                self._base, self._seen = base, key
            return self._base + _fraction(found[4])
        if found := _EPOCH.match(line):
            return float(found[1]) + (_fraction(found[2]) if found[2] else int(found[3] or 0) / 1000)
        return None


def clock_time(hour: int, minute: int, second: int, near: float) -> float | None:
    """The moment, local time, when the clock showed this last before `near` (half a day of grace); None if it can't."""
    if hour > 23 or minute > 59 or second > 60:
        return None
    day = time.localtime(near)

    def showed(days: int) -> float:
        """So many days from that day on; a day on which clocks are put on or back is not one of 24 hours."""
        return time.mktime((day.tm_year, day.tm_mon, day.tm_mday + days, hour, minute, second, 0, 0, -1))

    moment = showed(0)
    if moment > near + HALF_DAY_S:
        return showed(-1)
    if moment < near - HALF_DAY_S:
        later = showed(1)
        return later if later <= near + 60.0 else moment
    return moment


def _fraction(digits: str | None) -> float:
    return float(f"0.{digits}") if digits else 0.0
