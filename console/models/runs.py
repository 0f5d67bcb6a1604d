"""What the runs view shows: the runbook joined with each run's own events, read from this machine's files only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.models.run_cost import CostReader
from console.models.run_view import EventFile, RunView
from console.operations.runbook import Phase, Runbook, RunEntry
from console.workspace import Workspace

if TYPE_CHECKING:
    from remote.money import RunCost


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

    def refresh(self) -> list[RunRow]:
        """The runs as they stand now, newest first."""
        rows = []
        for entry in self._runbook.entries():
            events = self._events.setdefault(
                entry.run_id, EventFile(self._workspace.run_folder(entry.run_id) / "events.jsonl")
            )
            events.refresh()
            driver = None if entry.phase is Phase.DONE else self._runbook.holder(entry.run_id)
            cost = self._costs.of(entry.run_id, events.view)
            rows.append(RunRow(entry, events.view, len(events.failures), driver, cost))
        return rows
