"""Which process made a request: so that another session can tell a rental in progress from one that was killed.

Nothing here reads a clock: the start times that psutil tells move whenever the wall clock is stepped, as it is after
every sleep of a laptop, and a living owner would be taken for a dead one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from remote.agent import process


def owner_here() -> dict[str, Any]:
    """This process: its id, start and boot, and where such an id means anything."""
    return {
        "host": _host(),
        "namespace": _namespace(),
        **process.identity(os.getpid()),
        "boot": _boot(),
    }


def is_alive(owner: Mapping[str, Any]) -> bool:
    """Whether the process that `owner` names still runs, or may.

    Of another machine or container nothing can be seen from here: its processes count as living, for what they rent
    must not be destroyed under them. An earlier boot of this machine is dead.
    """
    here = owner_here()
    if not owner.get("boot") or not here["boot"] or owner.get("host") != here["host"]:
        return True
    if owner["boot"] != here["boot"]:
        return False
    if owner.get("namespace") != here["namespace"]:
        return True
    try:
        found = process.row(int(owner["pid"]))
    except (KeyError, TypeError, ValueError):
        return True
    return found is not None and not found.dead and found.start == owner.get("start")


@cache
def _host() -> str:
    """This machine; a name alone is shared by many."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        machine = ""
    return f"{socket.gethostname()} {machine}".strip()


def _boot() -> str:
    """Differs after every boot, and only then; empty where the system does not tell."""
    try:
        if sys.platform == "darwin":  # its boot time, which `process.boot_id` tells, moves with the clock
            asked = ["sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(asked, capture_output=True, timeout=10, check=False).stdout.decode().strip()
        return process.boot_id()
    except (OSError, subprocess.SubprocessError):
        return ""


def _namespace() -> str:
    """The namespace of this process's id (Linux); ids of another one are strangers."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
