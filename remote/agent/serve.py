"""The agent's long-lived side: requests come as frames on stdin, each answered by id on stdout, several at a time."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote.agent.box_samples import BoxSamples
from remote.agent.deadman_status import deadman_status
from remote.agent.files import resolve_inside, sha256_of, write_atomically
from remote.agent.frames import FrameReader, frame
from remote.agent.jobs import Jobs
from remote.agent.logs import read_at, size_of
from remote.agent.presence import Heartbeat
from remote.agent.resume_script import write_resume_script
from remote.agent.samples import Sampler
from remote.agent.snapshot import snapshot_sqlite
from remote.agent.spec import JobSpec

GREETING = b'{"spotter-agent":'
IDLE_LIMIT_S = 1800.0
"""A laptop that vanished leaves its agent behind; it ends itself. Jobs do not depend on it."""
FIRST_POLL_S, LONGEST_POLL_S = 0.01, 0.1
"""How often a file that shall grow is looked at: at once while it does, seldom while it rests."""
GATHER_S, GATHER_BYTES = 0.01, 16 * 1024
"""A follower that may wait gets few bytes a moment later, with those that follow them: each answer costs both sides."""
MAX_READ_BYTES = 8 * 1024 * 1024

Answer = tuple[dict[str, Any], bytes]


class Server:
    """The operations of one box."""

    def __init__(self, root: Path, program: Path) -> None:
        self._root = root
        self._jobs = Jobs(root, program)
        self._box_samples = BoxSamples(root)
        self._heartbeat = Heartbeat(root)
        self._sampler = Sampler(root, self._box_samples.gpus)
        self._sampling = threading.Lock()
        self._operations: dict[str, Callable[..., Answer]] = {
            "hello": self._hello,
            "launch": lambda spec: (self._jobs.launch(JobSpec(**spec)).to_json(), b""),
            "status": lambda job: (self._jobs.status(job).to_json(), b""),
            "list": lambda: ({"jobs": [each.to_json() for each in self._jobs.all()]}, b""),
            "cancel": lambda job: (self._jobs.cancel(job).to_json(), b""),
            "read": self._read,
            "stat": self._stat,
            "sha256": lambda path: ({"sha256": sha256_of(self._inside(path))}, b""),
            "write": self._write,
            "sample": self._sample,
            "samples": lambda since, limit: ({"samples": self._box_samples.since(since, limit)}, b""),
            "deadman_status": lambda: (deadman_status(root).to_json(), b""),
            "snapshot_sqlite": self._snapshot_sqlite,
        }

    def settle(self, program: Path) -> None:
        """What a box needs once an agent is there: the resume script, samples, a queue that goes on."""
        with contextlib.suppress(OSError):  # a full disk must not keep the laptop out
            write_resume_script(self._root, program)
        self._box_samples.keep()
        threading.Thread(target=self._jobs.advance, kwargs={"wait": False}, daemon=True).start()

    def answer(self, request: dict[str, Any], payload: bytes) -> bytes:
        """The frame that answers one request; a failure is an answer too. Each request is the laptop's heartbeat."""
        with contextlib.suppress(OSError):  # a full disk must not silence the agent
            self._heartbeat.beat()
        arguments = dict(request.get("with") or {})
        if payload:
            arguments["data"] = payload
        try:
            values, data = self._operations[str(request.get("op"))](**arguments)
        except Exception as error:  # noqa: BLE001 - told to the other side, by its type and text
            return frame({"id": request.get("id"), "error": {"type": type(error).__name__, "message": str(error)}})
        return frame({"id": request.get("id"), "ok": values}, data)

    def _inside(self, path: str) -> Path:
        return Path(resolve_inside(str(self._root), path))

    def _hello(self) -> Answer:
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

    def _write(self, path: str, mode: int, data: bytes = b"") -> Answer:
        where = self._inside(path)
        write_atomically(where, data, mode)
        return {"path": str(where)}, b""

    def _sample(self) -> Answer:
        with self._sampling:
            return self._sampler.sample(), b""

    def _snapshot_sqlite(self, path: str, to: str) -> Answer:
        target = self._inside(to)
        size, sha256 = snapshot_sqlite(self._inside(path), target)
        return {"path": str(target), "size": size, "sha256": sha256}, b""


def serve(root: Path, program: Path) -> None:
    """Answer requests until stdin ends or nobody asked for half an hour."""
    server = Server(root, program)
    server.settle(program)
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

    threading.Thread(target=end_when_idle, daemon=True).start()
    send(frame({"spotter-agent": 1, **server._hello()[0]}))
    reader = FrameReader(lambda size: os.read(0, size))
    while True:
        request = reader.header()
        if request is None:
            os._exit(0)
        asked_at[0] = time.monotonic()
        payload = reader.exactly(int(request.get("payload", 0)))
        threading.Thread(target=work, args=(request, payload), daemon=True).start()
