"""Stop: end a machine's GPU bill and keep its disk, whose bill goes on; the ledger is told before and after."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from console.models.fleet import STOPPED_HERE
from console.operations.destroy import StillNeeded, check_is_ours
from console.operations.events import Report, Step, silent
from console.operations.runbook import Phase, Runbook
from console.operations.session import InstanceGone, Session
from console.words import usd
from remote.states import IN_USE, State

if TYPE_CHECKING:
    from remote.ledger import RentedInstance

STOPPING_S = 120.0
LOOK_EVERY_S = 2.0
EMULATED_LOOK_EVERY_S = 0.1
HOURS_PER_DAY = 24.0


class CannotStop(Exception):
    """This instance cannot be stopped; the text says what can be done instead."""


class NotStopped(Exception):
    """The cloud took the order and did not confirm it: the GPU may still be billed."""


def stop(session: Session, instance_id: int, report: Report = silent) -> float:
    """Stop an instance and see the cloud confirm it; one that is stopped already is no error.

    Returns:
        What it costs an hour from now on: its disk.

    Raises:
        StillNeeded: somebody else rented it, or a run works on it now.
        CannotStop: it is not on the ledger, or not in a state from which it can be stopped.
        NotStopped: the cloud did not confirm it in time.
        InstanceGone: there is no such instance.
        remote.cloud.CloudError: the cloud does not answer; the instance may still be billed in full.
    """
    check_is_ours(session, instance_id)
    found = session.instance(instance_id)
    row = session.ledger.instance(session.cloud_name, instance_id)
    if row is None or not row.alive:
        raise CannotStop(f"instance {instance_id} is not on the ledger: `spotter destroy {instance_id}` ends its bill")
    _refuse_at_work(session, instance_id)
    if row.state == State.STOPPED:
        report_words(session, row, report)
        return row.disk_usd_per_hour
    if row.state not in IN_USE:
        raise CannotStop(
            f"instance {instance_id} is {row.state}, which is no state to stop in: "
            f"`spotter destroy {instance_id}` ends its bill"
        )
    ledger, name = session.ledger, session.cloud_name
    with Step("stop", f"stopping instance {instance_id}", report) as step:
        intent = ledger.record_intent("stop", cloud=name, request_id=row.request_id, instance_id=instance_id)
        try:
            session.cloud.stop(found.id)
            _await_stopped(session, instance_id)
        except Exception as error:
            ledger.record_outcome(intent, "failed", detail=str(error))
            raise
        ledger.transition(
            row.request_id, State.STOPPED.value, cloud=name, instance_id=instance_id,
            message=STOPPED_HERE,
        )  # fmt: skip
        ledger.note_billed(name, instance_id, ("disk",))
        ledger.record_outcome(intent, "ok")
        step.summary = _words(row)
    return row.disk_usd_per_hour


def report_words(session: Session, row: RentedInstance, report: Report) -> None:
    """Say of an instance that is stopped already what it costs on."""
    with Step("stop", f"instance {row.instance_id} is stopped already", report) as step:
        step.summary = _words(row)


def _words(row: RentedInstance) -> str:
    a_day = usd(row.disk_usd_per_hour * HOURS_PER_DAY)
    price = f"its disk costs {a_day} a day on" if row.disk_usd_per_hour else "its disk costs on"
    return f"instance {row.instance_id} is stopped, {price} until `spotter destroy {row.instance_id}`"


def _refuse_at_work(session: Session, instance_id: int) -> None:
    """A run that is driven would take a stopped box for lost, and destroy it for another."""
    runbook = Runbook(session.workspace)
    for entry in runbook.entries():
        if instance_id not in entry.machines or entry.phase is Phase.DONE:
            continue
        driver = runbook.holder(entry.run_id)
        if driver is not None and driver != os.getpid():
            raise StillNeeded(
                f"run {entry.run_id} works on instance {instance_id}, driven by process {driver}: "
                f"`spotter cancel {entry.run_id}` stops it, keeps what is done and destroys the instance"
            )


def _await_stopped(session: Session, instance_id: int) -> None:
    from remote.cloud import CloudUnreachable, RateLimited
    from remote.look import was_stopped

    clock = session.clock
    deadline = clock.monotonic() + STOPPING_S
    every_s = EMULATED_LOOK_EVERY_S if session.emulated else LOOK_EVERY_S
    while True:
        try:
            found = session.cloud.instance(instance_id)
            if found is None:
                raise InstanceGone(f"instance {instance_id} went away while it was stopped")
            if was_stopped(found) and found.status != "running":
                return
            said = found.status.value
        except (CloudUnreachable, RateLimited) as silence:
            said = str(silence)
        if clock.monotonic() > deadline:
            raise NotStopped(
                f"instance {instance_id} may still be billed in full: the cloud did not confirm within "
                f"{STOPPING_S:.0f} s that it stopped (it says: {said}); stop it again, or destroy it"
            )
        clock.sleep(every_s)
