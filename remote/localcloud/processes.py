"""Processes by identity, and the end of everything that an emulated instance started."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

BOX_VARIABLE = "SPOTTER_BOX"
"""In the environment of a box and of everything that it starts: the instance's directory."""
SWEEP_LIMIT_S = 5.0
START_TOLERANCE_S = 0.5


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process id with its start time, so that a recycled id is not taken for the same process."""

    pid: int
    created_at: float

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """The identity of a living process. Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process, unless it ended (a zombie has ended)."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.created_at) < START_TOLERANCE_S
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process() is not None


def processes_of(directory: Path) -> list[psutil.Process]:
    """Living processes that carry `directory`, or a directory below it, as their instance's mark."""
    prefix = str(directory)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mark = process.environ().get(BOX_VARIABLE)
            if mark is None or not (mark == prefix or mark.startswith(f"{prefix}/")):
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def end_instance(directory: Path, box: ProcessIdentity | None) -> None:
    """Kill a box and everything that was ever started in it, however detached.

    The box adopts orphans of its commands (it is a subreaper), so its descendants are all of them, also those that
    dropped their environment; where the system has no subreapers, or the box was killed first, the mark in the
    environment finds them. The box is frozen meanwhile, so that it starts nothing new.
    """
    server = box.process() if box is not None else None
    if server is not None:
        _signal(server, signal.SIGSTOP)
    deadline = time.monotonic() + SWEEP_LIMIT_S
    while time.monotonic() < deadline:
        victims = [
            each for each in _descendants_and_marked(directory, server) if server is None or each.pid != server.pid
        ]
        if not victims:
            break
        for victim in victims:
            _signal(victim, signal.SIGKILL)
        psutil.wait_procs(victims, timeout=0.05)
    if server is not None:
        _signal(server, signal.SIGKILL)
        _wait_ended(server)
    for straggler in processes_of(directory):
        _signal(straggler, signal.SIGKILL)


def end_descendants(directory: Path) -> None:
    """Kill everything that this process, as the box of `directory`, started; but not this process itself."""
    own = psutil.Process()
    deadline = time.monotonic() + SWEEP_LIMIT_S
    while time.monotonic() < deadline:
        victims = [each for each in _descendants_and_marked(directory, own) if each.pid != own.pid]
        if not victims:
            return
        for victim in victims:
            _signal(victim, signal.SIGKILL)
        psutil.wait_procs(victims, timeout=0.05)


def _descendants_and_marked(directory: Path, root: psutil.Process | None) -> Iterator[psutil.Process]:
    seen = set()
    family: list[psutil.Process] = []
    if root is not None:
        with contextlib.suppress(psutil.Error):
            family = root.children(recursive=True)
    for process in (*family, *processes_of(directory)):
        with contextlib.suppress(psutil.Error):
            if process.pid not in seen and process.status() != psutil.STATUS_ZOMBIE:
                seen.add(process.pid)
                yield process


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


def _wait_ended(process: psutil.Process, limit_s: float = 2.0) -> None:
    """Until it is gone, or a zombie that its parent has yet to read."""
    deadline = time.monotonic() + limit_s
    identity = process.pid
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.Error:
            return
        time.sleep(0.005)
    raise TimeoutError(f"process {identity} survived SIGKILL")
