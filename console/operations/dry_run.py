"""A dry run beside the console: the command itself plans, so that what is shown is what would be done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from console.workspace import Workspace

LONGEST_S = 1800.0
"""Thousands of documents are opened one by one."""


class DryRunFailed(Exception):
    """The command refused to plan; its own last sentence."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would do, as `spotter run --dry-run --json` tells it."""

    pages: int
    documents: int
    usd_per_hour: float | None
    """Of `instance`, or of the cheapest machine on offer; None when there is none."""
    refused: tuple[str, ...]
    """Why it would be refused before anything is rented."""
    forecasts: tuple[str, ...] = ()
    stages: tuple[tuple[str, str], ...] = ()
    """Name and place: `box` or `laptop`."""
    problems: tuple[tuple[str, str], ...] = ()
    """Documents that cannot be parsed: path and why."""
    warnings: tuple[str, ...] = ()
    """What of the sources will not be found again in the results, and why."""
    known: bool = False
    """Whether a run has done the same work, or was planned for it."""
    rents: bool = True
    """False: it works on this machine, or on `instance`."""
    instance: int | None = None
    """The one that was named, and is rented already."""
    run_id: str = ""
    """That run's id, when it is known."""
    estimate: Mapping[str, Any] | None = field(default=None)
    """`seconds`, `seconds_per_item`, `usd`, `like`; None when no earlier run tells a pace."""


def dry_run(workspace: Workspace, arguments: Sequence[str]) -> DryRun:
    """Plan what `spotter ARGUMENTS` would do, in a process of its own.

    Args:
        workspace: where it would be done.
        arguments: the command's words, with `--dry-run --json`.

    Raises:
        DryRunFailed: it cannot be planned; the text is the command's own sentence.
    """
    done = subprocess.run(
        [sys.executable, "-m", "console", "-C", str(workspace.root), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_S, check=False,
    )  # fmt: skip
    try:
        told = orjson.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, orjson.JSONDecodeError):
        told = {}
    if "pages" not in told:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = str(told.get("error") or (said[-1] if said else f"it ended with exit code {done.returncode}"))
        raise DryRunFailed(reason.removeprefix("spotter: "))
    return DryRun(
        int(told["pages"]), int(told["documents"]), told["usd_per_hour"], tuple(told["refused"]),
        tuple(told["forecasts"]), tuple((each["name"], each["place"]) for each in told["stages"]),
        tuple((each["path"], each["message"]) for each in told["problems"]), tuple(told["warnings"]),
        bool(told["known"]), bool(told["rents"]), told["instance"], str(told["run"]),
        told["estimate"],
    )  # fmt: skip
