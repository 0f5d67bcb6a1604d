"""Work of a step that lasts, as a job of the box: it goes on when the connection breaks, and is joined again."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from remote.bootstrap.box import Box
from remote.bootstrap.steps import LAST_LINES, StepHopeless
from remote.jobs import JobSpec, JobStatus
from remote.progress import Progress
from remote.transport import CommandFailed, CommandTimeout

HOPELESS_EXIT = 64
"""How a program says that trying again is no use; `box_environment` and `box_fetch` know the same number."""

PROGRESS_MARK = "spotter-progress "
"""Begins a line of a program's output that tells how far it is, as JSON of `Progress`."""

GRACE_S = 5.0


def run_program(box: Box, python: str, module: ModuleType, spec: Mapping[str, Any], env: Mapping[str, str]) -> None:
    """Run the source of `module` on the box with `spec`, telling its progress, to a good end.

    The same program with the same spec that still runs there, from a bootstrap that was cut off, is joined.

    Raises:
        StepHopeless: it says that it cannot be done here.
        CommandFailed: it ended with another code than zero; its last lines are in it.
        CommandTimeout: the step's limit passed; the program was stopped.
    """
    source = Path(str(module.__file__)).read_bytes()
    text = json.dumps(spec, sort_keys=True).encode()
    digest = hashlib.sha256(source + b"\0" + python.encode() + b"\0" + text).hexdigest()[:12]
    name = module.__name__.rpartition(".")[2]
    program = box.agent.write(f"bootstrap/programs/{digest}-{name}.py", source)
    given = box.agent.write(f"bootstrap/programs/{digest}-{name}.json", text, mode=0o600)
    box.command, box.last_lines = f"{python} {name}.py", ""
    follow = _Follower(box)
    status = _launch(box, f"bootstrap-{box.step}-{digest}", (python, "-S", "-u", program, given), dict(env))
    try:
        status = follow.to_the_end(status)
    except CommandTimeout:
        box.agent.cancel(status.id)
        box.agent.wait(status.id, timeout_s=4 * GRACE_S)
        raise
    if status.exit_code == HOPELESS_EXIT:
        raise StepHopeless(box.last_lines)
    if status.exit_code != 0:
        ended = box.last_lines or status.message or f"it ended {status.state}, signal {status.signal}"
        raise CommandFailed(box.command, status.exit_code if status.exit_code is not None else -1, ended)


def _launch(box: Box, prefix: str, argv: tuple[str, ...], env: dict[str, str]) -> JobStatus:
    """Join the try that is running, or begin the next one: a job's id is used once."""
    tries = [status for status in box.agent.list() if status.id.startswith(f"{prefix}-")]
    running = [status for status in tries if not status.ended]
    if running:
        return running[-1]
    for status in tries:
        if status.survivors:  # its supervisor died: what is left of it would work beside the new one
            box.agent.cancel(status.id)
    return box.agent.launch(JobSpec(f"{prefix}-{len(tries) + 1}", argv, env=env, grace_s=GRACE_S))


class _Follower:
    """Reads a job's log to its end: progress is told, the last other lines are kept."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._rest = b""

    def to_the_end(self, status: JobStatus) -> JobStatus:
        offset = 0
        while True:
            chunk = self._box.agent.follow(status.log, offset, wait_s=0 if status.ended else 0.5)
            offset += len(chunk)
            self._read(chunk)
            if status.ended and not chunk:
                self._read(b"\n")
                return status
            _ = self._box.left_s
            if not status.ended:
                status = self._box.agent.status(status.id)

    def _read(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for raw in lines:
            line = raw.decode("utf-8", "replace").rstrip()
            if line.startswith(PROGRESS_MARK):
                told = json.loads(line.removeprefix(PROGRESS_MARK))
                message = f"{self._box.step}: {told['message']}"
                self._box.report(Progress("bootstrap", message, told["done"], told["total"], told["unit"]))
            elif line:
                self._lines.append(line)
                self._box.last_lines = "\n".join(self._lines)
