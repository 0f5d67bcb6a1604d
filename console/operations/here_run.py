"""A run on the machine that the operator sits at: nothing is rented, nothing is pushed, nothing is pulled."""

from __future__ import annotations

from console.operations.events import OperationEvent, Report
from console.operations.ingest import ingest_run
from console.operations.laptop_stages import run_all_here
from console.operations.run_terms import STOPPED, InstanceTaken, Wishes, only_final_failures
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session


class HereDriver:
    """Takes a planned run to its end without any box."""

    def __init__(self, session: Session, runbook: Runbook, entry: RunEntry, report: Report) -> None:
        self._session = session
        self._runbook = runbook
        self._entry = entry
        self._report = report

    def grant(self, wishes: Wishes) -> None:
        """Refuse a machine: this run has none.

        Raises:
            InstanceTaken: an instance was named.
        """
        if wishes.instance_id is not None or (wishes.instances or 1) > 1:
            raise InstanceTaken(
                f"run {self._entry.run_id} is one of this machine alone: plan it again with --again to give it another"
            )

    def drive(self) -> RunEntry:
        """From the phase on disk to the last."""
        entry = self._entry
        if entry.phase is Phase.DONE:
            if entry.state == "succeeded" or only_final_failures(self._session, entry, self._say):
                return entry
            self._update(phase=Phase.PLANNED)
        if not self._entry.phase.reached(Phase.COMPLETED):
            self._update(state="running", problem=None, exit_code=None, attempt=entry.attempt + 1)
            ended = run_all_here(self._session, self._entry, self._report)
            self._update(phase=Phase.COMPLETED, state=ended.state, exit_code=ended.exit_code, problem=ended.problem)
        if not self._entry.phase.reached(Phase.INGESTED):
            self._ingest()
        return self._update(phase=Phase.DONE)

    def wind_down(self) -> None:
        """After Ctrl-C: what was at work has ended by now; say how to go on."""
        if not self._entry.phase.reached(Phase.COMPLETED):
            self._update(phase=Phase.DONE, state="cancelled", problem=STOPPED)
        self._say(f"what is finished is kept: `spotter run --resume {self._entry.run_id}` goes on")

    def note_failure(self, error: Exception) -> None:
        """Keep the reason."""
        self._update(state="failed", problem=str(error) or type(error).__name__)

    def _ingest(self) -> None:
        ingest_run(self._session, self._entry.run_id, self._report)
        self._update(phase=Phase.INGESTED)

    def _update(self, **changes: object) -> RunEntry:
        self._entry = self._runbook.update(self._entry.run_id, **changes)
        return self._entry

    def _say(self, message: str) -> None:
        self._report(OperationEvent("run", "progress", message))
