"""After a restart of the container: the dead-man guards again, and jobs go on as their specs allow.

`<root>/resume` is the script that a line in the container's start script runs. It is written anew by every agent that
serves, so that it always starts the newest one.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

from remote.agent import deadman, process
from remote.agent.attempts import begins_again_after_loss
from remote.agent.files import write_atomically
from remote.agent.jobs import UNSUPERVISED_STATES, Jobs, note_status, queued, read_json, read_spec
from remote.agent.own_cloud import SECRET_NAMES
from remote.agent.queueing import Queue

SCRIPT = "resume"


def write_resume_script(root: Path, program: Path) -> None:
    """Leave `<root>/resume` for the container's start script, unless it is right."""
    command = shlex.join([sys.executable, "-E", "-S", "-u", str(program), "resume", str(root)])
    text = f"#!/bin/sh\nexec {command}\n".encode()
    path = root / SCRIPT
    if not path.exists() or path.read_bytes() != text:
        write_atomically(path, text, 0o755)


def resume(root: Path, program: Path) -> None:
    """Start the dead-man if it was armed, then whatever was running or waiting when the container ended."""
    if (root / "deadman" / "order.json").exists():
        try:
            deadman.start(root, program)
        except OSError as error:
            print(f"the dead-man guards nothing: {error}", file=sys.stderr, flush=True)
    for name in SECRET_NAMES:
        os.environ.pop(name, None)
    jobs = Jobs(root, program)
    with Queue(root).alone():
        for folder in jobs.folders():
            _settle(root, folder)
    jobs.advance()


def _settle(root: Path, folder: Path) -> None:
    """A job whose supervisor is gone: queue it anew where its spec says so, else say that it is lost."""
    values = read_json(folder / "status.json")
    if values is None or values["state"] in UNSUPERVISED_STATES or process.alive(values["supervisor"]):
        return
    spec = read_spec(folder)
    attempt = int(values.get("attempt", 1))
    if (folder / "cancel").exists():
        note_status(folder, state="cancelled", ended_at=time.time(), message="the container was restarted meanwhile")
    elif begins_again_after_loss(spec, attempt):
        (folder / "claim").rmdir()
        begun = {**queued(root, folder, spec, attempt + 1), "message": "the container was restarted"}
        write_atomically(folder / "status.json", json.dumps(begun).encode())
    else:
        message = "the container was restarted while it ran, and its spec does not let it begin again"
        note_status(folder, state="lost", ended_at=time.time(), message=message, survivors=[])
