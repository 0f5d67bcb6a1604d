"""How far a run is in items, how fast, and what it costs: folded from its events and the ledger of rentals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.models.run_view import RunView
from console.operations.runbook import Phase
from console.words import usd, usd_per_hour
from console.workspace import Workspace

if TYPE_CHECKING:
    from console.operations.runbook import RunEntry
    from console.operations.session import Session
    from remote.money import RunCost

FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Items that are through every stage begun so far, all items, and wall seconds an item over all boxes."""

    done: int
    total: int
    seconds_per_item: float | None

    @property
    def eta_s(self) -> float | None:
        """Seconds until the last item at this pace; None while it is unknown."""
        return None if self.seconds_per_item is None else (self.total - self.done) * self.seconds_per_item


def pace_of(view: RunView) -> Pace:
    """The pace of the slowest stage that works now; without one, the mean since the run began."""
    total = max((stage.total for stage in view.stages.values()), default=0)
    stages = [stage for stage in view.stages.values() if stage.total == total]
    done = min((stage.done for stage in stages), default=0)
    rates = [stage.rate_per_s for stage in stages if stage.state == "started" and stage.rate_per_s > 0]
    if rates:
        return Pace(done, total, 1 / min(rates))
    if not done or view.started_at is None or view.last_event_at is None:
        return Pace(done, total, None)
    return Pace(done, total, max(0.0, view.last_event_at - view.started_at) / done)


def through_at(session: Session, entry: RunEntry) -> float | None:
    """When a run was through with machines that it keeps, in the cloud's time; None while their bill is its own.

    What is not kept is the run's until its bill ends: to give it back is part of the work.
    """
    if not (entry.keep_instance and entry.phase.reached(Phase.PULLED)):
        return None
    return session.clock.at(entry.freed_at or entry.updated_at)  # the latter: of before the former was noted


class CostReader:
    """Asks the ledger of rentals what runs cost, each at most once a second; there may be no ledger yet."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._session: Session | None = None
        self._known: dict[str, tuple[float, RunCost]] = {}

    def of(self, entry: RunEntry, view: RunView) -> RunCost | None:
        """What this run cost so far, an item, and to its end, its analyst's answers included; None for nothing yet."""
        run_id = entry.run_id
        known = self._known.get(run_id)
        if known is not None and time.monotonic() - known[0] < FRESH_S:
            return known[1]
        from pipeline.docparse.vlm.spending import paid_usd
        from remote.money import RunCost, cost_per_item

        pace = pace_of(view)
        answers_usd = paid_usd(self._workspace.run_folder(run_id))
        rented = self._rented(entry, view, pace)
        if rented is None and not answers_usd:
            return None
        so_far = answers_usd + (rented.usd_so_far if rented else 0.0)
        cost = RunCost(
            so_far,
            rented.usd_per_hour if rented else 0.0,
            cost_per_item(items_done=pace.done, usd_so_far=so_far),
            rented.usd_to_finish if rented else None,
        )
        self._known[run_id] = (time.monotonic(), cost)
        return cost

    def _rented(self, entry: RunEntry, view: RunView, pace: Pace) -> RunCost | None:
        if not self._workspace.ledger.exists():
            return None
        from console.operations.session import open_session

        self._session = self._session or open_session(self._workspace)
        return ledger_cost(self._session, entry, view, pace)


def ledger_cost(session: Session, entry: RunEntry, view: RunView, pace: Pace) -> RunCost:
    """What the ledger of rentals says that a run cost, costs, and will."""
    from remote.money import run_cost

    return run_cost(
        session.ledger, entry.run_id, items_done=pace.done,
        items_left=0 if view.ended else pace.total - pace.done, seconds_per_item=pace.seconds_per_item,
        until=through_at(session, entry),
    )  # fmt: skip


def cost_words(cost: RunCost | None) -> str:
    """`$0.0125 so far · $0.0008 an item · $0.042 to finish at $0.310/h`; empty while nothing was spent."""
    if cost is None or cost.usd_so_far <= 0:
        return ""
    words = [f"{usd(cost.usd_so_far)} so far"]
    if cost.usd_per_item is not None:
        words.append(f"{usd(cost.usd_per_item)} an item")
    if cost.usd_to_finish:
        words.append(f"{usd(cost.usd_to_finish)} to finish at {usd_per_hour(cost.usd_per_hour)}")
    return " · ".join(words)
