"""The states of one request, each on the ledger before anything is done in it, and told to whoever watches."""

from __future__ import annotations

from remote.ledger import Ledger
from remote.progress import Progress, Report
from remote.states import NEXT, State


class Track:
    """Where one request stands. A step that the table of states does not know is a mistake in the program."""

    def __init__(
        self, ledger: Ledger, cloud: str, request_id: str, report: Report, state: State = State.PLANNED
    ) -> None:
        self._ledger = ledger
        self._cloud = cloud
        self.report = report
        self.request_id = request_id
        self.state = state

    def enter(self, state: State, message: str, *, instance_id: int | None = None) -> None:
        """Enter `state`: the ledger first, then the report."""
        if state not in NEXT[self.state]:
            raise AssertionError(f"{self.state} cannot be followed by {state}")
        self._ledger.transition(
            self.request_id, state.value, cloud=self._cloud, instance_id=instance_id, message=message
        )
        self.state = state
        self.tell(message)

    def tell(self, message: str) -> None:
        """Report without a change of state."""
        self.report(Progress(self.state.value, message))
