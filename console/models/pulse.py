"""Everything's health at one glance: a tile for each instance, the runs that want an eye, the checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from console.language import N_, _
from console.models.burn import UNUSED_STATES, billed_of, burn_of, is_idle, runway_of
from console.models.fleet import FleetView, InstanceView
from console.models.fleet_words import STOPPED_STATES, state_word
from console.models.stuck import Stuck, advice_of, stuck_of, words_of

if TYPE_CHECKING:
    from console.models.runs import RunRow
    from console.operations.doctor import Finding

Level = Literal["error", "warning", "stale", "ok", "foreign"]
WORST_FIRST: tuple[Level, ...] = ("error", "warning", "stale", "ok", "foreign")
SIGNS: dict[Level, str] = {"error": "✗", "warning": "!", "stale": "~", "ok": "✓", "foreign": "·"}
"""Beside every colour: what it says must be seen without it."""
LEVEL_WORDS: dict[Level, str] = {
    "error": N_("wrong"),
    "warning": N_("to be looked at"),
    "stale": N_("not known"),
    "ok": N_("well"),
    "foreign": N_("not ours"),
}
GRAVE = frozenset({"orphan", "not-gone", "ssh", "away", "disk", "vram"})
"""Reasons for being stuck that do not go away by waiting."""
FIGURES_S = 60.0
"""Figures of a box that are older say nothing of now."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One instance at a glance."""

    key: str
    name: str
    """What the operator called it; empty without."""
    gpu: str
    level: Level
    state: str
    reason: str
    """Why it is not well; empty when it is."""
    advice: str
    busy: float | None
    """How busy the GPU is, 0 to 1; None when nobody told lately."""
    usd_per_hour: float
    spent_usd: float
    run_id: str | None
    done: int
    total: int
    """Items of its run; 0 when nobody knows."""
    age_s: float | None


@dataclass(frozen=True)
class PulseNews:
    """All that the pulse looks at, at one moment."""

    fleet: FleetView | None
    """None before the cloud was first asked."""
    runs: tuple[RunRow, ...] = ()
    """Those that work or want an eye, newest first."""
    findings: tuple[Finding, ...] = ()
    """What the doctor found."""


def tile_of(view: InstanceView, now: float, wall_now: float) -> Tile:
    """An instance as a tile.

    Args:
        view: the instance.
        now: unix seconds in the cloud's time.
        wall_now: unix seconds of this machine.
    """
    stuck = stuck_of(view, now, wall_now)
    level, reason = _judged(view, stuck, now, wall_now)
    load = view.load if view.load is not None and wall_now - view.load.at < FIGURES_S else None
    return Tile(
        key=str(view.id),
        name=view.note,
        gpu=view.gpu,
        level=level,
        state=state_word(view),
        reason=reason,
        advice=advice_of(stuck) if stuck is not None else "",
        busy=load.gpu[-1] if load is not None and load.gpu else None,
        usd_per_hour=billed_of(view),
        spent_usd=view.spent_usd,
        run_id=view.run_id,
        done=view.work.done if view.work is not None else 0,
        total=view.work.total if view.work is not None else 0,
        age_s=max(0.0, now - view.started_at) if view.started_at else None,
    )


def _judged(view: InstanceView, stuck: Stuck | None, now: float, wall_now: float) -> tuple[Level, str]:
    """The gravest that is to be said of an instance."""
    if view.standing == "foreign":
        return "foreign", ""
    if view.stale:
        return "stale", _("the cloud does not say how it is")
    if stuck is not None:
        return ("error" if stuck.kind in GRAVE else "warning"), words_of(stuck)
    if view.standing == "missing":
        return "error", _("rented, and the cloud does not list it")
    if view.standing == "ours" and view.state in UNUSED_STATES and (view.guard is None or not view.guard.proven):
        return "warning", _("nothing ends its bill if this machine sleeps")
    if view.state in STOPPED_STATES:
        return "warning", _("stopped: its disk costs on")
    if is_idle(view, now, wall_now):
        return "warning", _("idle: no run uses it")
    return "ok", ""


def tiles_of(fleet: FleetView, now: float, wall_now: float) -> list[Tile]:
    """The tiles of a fleet, what is wrong first."""
    tiles = [tile_of(each, now, wall_now) for each in fleet.instances]
    return sorted(tiles, key=lambda tile: (WORST_FIRST.index(tile.level), int(tile.key)))


def wanted_runs(rows: Iterable[RunRow], most: int = 6) -> tuple[RunRow, ...]:
    """Runs that work now, and then those that want an eye."""
    rows = list(rows)
    working = [row for row in rows if row.works]
    wrong = [row for row in rows if row.problem and not row.works]
    return tuple((working + wrong)[:most])


def checks_of(findings: Sequence[Finding]) -> list[Finding]:
    """What the doctor found that no tile says already, the worst first."""
    order = {"error": 0, "warning": 1, "ok": 2}
    return sorted((each for each in findings if each.subject != "instances"), key=lambda each: order[each.level])


def level_of(news: PulseNews, now: float, wall_now: float) -> Level:
    """The worst of everything: an error anywhere, then a warning, then what nobody knows."""
    levels: set[Level] = set()
    if news.fleet is not None:
        levels |= {tile.level for tile in tiles_of(news.fleet, now, wall_now)} - {"foreign"}
        if news.fleet.error is not None:
            levels.add("stale")
    levels |= {"warning" for row in news.runs if row.problem}
    levels |= {
        "error" if each.level == "error" else "warning" for each in checks_of(news.findings) if each.level != "ok"
    }
    return min(levels, key=WORST_FIRST.index, default="ok")


def pulse_json(news: PulseNews, now: float, wall_now: float) -> dict[str, Any]:
    """The same for a program."""
    fleet = news.fleet
    tiles = tiles_of(fleet, now, wall_now) if fleet is not None else []
    return {
        "level": level_of(news, now, wall_now),
        "stale": fleet.error if fleet is not None else None,
        "emulated": fleet.emulated if fleet is not None else None,
        "usd_per_hour": burn_of(fleet) if fleet is not None else None,
        "spent_today_usd": fleet.spent_today_usd if fleet is not None else None,
        "runway_s": runway_of(fleet) if fleet is not None else None,
        "instances": [
            {
                "id": int(tile.key),
                "label": tile.name,
                "gpu": tile.gpu,
                "level": tile.level,
                "state": tile.state,
                "reason": tile.reason,
                "busy": tile.busy,
                "usd_per_hour": tile.usd_per_hour,
                "spent_usd": tile.spent_usd,
                "run": tile.run_id,
                "done": tile.done,
                "total": tile.total,
                "age_s": tile.age_s,
            }
            for tile in tiles
        ],
        "runs": [
            {
                "run": row.entry.run_id,
                "pipeline": row.entry.pipeline,
                "state": row.state,
                "done": row.pace.done,
                "total": row.pace.total,
                "failed": row.failed,
                "eta_s": row.eta_s,
                "problem": row.problem,
            }
            for row in news.runs
        ],
        "checks": [
            {"subject": each.subject, "level": each.level, "message": each.message} for each in checks_of(news.findings)
        ],
    }
