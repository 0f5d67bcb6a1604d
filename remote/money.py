"""What is being spent: now, today, until midnight, on a run; and whether the cloud's own bill agrees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remote.clock import SYSTEM_CLOCK, Clock
from remote.cloud import Charge, Cloud
from remote.labels import is_ours
from remote.ledger import Ledger
from remote.ledger_rows import SECONDS_PER_HOUR

SECONDS_PER_DAY = 86400.0
A_CENT_USD = 0.01
SETTLED_AFTER_S = 86400.0
"""A real cloud books an hour or a day later: what ended less than this ago is shown, not settled."""


@dataclass(frozen=True, slots=True)
class Money:
    """What one cloud's rentals cost at one moment. Days are UTC days."""

    cloud: str
    instances: int
    burn_usd_per_hour: float
    today_usd: float
    projected_midnight_usd: float
    """What today will have cost when everything that is rented now stays until midnight."""
    cap_usd: float | None
    """What a day may cost; no more is rented when the projection passes it."""
    credit_usd: float | None
    runway_s: float | None
    """How long the credit lasts at this burn; None while nothing burns or the credit is unknown."""

    @property
    def above_cap(self) -> bool:
        """Whether today will pass its cap if nothing is destroyed."""
        return self.cap_usd is not None and self.projected_midnight_usd > self.cap_usd


def midnight_before(now: float) -> float:
    """The UTC midnight with which the day of `now` began, unix seconds."""
    return now - now % SECONDS_PER_DAY


def hours_to_midnight(now: float) -> float:
    """How much of the UTC day is left."""
    return (midnight_before(now) + SECONDS_PER_DAY - now) / SECONDS_PER_HOUR


def money_now(
    ledger: Ledger,
    cloud_name: str,
    credit_usd: float | None,
    clock: Clock = SYSTEM_CLOCK,
    *,
    cap_usd: float | None = None,
) -> Money:
    """Burn, today, midnight and runway of one cloud; only that cloud's dollars count."""
    now = clock.time()
    burn = ledger.burn_usd_per_hour(cloud_name)
    today = ledger.spent_usd(midnight_before(now), cloud=cloud_name)
    runway_s = None if credit_usd is None or burn <= 0 else max(0.0, credit_usd) / burn * SECONDS_PER_HOUR
    return Money(
        cloud=cloud_name,
        instances=len(ledger.instances(alive_only=True, cloud=cloud_name)),
        burn_usd_per_hour=burn,
        today_usd=today,
        projected_midnight_usd=today + burn * hours_to_midnight(now),
        cap_usd=cap_usd,
        credit_usd=credit_usd,
        runway_s=runway_s,
    )


def cost_per_item(*, items_done: int, usd_so_far: float) -> float | None:
    """Dollars an item (a page) took so far; None before the first is done."""
    return usd_so_far / items_done if items_done > 0 else None


def cost_to_finish(*, items_left: int, usd_per_hour: float, seconds_per_item: float | None) -> float | None:
    """Dollars that the items that are left will take at this pace and price; None while the pace is unknown.

    `seconds_per_item` is wall time by item over all boxes together; `usd_per_hour` is the price of all of them.
    """
    if items_left <= 0:
        return 0.0
    return None if seconds_per_item is None else items_left * seconds_per_item * usd_per_hour / SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run cost so far, by item, and what it will take to finish."""

    usd_so_far: float
    usd_per_hour: float
    usd_per_item: float | None
    usd_to_finish: float | None


def run_cost(
    ledger: Ledger,
    run_id: str,
    *,
    items_done: int,
    items_left: int,
    seconds_per_item: float | None,
    until: float | None = None,
) -> RunCost:
    """The cost of one run from the ledger: every instance that was rented for it, also those that failed.

    `until`: when the run was through with machines that were kept; what they cost since is not its own.
    """
    so_far = ledger.spent_usd(run_id=run_id, until=until)
    alive = ledger.instances(alive_only=True) if until is None else ()
    burn = sum(row.usd_per_hour for row in alive if row.run_id == run_id)
    return RunCost(
        so_far,
        burn,
        cost_per_item(items_done=items_done, usd_so_far=so_far),
        cost_to_finish(items_left=items_left, usd_per_hour=burn, seconds_per_item=seconds_per_item),
    )


def _by_instance(rows: Iterable[Charge]) -> dict[int, Charge]:
    """One charge an instance: a cloud may bill it in several rows, as one a day."""
    found: dict[int, Charge] = {}
    for row in rows:
        usd_by_kind = dict(found[row.instance_id].usd_by_kind) if row.instance_id in found else {}
        for kind, usd in row.usd_by_kind.items():
            usd_by_kind[kind] = usd_by_kind.get(kind, 0.0) + usd
        label = row.label or (found[row.instance_id].label if row.instance_id in found else "")
        found[row.instance_id] = Charge(row.instance_id, label, usd_by_kind)
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """One instance of which the cloud's bill and the ledger say different things."""

    cloud: str
    instance_id: int
    label: str
    charged_usd: float
    ledger_usd: float
    settled: bool
    """Whether the ledger was adjusted by it."""

    @property
    def usd(self) -> float:
        """What the cloud took more than the ledger knew; negative when it took less."""
        return self.charged_usd - self.ledger_usd


def reconcile_charges(
    cloud: Cloud,
    ledger: Ledger,
    clock: Clock = SYSTEM_CLOCK,
    *,
    since: float = 0.0,
    least_usd: float = A_CENT_USD / 2,
    settled_after_s: float | None = None,
    settle: bool = True,
) -> list[Difference]:
    """Compare every instance that lived since a moment with what the cloud charged for it, over its whole life.

    What ended long enough ago (`settled_after_s`; at once on an emulated cloud) is settled by an adjusting row, so that
    the ledger says what the bill says; a living one is a moving target and is only shown. Differences below `least_usd`
    are settled and not shown. Charges under our label for instances that the ledger never knew are shown too.

    Raises:
        CloudError: the cloud does not tell its charges.
    """
    now = clock.time()
    if settled_after_s is None:
        settled_after_s = 0.0 if cloud.emulated else SETTLED_AFTER_S
    rows = {
        row.instance_id: row
        for row in ledger.instances(cloud=cloud.name)
        if row.closed_at is None or row.closed_at >= since
    }
    earliest = min((row.opened_at for row in rows.values()), default=now)
    charges = _by_instance(cloud.charges(midnight_before(earliest), now))
    found = []
    for row in rows.values():
        charge = charges.get(row.instance_id)
        may_settle = row.closed_at is not None and now - row.closed_at >= settled_after_s
        if charge is None and not may_settle:
            continue  # it is not booked yet
        charged = charge.usd if charge is not None else 0.0
        known = ledger.spent_usd(cloud=cloud.name, instance_id=row.instance_id)
        if settle and may_settle:
            reason = f"the cloud charged ${charged:.6f}, the ledger had ${known:.6f}"
            ledger.settle(cloud.name, row.instance_id, charged, reason, at=row.closed_at)
        difference = Difference(cloud.name, row.instance_id, row.label, charged, known, settle and may_settle)
        if abs(difference.usd) >= least_usd:
            found.append(difference)
    for charge in charges.values():
        stray = ledger.instance(cloud.name, charge.instance_id) is None and is_ours(charge.label, ledger.mark)
        if stray and charge.usd >= least_usd:
            found.append(Difference(cloud.name, charge.instance_id, charge.label, charge.usd, 0.0, settled=False))
    return found
