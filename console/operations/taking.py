"""Going on from another run: what it did already is taken over into a new plan that asks the same of a stage."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import orjson

from console.operations.events import Report, Step, silent
from console.operations.laptop_stages import environment
from console.operations.plan import PlanError, forget
from console.operations.runbook import RunEntry
from console.operations.session import Session
from console.words import count


@dataclass(frozen=True, slots=True)
class LeftToDo:
    """What a run that took results over has still to do."""

    devices: tuple[str, ...]
    """Stages that want a GPU for some item."""


def take_over(session: Session, entry: RunEntry, earlier: RunEntry, report: Report = silent) -> LeftToDo:
    """Give a run that was just planned what `earlier` did; the plan is forgotten when that cannot be.

    Raises:
        PlanError: the earlier run is not here, or has no results.
    """
    folders = session.workspace.run_folder(entry.run_id), session.workspace.run_folder(earlier.run_id)
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "take",
        entry.pipeline,
        "--run-dir",
        str(folders[0]),
        "--from",
        str(folders[1]),
    ]
    with Step("take", f"taking over what run {earlier.run_id} did", report) as step:
        done = subprocess.run(command, capture_output=True, check=False, env=environment(session, ()))
        if done.returncode != 0:
            forget(session, entry)
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise PlanError(said[-1].removeprefix("error: ") if said else f"taking over ended with {done.returncode}")
        taken = orjson.loads(done.stdout.strip().splitlines()[-1])
        words = [f"{stage} of {count(items, 'page')}" for stage, items in taken["stages"].items() if items]
        step.summary = ", ".join(words) if words else "nothing that this run asks for was done there"
        if taken["devices"]:
            step.summary += f"; {' and '.join(taken['devices'])} still want a GPU"
    return LeftToDo(tuple(taken["devices"]))
