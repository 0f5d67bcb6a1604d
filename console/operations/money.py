"""Money: what is being spent, on which machine and which run, and whether the cloud's own bill agrees."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.operations.session import Session

if TYPE_CHECKING:
    from console.models.runs import RunRow
    from remote.money import Difference, Money, RunCost

DAYS_SHOWN = 30.0


@dataclass(frozen=True, slots=True)
class InstanceCost:
    """What one rental cost so far."""

    instance_id: int
    gpu: str
    state: str
    alive: bool
    run_id: str | None
    opened_at: float
    closed_at: float | None
    usd_per_hour: float
    usd: float
    bytes_in: int
    bytes_out: int
    settled_usd: float = 0.0
    """What the cloud's own bill added to what was counted, or, negative, took off; it is in `usd`."""


@dataclass(frozen=True, slots=True)
class RunSpending:
    """What one run cost so far, and what it will take to finish."""

    run_id: str
    state: str
    items_done: int
    items_total: int
    cost: RunCost


@dataclass(frozen=True, slots=True)
class MoneyReport:
    """Everything about money at one moment."""

    emulated: bool
    money: Money
    instances: tuple[InstanceCost, ...]
    """Alive, or rented within the days asked for; the newest first."""
    runs: tuple[RunSpending, ...]
    differences: tuple[Difference, ...]
    """Where the cloud's own charges and the ledger disagree."""
    reconciled: bool
    """Whether the cloud told its charges."""
    orphans_usd_per_hour: float = 0.0
    """What burns beyond the ledger: instances under our label that it does not hold for alive."""
    problem: str | None = None
    """Why it did not, or did not tell the credit."""


def money_report(session: Session, *, days: float = DAYS_SHOWN) -> MoneyReport:
    """Read the ledger, ask the cloud for credit and charges; without an answer the ledger's figures stand alone."""
    from remote.cloud import CloudError
    from remote.money import money_now, reconcile_charges

    ledger, clock, name = session.ledger, session.clock, session.cloud_name
    since = clock.time() - days * 86400
    credit: float | None = None
    differences: list[Difference] = []
    reconciled, problem, lost = False, None, 0.0
    try:
        cloud = session.living_cloud()
        if cloud is not None:
            credit = cloud.account().credit_usd
            differences = reconcile_charges(cloud, ledger, clock, since=since)
            lost = sum(each.usd_per_hour for each in session.provisioner.orphans())
            reconciled = True
    except CloudError as error:
        problem = str(error)
    return MoneyReport(
        session.emulated,
        money_now(ledger, name, credit, clock, cap_usd=session.settings.money.max_usd_per_day),
        tuple(_instances(session, since)),
        tuple(_runs(session)),
        tuple(differences),
        reconciled,
        lost,
        problem,
    )


def progress_of(row: RunRow) -> tuple[int, int, float | None]:
    """Items through every stage, all items, and seconds of wall time an item took; None before the first."""
    view = row.view
    total = max((stage.total for stage in view.stages.values()), default=0)
    per_item = [stage for stage in view.stages.values() if stage.total == total]
    done = min((stage.done for stage in per_item), default=0) if total else 0
    if not done or view.started_at is None or view.last_event_at is None:
        return done, total, None
    return done, total, max(0.0, view.last_event_at - view.started_at) / done


def _instances(session: Session, since: float) -> list[InstanceCost]:
    ledger, name = session.ledger, session.cloud_name
    settled: defaultdict[int, float] = defaultdict(float)
    for adjustment in ledger.adjustments(name):
        settled[adjustment.instance_id] += adjustment.usd
    found = []
    for row in ledger.instances(cloud=name):
        if not row.alive and row.opened_at < since:
            continue
        traffic = ledger.traffic(name, row.instance_id)
        found.append(
            InstanceCost(
                row.instance_id, row.gpu_name, row.state, row.alive, row.run_id, row.opened_at, row.closed_at,
                row.usd_per_hour, ledger.spent_usd(cloud=name, instance_id=row.instance_id),
                traffic.bytes_in, traffic.bytes_out, settled[row.instance_id],
            )
        )  # fmt: skip
    return sorted(found, key=lambda each: (not each.alive, -each.opened_at))


def _runs(session: Session) -> list[RunSpending]:
    from console.models.run_cost import Pace, ledger_cost
    from console.models.runs import RunList

    found = []
    for row in RunList(session.workspace).refresh():
        done, total, pace_s = progress_of(row)
        cost = ledger_cost(session, row.entry, row.view, Pace(done, total, pace_s))
        if cost.usd_so_far or not row.view.ended:
            found.append(RunSpending(row.entry.run_id, row.state, done, total, cost))
    return found
