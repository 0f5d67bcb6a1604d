"""The wish to stop: SIGTERM or SIGINT finish what is in flight, a second one does not wait for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignal:
    """Counts requests to stop; has a `fileno` that becomes readable with the first, so that a wait can end early."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self.requests = 0

    def __bool__(self) -> bool:
        return self.requests > 0

    @property
    def urgent(self) -> bool:
        """Asked twice: what is in flight may be dropped."""
        return self.requests > 1

    def fileno(self) -> int:
        """Readable after a request that was not drained yet."""
        return self._read

    def drain(self) -> None:
        """Make the descriptor unreadable until the next request."""
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            return

    def request(self) -> None:
        """Ask to stop; safe in a signal handler and from another thread."""
        self.requests += 1
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            return

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Route SIGTERM and SIGINT here; only in the main thread."""

        def handle(number: int, frame: FrameType | None) -> None:
            self.request()

        before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
