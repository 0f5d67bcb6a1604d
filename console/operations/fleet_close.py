"""Closing a run of many boxes: what all items make together, in a process of its own, when every machine is gone."""

from __future__ import annotations

import sys

import orjson

from console.operations.events import Report, Step
from console.operations.fleet_work import FleetWork
from console.operations.laptop_stages import Ended, environment, longest_answer_s, run_held


def close_run(work: FleetWork, why: Exception | None, report: Report, *, stopped: bool = False) -> Ended:
    """Do the laptop's stages, reduce and report over what is merged; `why` the boxes left something undone.

    `stopped`: the operator wants no more of it; stages that ask somebody who charges are then left to a resume.
    """
    fleet = work.book.fleet
    command = [sys.executable, "-m", "pipeline", "close", work.entry.pipeline, "--run-dir", str(work.folder)]
    command += ["--keys", orjson.dumps(fleet.keys).decode()]
    if why is not None:
        command += ["--problem", str(why) or type(why).__name__]
    if stopped:
        command.append("--stopped")
    log = work.folder / "logs" / f"job-{fleet.attempt}-closing.log"
    what = "reporting" if stopped else ", ".join([*work.entry.laptop_stages[:-1], "reducing and reporting"])
    with Step("close", what, report) as step:
        secrets = environment(work.session, work.entry.secrets)
        ended = run_held([*command, "--leash"], work.folder, log, secrets, report, longest_answer_s(work.folder))
        lines = log.read_text("utf-8", "replace").strip().splitlines() or [ended.state]
        step.summary = lines[-1]
    return ended
