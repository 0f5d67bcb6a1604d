"""Destroy: end a rental, confirmed by the cloud, and never while it holds what was not pulled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from console.operations.events import Report, Step, relay, silent
from console.operations.pull import SESSION_FILES
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import InstanceGone, Session

if TYPE_CHECKING:
    from remote.transport import Transport


NOTHING_THERE_YET = ("allocated", "pulling", "booting", "reachable", "authed")
"""States of a rental in which nobody can have left anything on the box."""


class StillNeeded(Exception):
    """The instance has, or may have, something that is not on this machine; or it is somebody else's."""


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


def check_nothing_is_lost(session: Session, instance_id: int) -> None:
    """Ask the box itself whether everything that it lists, and every file that was edited there, is here too.

    Raises:
        StillNeeded: naming what would be lost, or why nobody can tell.
    """
    from remote.transport import TransportError

    was_never_in = not (session.workspace.host_keys / str(instance_id)).exists()
    try:
        with session.reach(instance_id) as transport:
            lost = [*_not_pulled(session, transport), *_edited_there(session, transport)]
    except InstanceGone:
        return
    except TransportError as error:
        row = session.ledger.instance(session.cloud_name, instance_id)
        if (was_never_in and row is None) or (row is not None and row.state in NOTHING_THERE_YET):
            return  # an orphan whose host key nobody here ever saw, or a rental that did not get that far
        raise StillNeeded(
            f"instance {instance_id} could not be asked what it holds ({error}): "
            f"`spotter destroy {instance_id} --force` gives it up with whatever is on it"
        ) from error
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise StillNeeded(
            f"instance {instance_id} holds what is not here: {lost[0]}{more}; "
            "`spotter pull` and `spotter diff --take box` fetch it, "
            f"`spotter destroy {instance_id} --force` gives it up"
        )


def owner_problem(label: str, mark: str) -> str | None:
    """Why an instance that the ledger does not know is not ours by its label; None when it is."""
    from remote.labels import is_foreign, is_ours, mark_of

    if is_ours(label, mark):
        return None
    if is_foreign(label, mark):
        return f"another workspace of this account rented it (its mark is {mark_of(label)})"
    return f"it was not rented with Spotter (its label is {label!r})"


def check_is_ours(session: Session, instance_id: int) -> None:
    """See that this workspace rented it.

    Raises:
        StillNeeded: somebody else did; the text says who.
        remote.cloud.CloudError: the cloud does not answer.
    """
    cloud = session.living_cloud()
    if cloud is None or session.ledger.instance(session.cloud_name, instance_id) is not None:
        return
    found = cloud.instance(instance_id)
    problem = None if found is None else owner_problem(found.label, session.ledger.mark)
    if problem is not None:
        raise StillNeeded(
            f"instance {instance_id} is not this workspace's: {problem}; "
            f"`spotter destroy {instance_id} --force` destroys it all the same"
        )


def _not_pulled(session: Session, transport: Transport) -> list[str]:
    """Files of runs that the box lists and this machine does not hold verified."""
    from remote.sync.pull import BoxBehind, BoxDiverged, listed_runs, pull_complete

    root = session.settings.cloud.remote_root
    missing = []
    for run_id in listed_runs(transport, root):
        folder = session.workspace.run_folder(run_id)
        if not folder.is_dir():
            missing.append(f"run {run_id}")
            continue
        try:
            paths = pull_complete(transport, f"{root}/runs/{run_id}", folder)
        except BoxDiverged:
            missing.append(f"what run {run_id} did there while another box went on with it")
            continue
        except BoxBehind:
            continue  # what another box did since is here, and it began from what this one had done
        missing += [f"{path} of run {run_id}" for path in paths if path not in SESSION_FILES]
    return missing


def _edited_there(session: Session, transport: Transport) -> list[str]:
    """Files of the box's working copy that somebody changed or made there, and that are not the same here."""
    from remote.agent.files import sha256_of
    from remote.sync.workcopy import list_copy

    copy = list_copy(transport, session.settings.cloud.remote_root)
    edited = []
    for name, side in copy.files.items():
        if copy.base.get(name) == side.sha256:
            continue
        here = session.workspace.root / name
        if not here.is_file() or here.stat().st_size != side.size or sha256_of(here) != side.sha256:
            edited.append(f"{name} in its working copy")
    return edited


def check_may_go(session: Session, instance_id: int) -> None:
    """See that nothing is lost with an instance.

    Raises:
        StillNeeded: a run on it is not pulled, a file was edited there, or it cannot be asked; the text says the way.
    """
    entry = unfinished_run(session, instance_id)
    driver = None if entry is None else Runbook(session.workspace).holder(entry.run_id)
    if entry is not None and driver not in (None, os.getpid()):
        raise StillNeeded(
            f"run {entry.run_id} works on instance {instance_id}, driven by process {driver}: "
            f"`spotter cancel {entry.run_id}` stops it, keeps what is done and destroys the instance"
        )
    if entry is not None:
        raise StillNeeded(
            f"instance {instance_id} holds results of run {entry.run_id} that are not here: "
            f"`spotter pull {entry.run_id}` "
            f"fetches them; `spotter destroy {instance_id} --force` gives them up"
        )
    check_nothing_is_lost(session, instance_id)


def destroy(session: Session, instance_id: int, *, force: bool = False, report: Report = silent) -> None:
    """Destroy an instance and see the cloud confirm it; one that is already gone is no error.

    Raises:
        StillNeeded: a run on it is not pulled, a file was edited there, it cannot be asked, or somebody else rented
            it, and `force` was not given.
        remote.cloud.CloudError: the cloud does not answer; the instance may still be billed.
    """
    if not force:
        check_is_ours(session, instance_id)
        check_may_go(session, instance_id)
    entry = unfinished_run(session, instance_id)
    runbook = Runbook(session.workspace)
    driver = runbook.holder(entry.run_id) if entry is not None else None
    with Step("destroy", f"destroying instance {instance_id}", report) as step:
        session.provisioner.destroy(instance_id, relay("destroy", report))
        spent = session.ledger.spent_usd(cloud=session.cloud_name, instance_id=instance_id)
        step.summary = f"instance {instance_id} is gone, ${spent:.4f} spent on it"
    if entry is not None and driver is None:
        runbook.update(
            entry.run_id, instance_id=None, phase=Phase.DONE, state="interrupted", problem="its instance was destroyed"
        )
