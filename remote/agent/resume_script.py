"""`<root>/resume`: the script that a line in the container's start script runs.

It is written anew by every agent that serves, so that it always starts the newest one.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from remote.agent.files import write_atomically

SCRIPT = "resume"


def write_resume_script(root: Path, program: Path) -> None:
    """Leave `<root>/resume` for the container's start script, unless it is right."""
    command = shlex.join([sys.executable, "-E", "-S", "-u", str(program), "resume", str(root)])
    text = f"#!/bin/sh\nexec {command}\n".encode()
    path = root / SCRIPT
    if not path.exists() or path.read_bytes() != text:
        write_atomically(path, text, 0o755)
