"""Model weights, fetched by the box itself from the first mirror that serves the right bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from remote.bootstrap import box_fetch
from remote.bootstrap.box import Box
from remote.bootstrap.hashing import hash_of
from remote.bootstrap.marks import marked
from remote.bootstrap.needs import Checkpoint
from remote.bootstrap.steps import Step, StepUnmet
from remote.bootstrap.work import run_program

SLOWEST_BYTES_PER_S = 1_000_000
"""The pace below which a checkpoint is not waited for."""

STALL_S = 30.0
"""A mirror that sends nothing for this long is left for the next one."""


def checkpoints_step(checkpoints: Sequence[Checkpoint], *, stall_s: float = STALL_S) -> Step:
    """Each of `checkpoints` below MODEL_DIR with its size and sha256; what is there already is not fetched again."""
    wanted = tuple(checkpoints)
    limit_s = 120 + 2 * sum(each.size for each in wanted) / SLOWEST_BYTES_PER_S
    return Step(
        "checkpoints",
        hash_of([[each.name, each.size, each.sha256] for each in wanted]),
        lambda box: _check(box, wanted, stall_s),
        lambda box: _fetch(box, wanted, stall_s),
        limit_s,
        retries=2,
    )


def _spec(box: Box, checkpoints: Sequence[Checkpoint], stall_s: float) -> dict[str, object]:
    return {
        "folder": box.found["caches"]["MODEL_DIR"],
        "checkpoints": [asdict(each) for each in checkpoints],
        "stall_s": stall_s,
    }


def _check(box: Box, checkpoints: Sequence[Checkpoint], stall_s: float) -> Mapping[str, str]:
    """By size and sha256; a file that was hashed once is told by size and time of change."""
    python = box.found["interpreter"]["path"]
    source = Path(box_fetch.__file__).read_text(encoding="utf-8")
    named = [dict(asdict(each), urls=[]) for each in checkpoints]  # signed URLs stay out of the command line
    asked = json.dumps({**_spec(box, (), stall_s), "checkpoints": named})
    output = box.expect([python, "-S", "-c", source, "check", asked], shown=f"{python} box_fetch.py check")
    told = dict(line.split("=", 1) for line in marked(output))
    missing = [each.name for each in checkpoints if each.name not in told]
    if missing:
        raise StepUnmet(f"{', '.join(missing)} is missing or not what it should be")
    return told


def _fetch(box: Box, checkpoints: Sequence[Checkpoint], stall_s: float) -> None:
    python = box.found["interpreter"]["path"]
    run_program(box, python, box_fetch, _spec(box, checkpoints, stall_s), box.found["caches"])
