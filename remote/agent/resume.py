"""After a restart of the container: the dead-man guards again, and jobs go on as their specs allow."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from remote.agent import deadman
from remote.agent.jobs import Jobs, note_status
from remote.agent.own_cloud import SECRET_NAMES


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
    for status in jobs.all():
        if status.state == "lost":
            message = "the container was restarted while it ran, and its spec does not let it begin again"
            note_status(jobs.folder(status.id), state="lost", ended_at=time.time(), message=message)
    jobs.advance()
