"""What keeps a box from being left alone: whatever of ours runs there starts a dead-man that was killed again."""

from __future__ import annotations

import select
import subprocess
import sys
import threading
import time
from pathlib import Path

from remote.agent.deadman_status import deadman_status

LOOK_EVERY_S = 5.0
START_LIMIT_S = 40.0


def keep_guarded(root: Path, program: Path) -> bool:
    """Start the dead-man if this box has an order and none lives; whether it was started.

    Raises:
        OSError, subprocess.SubprocessError: it could not be started.
    """
    if not (root / "deadman" / "order.json").exists() or deadman_status(root).alive:
        return False
    # Its own lock keeps it single. A program of its own, since a fork of a process with threads may hang.
    argv = [sys.executable, "-E", "-S", "-u", str(program), "deadman", str(root)]
    subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        timeout=START_LIMIT_S,
        check=True,
    )
    return True


def keep_guarded_for_ever(root: Path, program: Path) -> None:
    """Look every five seconds, in a thread of its own for as long as this process lives."""

    def keep() -> None:
        while True:
            _look(root, program)
            time.sleep(LOOK_EVERY_S)

    threading.Thread(target=keep, name="guard", daemon=True).start()


def keep_guarded_until(life: int, root: Path, program: Path) -> None:
    """Look every five seconds until the other end of the pipe `life` is closed."""
    while True:
        _look(root, program)
        ended, _, _ = select.select([life], [], [], LOOK_EVERY_S)
        if ended:
            return


def _look(root: Path, program: Path) -> None:
    try:
        keep_guarded(root, program)
    except Exception as error:  # noqa: BLE001 - no files or memory left for a moment: the next look tries again
        print(f"the dead-man could not be started again: {error}", file=sys.stderr, flush=True)
