"""The log of an instance's newest run, as it comes to this machine; the Log view has filter, marks and more."""

from __future__ import annotations

from collections.abc import Sequence

from console.language import _
from console.widgets.ring_log import RingLog


class LogPane(RingLog):
    """Lines of one run at a time."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._run = ""

    def show(self, fresh: Sequence[str], run_id: str) -> None:
        """Draw what came since the last look; another run's log begins anew."""
        if run_id != self._run:
            self.forget()
            self._run = run_id
        if fresh:
            self.append(fresh)
        elif not self.empty:
            self.empty = _("No run of this workspace has worked here yet.")
            if run_id:
                self.empty = _("The log of run {run} is not here yet.").format(run=run_id[-8:])
            self.redraw()

    def forget(self) -> None:
        """Another instance is meant."""
        self._run, self.empty = "", ""
        self.clear()
