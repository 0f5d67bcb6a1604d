"""The agent's long-lived side: requests come as frames on stdin, each answered by id on stdout, several at a time.

A laptop that comes back to a box wants the next bytes of a log before all else, so this module imports little: the
other operations are loaded by the first request for one of them, or after a second.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote.agent.frames import FrameReader, frame
from remote.agent.heartbeat import Heartbeat
from remote.agent.inside import resolve_inside
from remote.agent.logs import read_at, size_of

if TYPE_CHECKING:
    from remote.agent.operations import BoxOperations

GREETING = b'{"spotter-agent":'
IDLE_LIMIT_S = 1800.0
"""A laptop that vanished leaves its agent behind; it ends itself. Jobs do not depend on it."""
FIRST_POLL_S, LONGEST_POLL_S = 0.01, 0.1
"""How often a file that shall grow is looked at: at once while it does, seldom while it rests."""
GATHER_S, GATHER_BYTES = 0.01, 16 * 1024
"""A follower that may wait gets few bytes a moment later, with those that follow them: each answer costs both sides."""
LOOKS = frozenset({"sample", "samples"})
"""A console that only looks how busy the box is does not use it: an idle box must not live on because it is watched."""
MAX_READ_BYTES = 8 * 1024 * 1024
SETTLE_AFTER_S = 1.0

Answer = tuple[dict[str, Any], bytes]
Operation = Callable[..., Answer]


class Server:
    """The operations of one box."""

    def __init__(self, root: Path, program: Path) -> None:
        self._root = root
        self._program = program
        self._heartbeat = Heartbeat(root)
        self._loading = threading.Lock()
        self._rest: BoxOperations | None = None
        self._operations: dict[str, Operation] = {"hello": self.hello, "read": self._read, "stat": self._stat}

    def settle(self) -> None:
        """What a box needs once an agent is there: the resume script, samples, a queue that goes on."""
        self._all().settle()

    def _all(self) -> BoxOperations:
        with self._loading:
            if self._rest is None:
                from remote.agent.operations import BoxOperations

                self._rest = BoxOperations(self._root, self._program)
            return self._rest

    def _operation(self, name: str) -> Operation:
        return self._operations.get(name) or self._all().table[name]

    def answer(self, request: dict[str, Any], payload: bytes) -> bytes:
        """The frame that answers one request; a failure is an answer too. Requests are the laptop's heartbeat, but for
        looks."""
        if request.get("op") not in LOOKS:
            with contextlib.suppress(OSError):  # a full disk must not silence the agent
                self._heartbeat.beat()
        arguments = dict(request.get("with") or {})
        if payload:
            arguments["data"] = payload
        try:
            values, data = self._operation(str(request.get("op")))(**arguments)
        except Exception as error:  # noqa: BLE001 - told to the other side, by its type and text
            return frame({"id": request.get("id"), "error": {"type": type(error).__name__, "message": str(error)}})
        return frame({"id": request.get("id"), "ok": values}, data)

    def _inside(self, path: str) -> Path:
        return Path(resolve_inside(str(self._root), path))

    def hello(self) -> Answer:
        """Where this is, and what time it is there."""
        values = {
            "root": str(self._root),
            "python": ".".join(map(str, sys.version_info[:3])),
            "system": os.uname().sysname,
            "pid": os.getpid(),
            "time": time.time(),
        }
        return values, b""

    def _read(self, path: str, offset: int, max_bytes: int, wait_s: float = 0) -> Answer:
        where = self._inside(path)
        deadline = time.monotonic() + wait_s
        limit = min(max_bytes, MAX_READ_BYTES)
        pause_s = FIRST_POLL_S
        while True:
            size, data = read_at(where, offset, limit)
            left_s = deadline - time.monotonic()
            if data and len(data) < min(limit, GATHER_BYTES) and left_s > GATHER_S:
                time.sleep(GATHER_S)
                size, data = read_at(where, offset, limit)
            if data or left_s <= 0:
                return {"size": size}, data
            time.sleep(pause_s)
            pause_s = min(LONGEST_POLL_S, 1.5 * pause_s)

    def _stat(self, path: str) -> Answer:
        where = self._inside(path)
        if not where.exists():
            return {"exists": False}, b""
        found = where.stat()
        size = found.st_size if where.is_dir() else size_of(where)
        return {"exists": True, "folder": where.is_dir(), "size": size, "mtime": found.st_mtime}, b""


def serve(root: Path, program: Path) -> None:
    """Answer requests until stdin ends or nobody asked for half an hour."""
    server = Server(root, program)
    output = sys.stdout.buffer
    writing = threading.Lock()
    asked_at = [time.monotonic()]

    def send(data: bytes) -> None:
        with writing:
            output.write(data)
            output.flush()

    def work(request: dict[str, Any], payload: bytes) -> None:
        try:
            send(server.answer(request, payload))
        except OSError:
            os._exit(0)  # nobody listens any more

    def end_when_idle() -> None:
        while time.monotonic() - asked_at[0] < IDLE_LIMIT_S:
            time.sleep(10)
        os._exit(0)

    def settle() -> None:
        time.sleep(SETTLE_AFTER_S)
        server.settle()

    for task in (end_when_idle, settle):
        threading.Thread(target=task, daemon=True).start()
    send(frame({"spotter-agent": 1, **server.hello()[0]}))
    reader = FrameReader(lambda size: os.read(0, size))
    while True:
        request = reader.header()
        if request is None:
            os._exit(0)
        asked_at[0] = time.monotonic()
        payload = reader.exactly(int(request.get("payload", 0)))
        threading.Thread(target=work, args=(request, payload), daemon=True).start()
