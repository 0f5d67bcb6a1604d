"""Run: the main job. Rent → bootstrap → push → launch → watch → pull → destroy → ingest, resumable at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.errors import WrongInput
from console.operations.events import Journal, OperationEvent, Report, silent, tee
from console.operations.here_run import HereDriver
from console.operations.laptop_stages import check_secrets
from console.operations.letting_go import LetGo, may_let_go, stay
from console.operations.run_needs import check_checkpoints, check_cloud, check_this_machine
from console.operations.run_terms import InstanceTaken, Wishes, named_instance
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session
from console.operations.signals import deaf_to_signals
from console.operations.single_run import SingleDriver

if TYPE_CHECKING:
    from console.operations.fleet_run import FleetDriver

__all__ = ["InstanceTaken", "Wishes", "cancel", "drive"]


def drive(session: Session, run_id: str, report: Report = silent, wishes: Wishes | None = None) -> RunEntry:
    """Take a planned run to its end, from wherever it stands; returns how it ended.

    Stopped by Ctrl-C it cancels the job, pulls what is finished and destroys the instance, then raises again.

    Raises:
        LetGo: another process goes on with it; job and instance are left as they are.
        RunBusy: another process drives it.
        SecretMissing: it will want a key that is not here.
        CannotBeDone: it asks for what is not to be had; nothing was rented.
        InstanceTaken: `wishes` name another instance than the one that it works on.
        InstanceGone, remote.transport.TransportError: the box was lost on the way; resume goes on.
        remote.bootstrap.steps.BootstrapFailed: the box cannot be made ready; it is held or was given back, as asked.
    """
    runbook = Runbook(session.workspace)
    report = tee(report, Journal(session.workspace.run_folder(run_id) / "logs" / "operations.jsonl"))
    with may_let_go(), runbook.hold(run_id, drives=True):
        wishes = wishes or Wishes()
        driver = _driver(session, runbook, _noted(session, runbook, run_id, wishes), report)
        try:
            if runbook.read(run_id).here:
                check_this_machine(session, run_id)
            else:
                check_cloud(session, run_id)
            if not runbook.read(run_id).machines:
                check_checkpoints(session, run_id, report)
            driver.grant(wishes)
            check_secrets(session, runbook.read(run_id))
            return driver.drive()
        except LetGo as word:
            report(OperationEvent("run", "progress", f"{word}: everything stays as it is"))
            raise
        except KeyboardInterrupt:
            stay()
            driver.wind_down()
            raise
        except WrongInput:
            raise
        except Exception as error:
            with deaf_to_signals():
                driver.note_failure(error)
            raise


def _noted(session: Session, runbook: Runbook, run_id: str, wishes: Wishes) -> RunEntry:
    """The run with what is wished of its machines; how many work on it is settled while it has none."""
    entry = runbook.read(run_id)
    if wishes.here and entry.machines:
        raise InstanceTaken(
            f"run {run_id} works on instance {entry.machines[0]}: `spotter cancel {run_id}` stops that first"
        )
    if wishes.here and not entry.here:
        entry = runbook.update(run_id, here=True, sharded=False)
    if entry.here:
        return entry
    if wishes.replace is not None:
        entry = runbook.update(run_id, replace=wishes.replace)
    if entry.machines or (entry.phase is Phase.DONE and entry.state == "succeeded"):
        return entry
    instances = wishes.instances or (entry.instances if entry.sharded else session.settings.cloud.instances)
    if wishes.instance_id is None:
        gpus = session.settings.profile(wishes.profile or entry.profile).gpu_count
    else:
        instances = 1
        gpus = named_instance(session, wishes.instance_id).gpu_count
    return runbook.update(run_id, instances=instances, sharded=instances > 1 or gpus > 1)


def _driver(
    session: Session, runbook: Runbook, entry: RunEntry, report: Report
) -> SingleDriver | FleetDriver | HereDriver:
    if entry.here:
        return HereDriver(session, runbook, entry, report)
    if entry.sharded:
        from console.operations.fleet_run import FleetDriver

        return FleetDriver(session, runbook, entry, report)
    return SingleDriver(session, runbook, entry, report)


def cancel(session: Session, run_id: str, report: Report = silent) -> RunEntry:
    """Stop a run that no other process drives: cancel its job, fetch what is finished, destroy its instance.

    Raises:
        RunBusy: another process drives it; interrupting that one does the same.
    """
    runbook = Runbook(session.workspace)
    with runbook.hold(run_id):
        entry = runbook.read(run_id)
        if entry.phase is not Phase.DONE:
            _driver(session, runbook, entry, report).wind_down()
            runbook.update(run_id, problem="cancelled by the operator")
        return runbook.read(run_id)
