"""A box that cannot be reached: whether it is lost, and whose doing that is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from console.operations.runbook import RunEntry
from console.operations.session import InstanceGone, Session

PATIENCE_S = 300.0
EMULATED_PATIENCE_S = 20.0
LOOK_AGAIN_S = 2.0


class BoxLost(Exception):
    """A box that the cloud still lists could not be reached for too long."""


class BoxStopped(Exception):
    """The run's box is stopped, and nobody asked to start it."""


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
        remote.cloud.CloudError: neither cloud nor box answered for so long, so nobody can tell.
    """
    from remote.cloud import CloudUnreachable, RateLimited
    from remote.transport import TransportError

    deadline = time.monotonic() + patience_s(session)
    while True:
        try:
            session.reach(instance_id).close()
        except InstanceGone:
            raise
        except (TransportError, CloudUnreachable, RateLimited) as error:
            if time.monotonic() > deadline:
                if not isinstance(error, TransportError):
                    raise  # this machine is off the network, as far as it can see
                words = f"instance {instance_id} could not be reached for {patience_s(session):.0f} s"
                raise BoxLost(f"{words}: {error}") from error
            if stop is not None and stop.is_set():
                raise
            time.sleep(LOOK_AGAIN_S)
        else:
            return


def start_if_stopped(
    session: Session, instance_id: int, run: RunEntry, say: Callable[[str], None], *, may: bool
) -> None:
    """Start a box that its dead-man stopped for idleness, for the run that goes on: what was on it is still there.

    Args:
        session: the workspace's session.
        instance_id: the box; nothing is done while it is not stopped.
        run: what is to go on there.
        say: is told that it is started.
        may: whether a GPU's bill may begin again.

    Raises:
        BoxStopped: it is stopped and may not be started.
        BoxLost: it does not come up.
        InstanceGone, remote.cloud.CloudError: as `await_box`.
    """
    from remote.cloud import InstanceStatus

    if session.instance(instance_id).status not in (InstanceStatus.STOPPED, InstanceStatus.EXITED):
        return
    if not may:
        raise BoxStopped(
            f"instance {instance_id} is stopped and its disk is billed: `spotter run --resume {run.run_id}` starts it "
            f"and goes on, `spotter destroy {instance_id}` gives it up"
        )
    say(f"instance {instance_id} is stopped, by its dead-man or by the cloud: starting it")
    session.cloud.start(instance_id)
    await_box(session, instance_id)
    session.provisioner.look_after()
