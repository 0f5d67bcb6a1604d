"""A slow or lossy line in user space, between sockets that are connected already: round trip, bandwidth and loss.

Delays are real time. Bandwidth is shared by all connections of a line, each way for itself. A connection's first bytes
are late by the handshake that loopback did in no time. A lost packet shows as what TCP makes of it: a pause of one
retransmission time, in order. One thread moves all bytes; at 200 Mbit/s it takes some per cent of a core.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Self

READ_BYTES = 65536
LEAST_READ_BYTES = 1448
SLICE_S = 0.004
"""What is read at once lasts at most this long on the line, so that connections take turns."""
QUEUE_BYTES = 262144
"""What a router in front of the line would hold, per connection."""
RETRANSMIT_S = 0.2
PACKET_BYTES = 1448


class Line:
    """A line without a listener: `join` puts it between two connected sockets, which are its own from then on."""

    def __init__(self, *, rtt_ms: float = 0, mbit_per_s: float = 0, loss: float = 0, seed: int = 0) -> None:
        """A line that delays nothing until it is told to; 0 Mbit/s is no limit, `loss` a share of packets."""
        self._rtt_s = rtt_ms / 1000
        self._loss = loss
        self._draw = Random(seed)  # noqa: S311 - a reproducible draw is the point
        self._bytes_per_s = mbit_per_s * 1e6 / 8
        in_flight = self._bytes_per_s * self._rtt_s
        self._limit_bytes = int(in_flight) + QUEUE_BYTES if in_flight else 4 * QUEUE_BYTES
        self._read_bytes = READ_BYTES
        if self._bytes_per_s:
            self._read_bytes = int(min(READ_BYTES, max(LEAST_READ_BYTES, self._bytes_per_s * SLICE_S)))
        self._up, self._down = _Lane(self._bytes_per_s), _Lane(self._bytes_per_s)
        self._selector = selectors.DefaultSelector()
        self._wake_end, self._woken_end = socket.socketpair()
        self._woken_end.setblocking(False)
        self._selector.register(self._woken_end, selectors.EVENT_READ, self._take_in)
        self._asked: deque[Callable[[], None]] = deque()
        self._heads: list[tuple[float, int, _Direction]] = []
        self._order = itertools.count()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)
        self._thread.start()

    @property
    def sent_up_bytes(self) -> int:
        """Delivered from clients to the server."""
        return self._up.delivered_bytes

    @property
    def sent_down_bytes(self) -> int:
        """Delivered from the server to clients."""
        return self._down.delivered_bytes

    def join(self, client: socket.socket, server: socket.socket) -> None:
        """Carry what comes from one to the other, until both have ended."""
        self._ask(lambda: self._join_now(client, server))

    def listen(self, listener: socket.socket, accept: Callable[[], None]) -> None:
        """Call `accept`, in the line's own thread, whenever somebody comes to `listener`, which is the line's now."""
        self._ask(lambda: self._register(listener, accept))

    def close(self) -> None:
        """Cut every connection."""
        self._ended = True
        self._wake()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, call: Callable[[], None]) -> None:
        """Let the line's thread do something."""
        self._asked.append(call)
        self._wake()

    def _register(self, listener: socket.socket, accept: Callable[[], None]) -> None:
        self._selector.register(listener, selectors.EVENT_READ, accept)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_end.send(b"x")

    def _run(self) -> None:
        try:
            while not self._ended:
                wait_s = max(0.0, self._heads[0][0] - time.monotonic()) if self._heads else None
                for key, events in self._selector.select(wait_s):
                    if isinstance(key.data, _End):
                        key.data.handle(events)
                    else:
                        key.data()
                now = time.monotonic()
                while self._heads and self._heads[0][0] <= now:
                    heapq.heappop(self._heads)[2].deliver(now)
        finally:
            for key in list(self._selector.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()
            self._selector.close()
            self._wake_end.close()

    def _take_in(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken_end.recv(4096)
        while self._asked:
            self._asked.popleft()()

    def _join_now(self, client: socket.socket, server: socket.socket) -> None:
        now = time.monotonic()
        ends = _End(client, self._selector), _End(server, self._selector)
        up = _Direction(self, self._up, ends[0], ends[1], now + 1.5 * self._rtt_s)
        down = _Direction(self, self._down, ends[1], ends[0], now + 2 * self._rtt_s)
        ends[0].outgoing, ends[0].incoming = up, down
        ends[1].outgoing, ends[1].incoming = down, up
        for end in ends:
            end.watch()

    def _later(self, moment: float, direction: _Direction) -> None:
        heapq.heappush(self._heads, (moment, next(self._order), direction))

    def _arrival(self, lane: _Lane, size: int) -> float:
        """When `size` bytes that are put on the line now come out of it."""
        moment = lane.departure(size) + self._rtt_s / 2
        if self._loss:
            packets = math.ceil(size / PACKET_BYTES)
            if self._draw.random() < 1 - (1 - self._loss) ** packets:
                moment += RETRANSMIT_S + self._rtt_s
        return moment


class _Lane:
    """One way of a line: when it is free again."""

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self.delivered_bytes = 0

    def departure(self, size: int) -> float:
        start = max(self._free_at, time.monotonic())
        self._free_at = start + (size / self._bytes_per_s if self._bytes_per_s else 0.0)
        return self._free_at


class _End:
    """One of the two sockets of a connection."""

    outgoing: _Direction
    incoming: _Direction

    def __init__(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._selector = selector
        self._events = 0

    def watch(self) -> None:
        """Look for what can go on now; both directions ask for it after each change."""
        wanted = selectors.EVENT_READ if self.outgoing.may_read else 0
        wanted |= selectors.EVENT_WRITE if self.incoming.blocked else 0
        if wanted == self._events or self.sock.fileno() < 0:
            return
        if not self._events:
            self._selector.register(self.sock, wanted, self)
        elif not wanted:
            self._selector.unregister(self.sock)
        else:
            self._selector.modify(self.sock, wanted, self)
        self._events = wanted

    def handle(self, events: int) -> None:
        if events & selectors.EVENT_READ and self.sock.fileno() >= 0:
            self.outgoing.read()
        if events & selectors.EVENT_WRITE and self.sock.fileno() >= 0:
            self.incoming.deliver(time.monotonic())

    def close(self) -> None:
        if self._events:
            self._selector.unregister(self.sock)
            self._events = 0
        self.sock.close()


class _Direction:
    """Bytes on their way from one end to the other, in order."""

    def __init__(self, line: Line, lane: _Lane, source: _End, sink: _End, not_before: float) -> None:
        self._line = line
        self._lane = lane
        self._source = source
        self._sink = sink
        self._latest = not_before
        self._queue: deque[tuple[float, memoryview]] = deque()
        self._held_bytes = 0
        self._source_ended = False
        self.ended = False
        self.blocked = False

    @property
    def may_read(self) -> bool:
        """Whether the line takes more."""
        return not self._source_ended and self._held_bytes < self._line._limit_bytes

    def read(self) -> None:
        if not self.may_read:
            return
        try:
            data = self._source.sock.recv(self._line._read_bytes)
        except BlockingIOError:
            return
        except OSError:
            self._cut()
            return
        if not data:
            self._source_ended = True
        self._latest = max(self._latest, self._line._arrival(self._lane, len(data)))
        self._queue.append((self._latest, memoryview(data)))
        self._held_bytes += len(data)
        if len(self._queue) == 1:
            self._line._later(self._latest, self)
        self._source.watch()

    def deliver(self, now: float) -> None:
        """Hand over what has arrived; the rest waits for its time, or for the receiver."""
        if self.ended:
            return
        self.blocked = False
        while self._queue and self._queue[0][0] <= now:
            moment, data = self._queue[0]
            if not data.nbytes:
                self._end()
                return
            try:
                sent = self._sink.sock.send(data)
            except BlockingIOError:
                self.blocked = True
                break
            except OSError:
                self._cut()
                return
            self._held_bytes -= sent
            self._lane.delivered_bytes += sent
            if sent < data.nbytes:
                self._queue[0] = (moment, data[sent:])
                self.blocked = True
                break
            self._queue.popleft()
        if self._queue and not self.blocked:
            self._line._later(self._queue[0][0], self)
        self._source.watch()
        self._sink.watch()

    def _end(self) -> None:
        self.ended = True
        self._queue.clear()
        with contextlib.suppress(OSError):
            self._sink.sock.shutdown(socket.SHUT_WR)
        if self._sink.outgoing.ended:
            self._cut()
        else:
            self._sink.watch()

    def _cut(self) -> None:
        for each in (self, self._sink.outgoing):
            each.ended = True
            each._source_ended = True
            each._queue.clear()
        self._source.close()
        self._sink.close()
