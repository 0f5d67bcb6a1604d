"""How long a new run will take and what it will cost, by what earlier runs of the same kind took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from console.models.run_parameters import ParametersMissing, read_parameters
from console.models.run_view import EventFile
from console.operations.runbook import Phase, Runbook
from console.workspace import Workspace

if TYPE_CHECKING:
    from console.operations.plan import Plan

SECONDS_PER_HOUR = 3600.0
CHOSEN = ("detector.name", "segmenter.name", "ocr.name", "analyst.name")
"""Runs that name the same ones of these do the same work; everything else moves the time less."""
LEAST_ITEMS = 3
"""A run of fewer pages tells more of its start than of its pace."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the work itself will take; renting and making ready come on top."""

    seconds: float
    seconds_per_item: float
    usd: float | None
    """None without an offer, or when nothing is rented."""
    like: str
    """The run whose pace this is."""


def estimate(
    workspace: Workspace, run_id: str, pipeline: str, items: int, usd_per_hour: float | None
) -> Estimate | None:
    """The pace of the newest run of the same kind that came through, times `items`; None without one."""
    try:
        wanted = _kind(read_parameters(workspace.run_folder(run_id)))
    except ParametersMissing:
        return None
    for entry in Runbook(workspace).entries():
        if entry.pipeline != pipeline or entry.phase is not Phase.DONE:
            continue
        try:
            if _kind(read_parameters(workspace.run_folder(entry.run_id))) != wanted:
                continue
        except ParametersMissing:
            continue
        pace = seconds_per_item(workspace, entry.run_id)
        if pace is not None:
            seconds = pace * items
            usd = None if usd_per_hour is None else seconds * usd_per_hour / SECONDS_PER_HOUR
            return Estimate(seconds, pace, usd, entry.run_id)
    return None


def seconds_per_item(workspace: Workspace, run_id: str) -> float | None:
    """Seconds an item took in a run that is over, all stages together; None when it tells nothing of a pace."""
    events = EventFile(workspace.run_folder(run_id) / "events.jsonl")
    view = events.catch_up()
    total = max((stage.total for stage in view.stages.values()), default=0)
    if view.state not in ("succeeded", "incomplete") or total < LEAST_ITEMS:
        return None
    walls = [stage.wall_s(view.last_event_at or 0.0) for stage in view.stages.values()]
    worked = sum(wall for wall in walls if wall is not None)
    return worked / total if worked > 0 else None


def _kind(parameters: Mapping[str, str]) -> tuple[str | None, ...]:
    return tuple(parameters.get(path) for path in CHOSEN)


def plan_details(workspace: Workspace, planned: Plan, usd_per_hour: float | None) -> dict[str, Any]:
    """What `spotter run --dry-run --json` tells beyond counts: stages, problems, warnings, and an estimate."""
    entry = planned.entry
    found = estimate(workspace, entry.run_id, entry.pipeline, planned.items, usd_per_hour)
    laptop = set(entry.laptop_stages)
    return {
        "stages": [{"name": name, "place": "laptop" if name in laptop else "box"} for name in planned.stages],
        "problems": [asdict(problem) for problem in planned.problems],
        "warnings": planned.warnings,
        "passed_over": planned.passed_over,
        "known": planned.known,
        "estimate": None if found is None else asdict(found),
    }
