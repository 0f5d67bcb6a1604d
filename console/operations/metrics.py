"""Metrics: spend, throughput, waste and quality of a span of time, out of ledger, recorder, run folders and reports.

Every dollar here is the ledger's: a span's rows add up to `Ledger.spent_usd` of that span, as `spotter money` has it.
What models on servers were paid is not in the ledger; it stands beside a run's dollars, never in them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.models.quality_history import QualityHistory, read_quality
from console.models.replay import Past, fleet_at
from console.models.spend import Rental, SpendRow, by_day, by_gpu, by_run, day_name, pieces, total_usd
from console.models.waste import IDLE_BELOW_PERCENT, Cause, IdleShare, Wasted, by_cause, causes
from console.operations.session import Session

if TYPE_CHECKING:
    from console.models.recorder import Recorder
    from console.models.runs import RunRow

EVENTS_BEFORE_S = 900.0
READY_STATES = ("ready", "verified")
"""Until the first time in one of these, the better one first, a machine was being set up."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run: what it did, how fast, and for how much."""

    run_id: str
    pipeline: str
    state: str
    created_at: float
    ended_at: float | None
    """When its events last grew."""
    pages: int
    """Items through every stage."""
    total: int
    failed: int
    pages_per_hour: float | None
    usd: float
    """Of its machines, by the ledger, over all time; of a kept one only until the run was through with it."""
    answers_usd: float
    """What models on servers were paid for it; not in the ledger."""

    @property
    def usd_per_1000(self) -> float | None:
        """Dollars of machines and models for 1,000 pages; None without pages."""
        return 1000 * (self.usd + self.answers_usd) / self.pages if self.pages else None


@dataclass(frozen=True, slots=True)
class MetricsReport:
    """All figures of [since, now], in the cloud's time."""

    cloud: str
    emulated: bool
    since: float
    """0: from the beginning."""
    now: float
    total_usd: float
    days: tuple[SpendRow, ...]
    """Oldest first; with the pages of the runs that ended on each."""
    runs: tuple[SpendRow, ...]
    """Dearest first; an empty key is what was rented for no run."""
    gpus: tuple[SpendRow, ...]
    waste: dict[Cause, float]
    wasted: tuple[Wasted, ...]
    """Which instance wasted what, most first."""
    figures: tuple[RunFigures, ...]
    """Runs that were at work within the span, newest first."""
    quality: QualityHistory

    @property
    def pages(self) -> int:
        """Pages of the runs that were at work within the span."""
        return sum(each.pages for each in self.figures)

    @property
    def failed(self) -> int:
        """What failed in them."""
        return sum(each.failed for each in self.figures)


def read_metrics(session: Session, since: float) -> MetricsReport:
    """Read everything; nothing is asked of a cloud.

    Args:
        session: the workspace's session.
        since: Unix seconds in the cloud's time; 0 for all of the past.
    """
    now = session.clock.time()
    rentals = read_rentals(session)
    found = list(pieces(rentals, since, now))
    figures = run_figures(session, since)
    pages_of_runs = {each.run_id: each.pages for each in figures}
    pages_of_days: defaultdict[str, int] = defaultdict(int)
    for each in figures:
        if each.ended_at is not None:
            pages_of_days[day_name(each.ended_at - each.ended_at % 86400)] += each.pages
    wasted = causes(rentals, since, now, _idle_share(session.recorder, now - time.time()))
    return MetricsReport(
        session.cloud_name,
        session.emulated,
        since,
        now,
        total_usd(found),
        tuple(
            SpendRow(row.key, row.usd, row.usd_by_part, row.gpu_hours, pages_of_days.get(row.key))
            for row in by_day(found, since, now)
        ),
        tuple(by_run(found, pages_of_runs)),
        tuple(by_gpu(found)),
        by_cause(wasted),
        tuple(sorted(wasted, key=lambda each: -each.usd)),
        tuple(figures),
        read_quality(session.workspace.root),
    )


