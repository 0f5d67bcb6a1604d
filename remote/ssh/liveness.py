"""Notice a peer that stopped answering. paramiko's own keepalive never does: it sends and expects nothing back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import paramiko

    from remote.ssh.sock import WatchedSocket

PING_AFTER_SILENCE_S = 3.5
LOST_AFTER_SILENCE_S = 8.0
"""With what was still on its way, a dead connection is noticed within ten seconds, on a busy machine too."""
TICK_S = 0.25
BACKLOG_BYTES = 32 * 1024
"""With more than this unsent, a ping waits behind data; the peer's taking of that data is the sign of life then."""


class Watchdog:
    """Watches one connection: pings when it is silent, declares it lost, closes channels past their deadline."""

    def __init__(self, wire: paramiko.Transport, sock: WatchedSocket, on_lost: Callable[[str], None]) -> None:
        self._wire = wire
        self._sock = sock
        self._on_lost = on_lost
        self.on_tick: Callable[[], None] | None = None
        """Called four times a second while the connection lives."""
        self._stopped = threading.Event()
        self._ask = threading.Event()
        self._answers = threading.Condition()
        self._answer_count = 0
        self._round_trip_s = 0.0
        self._deadlines: dict[object, tuple[float, Callable[[], object]]] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin watching."""
        threading.Thread(target=self._watch, name="ssh-watchdog", daemon=True).start()
        threading.Thread(target=self._ping_when_asked, name="ssh-ping", daemon=True).start()

    def stop(self) -> None:
        """End both threads; waiting pings return."""
        self._stopped.set()
        self._ask.set()
        with self._answers:
            self._answers.notify_all()

    def ping(self, timeout_s: float) -> float | None:
        """One round trip in seconds; None when no answer came in time."""
        with self._answers:
            goal = self._answer_count + 1
            self._ask.set()
            self._answers.wait_for(lambda: self._answer_count >= goal or self._stopped.is_set(), timeout_s)
            return self._round_trip_s if self._answer_count >= goal else None

    @contextmanager
    def deadline(self, timeout_s: float, close: Callable[[], object]) -> Iterator[None]:
        """Call `close` if the block has not ended after `timeout_s`: for paramiko's waits that know no limit."""
        key = object()
        with self._lock:
            self._deadlines[key] = (time.monotonic() + timeout_s, close)
        try:
            yield
        finally:
            with self._lock:
                self._deadlines.pop(key, None)

    def _watch(self) -> None:
        woke_at = heard_at = time.monotonic()
        taken_bytes = backlog = 0
        while not self._stopped.wait(TICK_S):
            if self.on_tick is not None:
                self.on_tick()
            now = time.monotonic()
            if now - woke_at > 1.0 + TICK_S:
                heard_at = now  # this process itself slept; its peer gets the full time to answer again
            woke_at = now
            previous_taken, previous_backlog = taken_bytes, backlog
            backlog = self._sock.unacknowledged_bytes()
            taken_bytes = self._sock.sent_bytes - backlog
            if previous_backlog >= BACKLOG_BYTES and taken_bytes > previous_taken:
                heard_at = now
            heard_at = max(heard_at, self._sock.last_heard_at)
            self._close_overdue(now)
            if not self._wire.is_active():
                self._on_lost("the box hung up")
                return
            if now - heard_at >= LOST_AFTER_SILENCE_S:
                self._on_lost(f"the box has not answered for {now - heard_at:.0f} s")
                return
            if now - heard_at >= PING_AFTER_SILENCE_S:
                self._ask.set()

    def _close_overdue(self, now: float) -> None:
        with self._lock:
            overdue = [key for key, (at, _close) in self._deadlines.items() if at <= now]
            closes = [self._deadlines.pop(key)[1] for key in overdue]
        for close in closes:
            threading.Thread(target=close, name="ssh-overdue", daemon=True).start()

    def _ping_when_asked(self) -> None:
        import paramiko

        while True:
            self._ask.wait()
            self._ask.clear()
            if self._stopped.is_set():
                return
            began = time.monotonic()
            try:
                self._wire.global_request("keepalive@openssh.com", wait=True)
            except (paramiko.SSHException, EOFError, OSError):
                return
            if not self._wire.is_active():
                return
            with self._answers:
                self._answer_count += 1
                self._round_trip_s = time.monotonic() - began
                self._answers.notify_all()
