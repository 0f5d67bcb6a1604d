"""A box that cannot be reached: whether it is lost, and whose doing that is."""

from __future__ import annotations

import threading
import time

from console.operations.session import InstanceGone, Session

PATIENCE_S = 300.0
EMULATED_PATIENCE_S = 20.0
LOOK_AGAIN_S = 2.0


class BoxLost(Exception):
    """A box that the cloud still lists could not be reached for too long."""


def patience_s(session: Session) -> float:
    """How long a box that the cloud still lists may be out of reach before it counts as lost."""
    return EMULATED_PATIENCE_S if session.emulated else PATIENCE_S


def was_destroyed_here(session: Session, instance_id: int) -> bool:
    """Whether somebody asked for its end with Spotter: that is a decision, and no loss."""
    return any(
        intent.operation == "destroy" and intent.instance_id == instance_id
        for intent in session.ledger.intents(cloud=session.cloud_name)
    )


def await_box(session: Session, instance_id: int, stop: threading.Event | None = None) -> None:
    """Return once the box can be reached again.

    Raises:
        InstanceGone: the cloud no longer knows it.
        BoxLost: the cloud lists it, and it did not answer for as long as patience lasts.
        remote.cloud.CloudError: the cloud does not answer, so nobody can tell.
    """
    from remote.transport import TransportError

    deadline = time.monotonic() + patience_s(session)
    while True:
        try:
            session.reach(instance_id).close()
        except InstanceGone:
            raise
        except TransportError as error:
            if time.monotonic() > deadline:
                words = f"instance {instance_id} could not be reached for {patience_s(session):.0f} s"
                raise BoxLost(f"{words}: {error}") from error
            if stop is not None and stop.is_set():
                raise
            time.sleep(LOOK_AGAIN_S)
        else:
            return
