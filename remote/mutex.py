"""One create at a time for an account, over all its processes, and not too soon after the one before."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from remote.clock import Clock

LOOK_AGAIN_S = 0.25


class ClaimMutex:
    """A lock file that also remembers the last create. The system drops the lock when its holder dies."""

    def __init__(self, path: Path, spacing_s: float, clock: Clock) -> None:
        self._path = path
        self._spacing_s = spacing_s
        self._clock = clock
        self._descriptor: int | None = None

    def acquire(self, waits: Callable[[], None] = lambda: None) -> None:
        """Wait for our turn, then for the spacing. `waits` is called once when somebody else's turn lasts."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        told = False
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told:
                        waits()
                        told = True
                    self._clock.sleep(LOOK_AGAIN_S)
            self._keep_distance(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Note when the create was answered, and let the next one go; on a full disk it is let go all the same."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{self._clock.time():.3f}\n".encode(), 0)
        finally:
            with suppress(OSError):
                os.close(descriptor)

    def _keep_distance(self, descriptor: int) -> None:
        text = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
        try:
            last = float(text)
        except ValueError:
            return  # a new file, or one that a killed process left half written: nothing to keep a distance from
        since_s = self._clock.time() - last
        if 0 <= since_s < self._spacing_s:
            self._clock.sleep(self._spacing_s - since_s)
