"""How often each endpoint of vast.ai may be asked, and who makes every caller of an account wait its turn."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from remote.clock import SYSTEM_CLOCK, Clock

FARTHEST_TURN_S = 600.0
"""A turn further away than this is a clock that was set back, not a queue: it is forgotten."""

LONGEST_FILE_BYTES = 65536
LONGEST_HOLD_S = 60.0
"""Whoever asks for longer is refused again: better than a call that hangs without a word."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint as vast.ai counts calls."""

    name: str
    method: str
    path: re.Pattern[str]
    interval_s: float
    """The least time between two calls."""
    penalty_s: float = 0.0
    """The least time after a call that was refused for coming too early."""


def _endpoint(name: str, method: str, path: str, interval_s: float, penalty_s: float = 0.0) -> Endpoint:
    return Endpoint(name, method, re.compile(path.replace("{id}", r"\d+") + "/?$"), interval_s, penalty_s)


ENDPOINTS = (
    _endpoint("search", "POST", "/bundles", 6.0),
    _endpoint("search", "PUT", "/search/asks", 6.0),
    _endpoint("create", "PUT", "/asks/{id}", 4.5, penalty_s=12.0),
    _endpoint("list", "GET", "/api/v1/instances", 1.0),
    _endpoint("show", "GET", "/instances/{id}", 2.0),
    _endpoint("change", "PUT", "/instances/{id}", 1.0),
    _endpoint("reboot", "PUT", "/instances/reboot/{id}", 1.0),
    _endpoint("recycle", "PUT", "/instances/recycle/{id}", 1.0),
    _endpoint("destroy", "DELETE", "/instances/{id}", 3.0),
    _endpoint("attach_key", "POST", "/instances/{id}/ssh", 1.0),
    _endpoint("attached_keys", "GET", "/instances/{id}/ssh", 1.0),
    _endpoint("logs", "PUT", "/instances/request_logs/{id}", 1.0),
    _endpoint("user", "GET", "/users/current", 1.0),
    _endpoint("charges", "GET", "/charges", 1.0),
)
"""What we call, with the minimum intervals that vast.ai publishes (`x-rate-limit` of its OpenAPI description, 2026-08).

Searches are published as ten a minute. For attached_keys, logs and user nothing is published: one second is ours.
"""


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """The endpoint that a call counts for; None for one that is not the API's."""
    return next((each for each in ENDPOINTS if each.method == method and each.path.search(path)), None)


class Pacer:
    """Hands out turns: each call of an endpoint gets the first moment that keeps its interval to the one before.

    Turns are reserved and then waited for, so callers queue up without holding anything. With a file, all processes of
    the account share them: two consoles do not ask in step. Threads may share a pacer.
    """

    def __init__(self, shared_file: Path | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._file = shared_file
        self._clock = clock
        self._next: dict[str, float] = {}
        self._mutex = Lock()

    def wait(self, endpoint: Endpoint) -> float:
        """Sleep until it is this call's turn; returns the seconds slept."""
        with self._turns() as turns:
            now = self._clock.time()
            turn = turns.get(endpoint.name, now)
            if not 0 < turn - now < FARTHEST_TURN_S:
                turn = now
            turns[endpoint.name] = turn + endpoint.interval_s
        waiting_s = turn - now
        if waiting_s > 0:
            self._clock.sleep(waiting_s)
        return waiting_s

    def hold(self, endpoint: Endpoint, seconds: float) -> None:
        """No call of this endpoint for so long: the cloud said that the last one came too early."""
        with self._turns() as turns:
            now = self._clock.time()
            least = now + min(max(seconds, endpoint.penalty_s), LONGEST_HOLD_S)
            turns[endpoint.name] = max(turns.get(endpoint.name, 0.0), least)

    @contextmanager
    def _turns(self) -> Iterator[dict[str, float]]:
        """The next free moment of each endpoint (unix seconds), to be read and changed by one caller at a time."""
        descriptor = self._locked()
        if descriptor is None:
            with self._mutex:
                yield self._next
            return
        try:
            turns = _read(descriptor)
            yield turns
            with suppress(OSError):  # at worst another console calls too early, and is refused
                text = json.dumps(turns).encode()
                os.pwrite(descriptor, text, 0)
                os.ftruncate(descriptor, len(text))
        finally:
            with suppress(OSError):
                os.close(descriptor)

    def _locked(self) -> int | None:
        """The shared file, ours alone until it is closed; None without one, or where none can be kept.

        A full or foreign disk must stop no destroy.
        """
        if self._file is None:
            return None
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor


def account_file(api_key: str) -> Path:
    """Where the processes of this user keep one account's turns; the name tells nothing of the key."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "spotter" / f"turns-{hashlib.sha256(api_key.encode()).hexdigest()[:16]}.json"


def _read(descriptor: int) -> dict[str, float]:
    """The file's turns; none when it is empty, or was cut short by a full disk: at worst a call comes too early."""
    try:
        value = json.loads(os.pread(descriptor, LONGEST_FILE_BYTES, 0))
        return {str(name): float(at) for name, at in value.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
