"""Closing a run of many boxes: what all items make together, in a process of its own, when every machine is gone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import orjson

from console.operations.events import Report, Step
from console.operations.fleet_work import FleetWork
from console.operations.run_terms import STATE_OF_EXIT


@dataclass(frozen=True, slots=True)
class Closed:
    """How the run ended, by the rules of every run."""

    state: str
    exit_code: int
    problem: str | None
    """Why it failed."""


def close_run(work: FleetWork, why: Exception | None, report: Report) -> Closed:
    """Reduce and report over what is merged; `why` the boxes left something undone."""
    fleet = work.book.fleet
    command = [sys.executable, "-m", "pipeline", "close", work.entry.pipeline, "--run-dir", str(work.folder)]
    command += ["--keys", orjson.dumps(fleet.keys).decode()]
    if why is not None:
        command += ["--problem", str(why) or type(why).__name__]
    log = work.folder / "logs" / f"job-{fleet.attempt}-closing.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with Step("close", "reducing and reporting", report) as step, log.open("ab") as output:
        # In a session of its own: a Ctrl-C on the terminal is for the driver, who knows what may be cut short.
        done = subprocess.run(command, stdout=output, stderr=output, start_new_session=True, check=False)
        state = STATE_OF_EXIT.get(done.returncode, "failed")
        lines = log.read_text("utf-8", "replace").strip().splitlines() or [state]
        step.summary = lines[-1]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return Closed(state, done.returncode, (errors or lines)[-1] if state == "failed" else None)
