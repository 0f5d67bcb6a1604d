"""What the runs view shows: the runbook joined with each run's own events, read from this machine's files only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.models.run_cost import CostReader, Pace, pace_of
from console.models.run_view import EventFile, RunView
from console.operations.runbook import Phase, Runbook, RunEntry
from console.workspace import Workspace

if TYPE_CHECKING:
    from remote.money import RunCost


PROBLEM_STATES = frozenset({"failed", "incomplete", "stopped", "interrupted"})


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, ready to draw."""

    entry: RunEntry
    view: RunView
    failed: int
    """Items that a stage gave up on."""
    driver: int | None
    """The process that drives it now, if any."""
    cost: RunCost | None = None
    """None before anything was rented for it."""

    @property
    def pace(self) -> Pace:
        """Items done, items in all, and how long one takes."""
        return pace_of(self.view)

    @property
    def works(self) -> bool:
        """Whether items are worked on now, as far as is known here."""
        return self.entry.phase is not Phase.DONE and self.driver is not None and not self.view.ended

    @property
    def eta_s(self) -> float | None:
        """Seconds until its last item at this pace; None when it does not work or nobody knows."""
        return self.pace.eta_s if self.works else None

    @property
    def problem(self) -> bool:
        """Whether it wants an eye."""
        return self.failed > 0 or self.state in PROBLEM_STATES

    @property
    def state(self) -> str:
        """One word for the list: the pipeline's state while it runs, the laptop's phase around that."""
        if self.entry.phase is Phase.DONE:
            return self.entry.state
        if self.driver is not None and self.entry.here and not self.entry.phase.reached(Phase.COMPLETED):
            return self.view.state
        if self.driver is None:
            return "detached" if self.entry.phase is Phase.LAUNCHED and self.entry.machines else "stopped"
        if self.entry.phase is Phase.LAUNCHED or (self.entry.phase is Phase.PULLED and self.entry.laptop_stages):
            return self.view.state
        return self.entry.phase.value

    @property
    def note(self) -> str:
        """What the operator should know of it beyond its state."""
        if self.entry.phase is Phase.DONE or self.driver is not None:
            return self.entry.problem or ""
        machines = self.entry.machines
        rented = f", {'instance' if len(machines) == 1 else 'instances'} {', '.join(map(str, machines))} rented"
        rented = rented if machines else ""
        return f"nobody drives it{rented}: spotter run --resume {self.entry.run_id[-8:]}"


class RunList:
    """All runs of a workspace; `refresh` reads only what was appended since."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._runbook = Runbook(workspace)
        self._events: dict[str, EventFile] = {}
        self._costs = CostReader(workspace)
        self._settled: dict[str, tuple[float, RunCost | None]] = {}
        """Of runs that are over and cost nothing more: when their entry was written, and what they cost."""

    def refresh(self) -> list[RunRow]:
        """The runs as they stand now, newest first."""
        rows = []
        for entry in self._runbook.entries():
            events = self._events.setdefault(
                entry.run_id, EventFile(self._workspace.run_folder(entry.run_id) / "events.jsonl")
            )
            events.refresh()
            driver = None if entry.phase is Phase.DONE else self._runbook.holder(entry.run_id)
            cost = self._cost(entry, events.view)
            rows.append(RunRow(entry, events.view, len(events.failures), driver, cost))
        return rows

    def _cost(self, entry: RunEntry, view: RunView) -> RunCost | None:
        """What a run costs; a run that is over is asked about once."""
        settled = self._settled.get(entry.run_id)
        if settled is not None and settled[0] == entry.updated_at:
            return settled[1]
        cost = self._costs.of(entry, view)
        if entry.phase is Phase.DONE and (cost is None or not cost.usd_per_hour):
            self._settled[entry.run_id] = (entry.updated_at, cost)
        return cost


def ended_between(before: Iterable[RunRow], after: Iterable[RunRow]) -> list[RunRow]:
    """Runs that were not over before and are now: what an operator who looked elsewhere wants to be told."""
    open_then = {row.entry.run_id for row in before if row.entry.phase is not Phase.DONE}
    return [row for row in after if row.entry.phase is Phase.DONE and row.entry.run_id in open_then]
