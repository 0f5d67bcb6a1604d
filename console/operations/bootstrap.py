"""Make a rented machine ready: run its bootstrap steps, keep what each one found, say what to type when one fails."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from console.operations.events import Report, Step, relay, silent
from console.operations.session import Session

if TYPE_CHECKING:
    from remote.bootstrap.needs import BoxNeeds
    from remote.bootstrap.steps import BootstrapFailed, StepResult
    from remote.ledger_rows import StepRow
    from remote.sync.push import Release
    from remote.transport import Transport


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of a machine's bootstrap, as it is listed."""

    step: str
    outcome: str
    """kept | found | ran | skipped | failed."""
    took_s: float | None
    at: float
    """Unix seconds when it was begun."""
    evidence: dict[str, Any]


def needs_of(session: Session, *, jupyter: bool = False) -> BoxNeeds:
    """What the workspace's settings ask of a box."""
    from remote.bootstrap.needs import BoxNeeds

    wanted = session.settings.bootstrap
    return BoxNeeds(
        stack=wanted.stack,
        jupyter=jupyter,
        system_packages=wanted.system_packages,
        may_install_packages=not session.emulated,
        index_url=wanted.index_url or None,
    )


def bootstrap(
    session: Session,
    transport: Transport,
    instance_id: int,
    release: Release,
    report: Report = silent,
    *,
    jupyter: bool = False,
    needs: BoxNeeds | None = None,
) -> str:
    """Make the box ready, each step on the ledger with its evidence; returns the interpreter that jobs must use.

    `needs`: what is asked of it, where that is more than the settings say. With `jupyter` that interpreter's
    environment holds JupyterLab too. Doing it again only checks.

    Raises:
        remote.bootstrap.steps.BootstrapFailed: with the step and its last lines.
    """
    from remote.bootstrap.defaults import default_steps, worker_python
    from remote.bootstrap.run import bootstrap as run_steps
    from remote.bootstrap.steps import BootstrapFailed

    steps = default_steps(release, needs or needs_of(session, jupyter=jupyter))
    began = time.time()
    with Step("bootstrap", "checking interpreter, agent, worker environment", report) as step:
        try:
            results = run_steps(
                transport,
                session.settings.cloud.remote_root,
                steps,
                relay("bootstrap", report),
                reconnect=session.reacher(instance_id),
                on_result=lambda result: _keep(session, instance_id, result),
            )
        except BootstrapFailed as failed:
            _keep_failure(session, instance_id, failed, began)
            raise
        step.summary = " · ".join(f"{result.id} {result.outcome}" for result in results)
    return worker_python(results)


def _keep(session: Session, instance_id: int, result: StepResult) -> None:
    now = time.time()
    session.ledger.record_step(
        session.cloud_name,
        instance_id,
        result.id,
        inputs_hash=result.inputs_hash,
        state="failed" if result.outcome == "failed" else "ok",
        evidence={"outcome": result.outcome, **result.evidence},
        started_at=now - result.elapsed_s,
        ended_at=now,
    )


def _keep_failure(session: Session, instance_id: int, failed: BootstrapFailed, began: float) -> None:
    evidence = {
        "outcome": "failed",
        "command": failed.command,
        "last_lines": failed.last_lines,
        "tries": failed.tries,
    }
    session.ledger.record_step(
        session.cloud_name,
        instance_id,
        failed.step,
        inputs_hash=failed.inputs_hash,
        state="failed",
        evidence=evidence,
        started_at=began,
        ended_at=time.time(),
    )


def bootstrap_ledger(session: Session, instance_id: int) -> list[StepLine]:
    """What each step of an instance found when it was last gone through, in their order."""
    return [_line(row) for row in session.ledger.steps(session.cloud_name, instance_id)]


def _line(row: StepRow) -> StepLine:
    evidence = dict(row.evidence)
    outcome = str(evidence.pop("outcome", row.state))
    took_s = None if row.ended_at is None else round(row.ended_at - row.started_at, 3)
    return StepLine(row.step_id, outcome, took_s, row.started_at, evidence)


def bootstrap_by_hand(
    session: Session, instance_id: int, report: Report = silent, *, jupyter: bool = False
) -> dict[str, Any]:
    """Push Spotter's code to an instance and make it ready, or ready again.

    Returns:
        `instance`, `python` (what jobs there must use), `release`, and `steps` as `bootstrap_ledger` lists them.

    Raises:
        remote.bootstrap.steps.BootstrapFailed: with the step, its last lines, and what can be typed next as notes.
        console.operations.session.InstanceGone: there is no such instance.
    """
    from console.operations.prepare import push_code
    from remote.bootstrap.steps import BootstrapFailed

    with session.reach(instance_id) as transport:
        release = push_code(session, transport, report)
        try:
            python = bootstrap(session, transport, instance_id, release, report, jupyter=jupyter)
        except BootstrapFailed as failed:
            add_way_out(session, failed, instance_id)
            raise
    lines = [asdict(line) for line in bootstrap_ledger(session, instance_id)]
    return {"instance": instance_id, "python": python, "release": release.tree_hash, "steps": lines}


def add_way_out(
    session: Session, failed: BootstrapFailed, instance_id: int, run_id: str | None = None
) -> BootstrapFailed:
    """Tell, below the error, that the machine is held, what that costs, and what to type next."""
    failed.add_note(f"instance {instance_id} is held: {cost_words(session, instance_id)}")
    failed.add_note(
        f"`spotter ssh {instance_id}` looks at it, `spotter bootstrap {instance_id}` tries again"
        + (f", `spotter run --resume {run_id}` goes on" if run_id else "")
        + f", `spotter destroy {instance_id}` gives it back"
    )
    return failed


def cost_words(session: Session, instance_id: int) -> str:
    """What an instance costs and has cost up to this moment."""
    from console.words import usd, usd_per_hour

    cloud = session.cloud_name
    row = session.ledger.instance(cloud, instance_id)
    if row is None:
        return "the ledger does not know its price"
    spent = session.ledger.spent_usd(cloud=cloud, instance_id=instance_id)
    return f"{usd_per_hour(row.usd_per_hour)}, {usd(spent)} so far"
