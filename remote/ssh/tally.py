"""How many bytes a connection carried, told now and then: some hosts bill them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.ssh.sock import WatchedSocket

NOTE_EVERY_S = 30.0
Note = Callable[[int, int], None]
"""Takes bytes that went to the box, and bytes that came from it, since the last time. It must not raise."""


class Tally:
    """Counts one socket from its first byte on. Every byte is told once, whoever asks for it to be told."""

    def __init__(self, sock: WatchedSocket, note: Note, every_s: float = NOTE_EVERY_S) -> None:
        self._sock = sock
        self._note = note
        self._every_s = every_s
        self._lock = threading.Lock()
        self._told = (0, 0)
        self._told_at = time.monotonic()

    def tick(self) -> None:
        """Tell what was carried, if it is time to."""
        if time.monotonic() - self._told_at >= self._every_s:
            self.tell()

    def tell(self) -> None:
        """Tell what was carried since the last time."""
        with self._lock:
            sent, received = self._sock.sent_bytes, self._sock.received_bytes
            news = (sent - self._told[0], received - self._told[1])
            self._told, self._told_at = (sent, received), time.monotonic()
        if any(news):
            self._note(*news)
