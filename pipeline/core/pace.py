"""Pace: no more requests and tokens a minute than the server allows, by what is set and by what its answers say."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

BURST_S = 6.0
"""So much of a minute's allowance may be used at once."""
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class _Bucket:
    """A token bucket: fills steadily, holds a burst, and may be overdrawn by one large request at a time."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._rate = per_minute / 60
        self._size = max(1.0, self._rate * BURST_S)
        self._level = self._size
        self._at = now

    def wait_s(self, now: float) -> float:
        """Seconds until something may be taken."""
        self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._level > 0 else -self._level / self._rate + 1e-3

    def take(self, amount: float) -> None:
        self._level -= amount


class Pace:
    """When the next request may be sent. Thread-safe."""

    def __init__(
        self,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._set = {"requests": requests_per_minute, "tokens": tokens_per_minute}
        now = clock()
        self._buckets = {name: _Bucket(limit, now) for name, limit in self._set.items() if limit is not None}
        self._learnt: dict[str, float] = {}

    def admit(self, tokens: int) -> float:
        """0 and the request counts as sent, or seconds after which to ask again."""
        with self._lock:
            now = self._clock()
            wait_s = max([self._not_before - now, *(bucket.wait_s(now) for bucket in self._buckets.values())])
            if wait_s > 0:
                return wait_s
            for name, bucket in self._buckets.items():
                bucket.take(1 if name == "requests" else tokens)
            return 0.0

    def hold(self, seconds: float) -> None:
        """The server wants nothing for so long."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take in what an answer's headers say of limits, where nothing is set, and of what remains."""
        with self._lock:
            now = self._clock()
            for name in ("requests", "tokens"):
                limit = _number(headers.get(f"x-ratelimit-limit-{name}"))
                if limit and self._set[name] is None and self._learnt.get(name) != limit:
                    self._learnt[name] = limit
                    self._buckets[name] = _Bucket(limit, now)
                remaining = _number(headers.get(f"x-ratelimit-remaining-{name}"))
                reset_s = span_s(headers.get(f"x-ratelimit-reset-{name}", ""))
                if remaining is not None and remaining <= 0 and reset_s:
                    self._not_before = max(self._not_before, now + reset_s)


def span_s(text: str) -> float | None:
    """Seconds of a span such as `6m0s`, `20ms` or `1.5s`; None for anything else."""
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: `retry-after-ms`, or `retry-after` as seconds or as a date (RFC 9110)."""
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(milliseconds) / 1000)
        if (text := headers.get("retry-after")) is None:
            return None
        if text.strip().replace(".", "", 1).isdigit():
            return float(text)
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
