"""Which processes live, beyond doubt: a process id alone may belong to a stranger or to a zombie."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

helpers: set[int] = set()
"""Processes that this one runs for itself, which are no part of any job."""
ON_LINUX = sys.platform.startswith("linux")
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Row:
    """One process as the kernel tells it; `start` differs between two processes that had the same id."""

    pid: int
    parent: int
    group: int
    state: str
    start: str

    @property
    def dead(self) -> bool:
        """A zombie counts as dead: nobody reaps them in many containers."""
        return self.state[:1] in ("Z", "X")


def boot_id() -> str:
    """Differs after every boot."""
    if ON_LINUX:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return _output(["sysctl", "-n", "kern.boottime"]).strip()


def row(pid: int) -> Row | None:
    """One process, or None."""
    if ON_LINUX:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text[text.rindex(")") + 2 :].split()
        return Row(pid, int(fields[1]), int(fields[2]), fields[0], fields[19])
    return next((each for each in _from_ps(["-p", str(pid)])), None)


def table() -> list[Row]:
    """Every process."""
    if ON_LINUX:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names, not paths
        return [found for found in map(row, pids) if found is not None]
    return _from_ps(["-ax"])


def identity(pid: int) -> dict[str, Any]:
    """What names this very process until the end of time."""
    found = row(pid)
    return {"boot": boot_id(), "pid": pid, "start": found.start if found else ""}


def alive(known: Mapping[str, Any] | None) -> bool:
    """Whether the process with this identity still runs."""
    if not known or known.get("boot") != boot_id():
        return False
    found = row(int(known["pid"]))
    return found is not None and not found.dead and found.start == known["start"]


def descendants(pid: int) -> list[int]:
    """Living processes below `pid`, at any depth."""
    children: dict[int, list[Row]] = {}
    for each in table():
        children.setdefault(each.parent, []).append(each)
    found: list[int] = []
    open_ends = [pid]
    while open_ends:
        for child in children.get(open_ends.pop(), ()):
            open_ends.append(child.pid)
            if not child.dead:
                found.append(child.pid)
    return found


def marked(name: str, value: str) -> list[int]:
    """Living processes that were started with `name=value` in their environment, where the system tells (Linux)."""
    if not ON_LINUX:
        return []
    mark = f"{name}={value}".encode()
    found = []
    for each in table():
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            if not each.dead and mark in Path(f"/proc/{each.pid}/environ").read_bytes().split(b"\0"):
                found.append(each.pid)
    return found


def send_signal(pids: Iterable[int], number: int) -> None:
    """Signal each; those that ended meanwhile are no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def adopt_orphans() -> bool:
    """Make this process the parent of all orphans below it (Linux); False where the system cannot."""
    if not ON_LINUX:
        return False
    import ctypes

    return bool(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def _from_ps(which: list[str]) -> list[Row]:
    rows = []
    for line in _output(["ps", *which, "-o", "pid=,ppid=,pgid=,state=,lstart="]).splitlines():
        words = line.split(None, 4)
        if len(words) == 5:
            rows.append(Row(int(words[0]), int(words[1]), int(words[2]), words[3], words[4]))
    return rows


def _output(argv: list[str]) -> str:
    return subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10, check=False
    ).stdout.decode()
