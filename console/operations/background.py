"""Commands started beside the app: they outlive it, and leave their words in a log."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from console.workspace import Workspace

LOGS_KEPT = 50


@dataclass(frozen=True, slots=True)
class Beside:
    """A command that runs in a session of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def last_line(self) -> str:
        """The last thing it said."""
        try:
            lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        except FileNotFoundError:
            return ""
        return lines[-1] if lines else ""


def start_beside(workspace: Workspace, arguments: list[str]) -> Beside:
    """Start `spotter ARGUMENTS` on this workspace, detached from the terminal."""
    folder = workspace.state / "console"
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.log"))[:-LOGS_KEPT]:
        old.unlink(missing_ok=True)
    log = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{arguments[0]}-{time.monotonic_ns() % 1_000_000}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "console", "-C", str(workspace.root), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Beside(process, log)
