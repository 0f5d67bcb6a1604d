"""Services of boxes as a screen needs them: what runs where, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.operations.session import Session

JUPYTER = "jupyter"


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service of one box."""

    name: str
    state: str
    """The job's own word: `running`, `exited` …; `not started` for one that could be."""
    port: int | None = None
    """On the box's loopback."""
    started_at: float | None = None
    """Unix seconds by the box's clock; None when it does not run."""
    job: str = ""

    @property
    def alive(self) -> bool:
        """Whether there is something to open."""
        return self.started_at is not None


NO_JUPYTER = ServiceView(JUPYTER, "not started")


@dataclass(frozen=True, slots=True)
class BoxServices:
    """What one box answered."""

    instance_id: int
    services: tuple[ServiceView, ...] = ()
    error: str = ""
    """Why it did not answer."""


def key_of(instance_id: int, name: str) -> str:
    """`31245/jupyter`."""
    return f"{instance_id}/{name}"


def read_services(session: Session, instance_id: int) -> BoxServices:
    """Ask one box for its services; Jupyter is told also when it was never started, so that it can be.

    Raises:
        InstanceGone, remote.transport.TransportError: the box cannot be reached.
    """
    from console.operations.services import list_services

    found = [
        ServiceView(
            each.name, each.job.state, each.port, (each.job.started_at or 0.0) if each.alive else None, each.job.id
        )
        for each in list_services(session, instance_id)
    ]
    if not any(each.name == JUPYTER for each in found):
        found.append(NO_JUPYTER)
    return BoxServices(instance_id, tuple(found))
