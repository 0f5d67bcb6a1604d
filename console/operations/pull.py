"""Pull: everything that a run made, verified, before its box may go."""

from __future__ import annotations

from console.errors import WrongInput
from console.operations.events import Report, Step, relay, silent
from console.operations.runbook import Phase, Runbook
from console.operations.session import Session
from console.words import count, size


class AllIsHere(WrongInput):
    """Fetching a run again would undo what was done here since."""


class NotPulled(Exception):
    """The box still holds files that this machine does not."""


SESSION_FILES = frozenset({"run.json", "ledger.sqlite", "metrics.jsonl"})
"""Rewritten while a session works, listed anew at its orderly end: after any other end the list is older than they."""


def pull(session: Session, instance_id: int, run_id: str, report: Report = silent, *, orderly: bool = True) -> int:
    """Fetch and verify what the run's own list names, and its ledger; returns how many files came.

    `orderly` says that the job ended by itself: then its bookkeeping, too, must match the list.

    Raises:
        NotPulled: something listed could not be had; the instance must not be destroyed yet.
        AllIsHere: it was pulled, and this machine has gone on from there.
    """
    from remote.jobs import Agent
    from remote.sync.live import pull_live

    entry = Runbook(session.workspace).read(run_id)
    if entry.laptop_stages and entry.phase.reached(Phase.PULLED):
        raise AllIsHere(f"what run {run_id} made on instance {instance_id} is here, and this machine went on from it")
    folder = session.workspace.run_folder(run_id)
    root = session.settings.cloud.remote_root
    with (
        Step("pull", "fetching what the run made", report) as step,
        session.reach(instance_id) as transport,
        Agent.start(transport, root, reconnect=session.reacher(instance_id)) as agent,
    ):
        pulled = pull_live(agent, transport, f"{root}/runs/{run_id}", folder, relay("pull", report))
        missing = [path for path in pulled.missing if orderly or path not in SESSION_FILES]
        if missing:
            raise NotPulled(
                f"{count(len(missing), 'file')} of run {run_id} on instance {instance_id} did not arrive, "
                f"the first: {missing[0]}"
            )
        step.summary = f"{count(pulled.listed, 'file')}, all verified; {size(pulled.bytes)} in this pull"
    return pulled.files
