"""Destroy: end a rental, confirmed by the cloud, and never while it holds what was not pulled."""

from __future__ import annotations

import os

from console.operations.events import Report, Step, relay, silent
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session


class StillNeeded(Exception):
    """A run on this instance has results that are not on this machine."""


def unfinished_run(session: Session, instance_id: int) -> RunEntry | None:
    """The run that has results on this instance that are not pulled, if any."""
    for entry in Runbook(session.workspace).entries():
        if (
            instance_id in entry.machines
            and entry.phase.reached(Phase.LAUNCHED)
            and not entry.phase.reached(Phase.PULLED)
        ):
            return entry
    return None


def destroy(session: Session, instance_id: int, *, force: bool = False, report: Report = silent) -> None:
    """Destroy an instance and see the cloud confirm it; one that is already gone is no error.

    Raises:
        StillNeeded: a run on it is not pulled, and `force` was not given.
        remote.cloud.CloudError: the cloud does not answer; the instance may still be billed.
    """
    entry = unfinished_run(session, instance_id)
    runbook = Runbook(session.workspace)
    driver = runbook.holder(entry.run_id) if entry is not None else None
    if entry is not None and driver not in (None, os.getpid()) and not force:
        raise StillNeeded(
            f"run {entry.run_id} works on instance {instance_id}, driven by process {driver}: "
            f"`spotter cancel {entry.run_id}` stops it, keeps what is done and destroys the instance"
        )
    if entry is not None and not force:
        raise StillNeeded(
            f"instance {instance_id} holds results of run {entry.run_id} that are not here: "
            f"`spotter pull {entry.run_id}` "
            f"fetches them; `spotter destroy {instance_id} --force` gives them up"
        )
    with Step("destroy", f"destroying instance {instance_id}", report) as step:
        session.provisioner.destroy(instance_id, relay("destroy", report))
        spent = session.ledger.spent_usd(cloud=session.settings.cloud.name, instance_id=instance_id)
        step.summary = f"instance {instance_id} is gone, ${spent:.4f} spent on it"
    if entry is not None and driver is None:
        runbook.update(
            entry.run_id, instance_id=None, phase=Phase.DONE, state="interrupted", problem="its instance was destroyed"
        )