def read_rentals(session: Session) -> list[Rental]:
    """Every instance of the session's cloud with what the ledger counted of it."""
    ledger, cloud = session.ledger, session.cloud_name
    rentals = []
    hours, changes = ledger.traffic_hours(cloud), ledger.adjustments(cloud)
    for row in ledger.instances(cloud=cloud):
        reached = {each.state: each.at for each in reversed(ledger.history(cloud, row.instance_id))}
        rentals.append(
            Rental(
                row,
                tuple(ledger.meters(cloud, row.instance_id)),
                tuple(each for each in hours if each.instance_id == row.instance_id),
                tuple(each for each in changes if each.instance_id == row.instance_id),
                tuple(ledger.jobs(cloud=cloud, instance_id=row.instance_id)),
                next((reached[state] for state in READY_STATES if state in reached), None),
            )
        )
    return rentals


def run_figures(session: Session, since: float) -> list[RunFigures]:
    """What every run that was at work since a moment did, newest first."""
    from console.models.runs import RunList

    return [
        _figures(session, row)
        for row in RunList(session.workspace).refresh()
        if (row.view.last_event_at or row.entry.created_at) >= since
    ]


def _figures(session: Session, row: RunRow) -> RunFigures:
    from console.models.run_cost import pace_of, through_at
    from pipeline.docparse.vlm.spending import paid_usd

    pace = pace_of(row.view)
    per_hour = 3600.0 / pace.seconds_per_item if pace.seconds_per_item else None
    return RunFigures(
        row.entry.run_id,
        row.entry.pipeline,
        row.state,
        row.entry.created_at,
        row.view.last_event_at,
        pace.done,
        pace.total,
        row.failed,
        per_hour,
        session.ledger.spent_usd(
            run_id=row.entry.run_id, cloud=session.cloud_name, until=through_at(session, row.entry)
        ),
        paid_usd(session.workspace.run_folder(row.entry.run_id)),
    )


def _idle_share(recorder: Recorder, ahead_s: float) -> IdleShare:
    """The recorder's word on how idle GPUs were, asked in the cloud's time."""

    def share(instance_id: int, begin: float, end: float) -> float | None:
        return recorder.idle_share(instance_id, begin - ahead_s, end - ahead_s, IDLE_BELOW_PERCENT)

    return share


@dataclass(frozen=True, slots=True)
class Place:
    """Where in recorded time a run was at work."""

    run_id: str
    end: float
    """When its events last grew, Unix seconds of this machine; now for one that never began."""
    instances: tuple[int, ...]
    """The machines that it had, the last one first."""


def place_of_run(session: Session, name: str) -> Place:
    """When and where a run was at work; `name` is its id, the end of it, or `last`.

    Raises:
        console.operations.runbook.RunNotFound: there is none.
    """
    from console.models.run_view import EventFile
    from console.operations.runbook import Runbook

    run_id = Runbook(session.workspace).resolve(name).run_id
    view = EventFile(session.workspace.run_folder(run_id) / "events.jsonl").catch_up()
    jobs = [job.instance_id for job in session.ledger.jobs(cloud=session.cloud_name, run_id=run_id)]
    rented = [row.instance_id for row in session.ledger.instances(cloud=session.cloud_name) if row.run_id == run_id]
    return Place(run_id, view.last_event_at or time.time(), tuple(dict.fromkeys([*reversed(jobs), *reversed(rented)])))


def read_past(session: Session, at: float) -> Past:
    """The fleet as it was at a moment, Unix seconds of this machine."""
    ledger, cloud = session.ledger, session.cloud_name
    rentals = read_rentals(session)
    ids = [rental.instance.instance_id for rental in rentals]
    return fleet_at(
        rentals,
        {instance_id: ledger.history(cloud, instance_id) for instance_id in ids},
        session.recorder.latest_of(ids, at=at),
        at,
        session.clock.time() - time.time(),
        session.recorder.events(since=at - EVENTS_BEFORE_S, until=at),
    )
