"""What the pulse is read from: the fleet, the runs of this workspace, and now and then the doctor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from console.models.pulse import PulseNews, wanted_runs
from console.operations.session import Session

if TYPE_CHECKING:
    from console.models.fleet import FleetView
    from console.operations.doctor import Finding

CHECKS_S = 60.0
"""The doctor counts files and may ask the cloud about the key."""


class PulseReader:
    """Reads again and again, each time only what is new. Not thread-safe: one look at a time."""

    def __init__(self, session: Session, clock: Callable[[], float] = time.monotonic) -> None:
        from console.models.runs import RunList

        self._session = session
        self._runs = RunList(session.workspace)
        self._clock = clock
        self._findings: tuple[Finding, ...] = ()
        self._checked_at: float | None = None

    def read(self, fleet: FleetView | None) -> PulseNews:
        """The pulse with a fleet that somebody else asked for."""
        from console.operations.doctor import examine

        now = self._clock()
        if self._checked_at is None or now - self._checked_at >= CHECKS_S:
            self._findings = tuple(examine(self._session.workspace, ""))
            self._checked_at = now
        return PulseNews(fleet, wanted_runs(self._runs.refresh()), self._findings)


def read_pulse(session: Session) -> PulseNews:
    """The pulse once, the cloud asked too; when it does not answer, the fleet says so."""
    from console.models.fleet import read_fleet

    return PulseReader(session).read(read_fleet(session))
