"""Compare this workspace with a box, files and results: what is shown before anything travels."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from console.models.sync_plan import Box, BoxPlan, RunOnBox
from console.operations.runbook import Runbook, RunNotFound
from console.operations.session import Session
from console.operations.sync import diff_over
from console.operations.transfers import TransferNotes

if TYPE_CHECKING:
    from remote.transport import Transport


def boxes_of(session: Session) -> tuple[Box, ...]:
    """What is rented, with what is being sent to it; asks the ledger and this workspace's notes only."""
    notes = TransferNotes(session.workspace)
    return tuple(
        Box(row.instance_id, row.gpu_name, notes.read(row.instance_id))
        for row in sorted(session.living_rentals(), key=lambda row: row.instance_id)
    )


def plan_sync(session: Session, instance_id: int) -> BoxPlan:
    """What differs from a box's working copy, and which results it holds that are not here.

    Raises:
        InstanceGone, remote.transport.TransportError: the box cannot be reached.
    """
    from remote.sync.pull import listed_runs

    with session.reach(instance_id) as transport:
        differences = tuple(diff_over(session, transport))
        root = session.settings.cloud.remote_root
        known = [run_id for run_id in listed_runs(transport, root) if _is_known(session, run_id)]
        runs = tuple(_run_on_box(session, transport, root, run_id) for run_id in known)
    return BoxPlan(instance_id, time.time(), differences, runs)


def _is_known(session: Session, run_id: str) -> bool:
    """Whether it is a run of this workspace; parts of a run over several boxes have names of their own."""
    try:
        Runbook(session.workspace).read(run_id)
    except RunNotFound:
        return False
    return True


def _run_on_box(session: Session, transport: Transport, root: str, run_id: str) -> RunOnBox:
    from remote.sync.pull import pull_complete

    if Runbook(session.workspace).holder(run_id) is not None:
        return RunOnBox(run_id, (), driven=True)
    folder = session.workspace.run_folder(run_id)
    return RunOnBox(run_id, pull_complete(transport, f"{root}/runs/{run_id}", folder))
