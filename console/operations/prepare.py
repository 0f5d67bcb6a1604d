"""Prepare and start: push code, sources and run, launch the job exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from console.operations.events import Report, Step, relay, silent
from console.operations.guard import guard
from console.operations.job_notes import launch_noted
from console.operations.runbook import RunEntry
from console.operations.session import Session
from console.words import count, size

if TYPE_CHECKING:
    from remote.jobs import Agent, JobStatus
    from remote.sync.push import Release
    from remote.transport import Transport


GRACE_S = 30.0
"""What a cancelled job may take to finish what is in flight and to close its ledger."""


def push_code(session: Session, transport: Transport, report: Report = silent) -> Release:
    """Push Spotter's own worker packages, as they are installed here, as an immutable release."""
    from remote.release import worker_files
    from remote.sync.push import push_release

    with Step("push", "sending Spotter's worker code", report) as step:
        release = push_release(transport, session.settings.cloud.remote_root, worker_files(), relay("push", report))
        there = " (was there)" if release.reused else f", {size(release.bytes)}"
        step.summary = f"code {release.tree_hash[:12]}: {count(release.files, 'file')}{there}"
    return release


def push_data(
    session: Session, transport: Transport, run_id: str, sources: Mapping[str, Path], report: Report = silent
) -> None:
    """Send the sources that the box lacks, and everything that the run needs to start or resume."""
    from remote.sync.push import push_blobs, push_run

    root = session.settings.cloud.remote_root
    with Step("push", f"sending {count(len(sources), 'source')}", report) as step:
        blobs = push_blobs(transport, root, sources, relay("push", report))
        pushed = push_run(transport, root, session.workspace.run_folder(run_id), relay("push", report))
        step.summary = (
            f"{count(blobs.sent, 'source')} sent ({size(blobs.sent_bytes)}), {blobs.present} there · "
            f"run folder: {count(pushed.files, 'file')}"
        )


def launch(session: Session, agent: Agent, entry: RunEntry, release_path: str, report: Report = silent) -> JobStatus:
    """Start the run's job on a box that is guarded; launching it again only tells how it stands."""
    from remote.bootstrap.caches import job_environment
    from remote.jobs import JobSpec

    assert entry.job_id is not None
    assert entry.interpreter is not None
    assert entry.instance_id is not None
    run_dir = f"{agent.root}/runs/{entry.run_id}"
    argv = [entry.interpreter, "-m", "pipeline", "run", entry.pipeline, "--run-dir", run_dir]
    argv += ["--blobs", f"{agent.root}/blobs", "--resume", "--place", "box"]
    spec = JobSpec(
        id=entry.job_id,
        argv=tuple(argv),
        cwd=release_path,
        env={**job_environment(agent), "PYTHONPATH": release_path, "PYTHONUNBUFFERED": "1"},
        cancel_file=f"{run_dir}/cancel",
        grace_s=GRACE_S,
    )
    guard(session, agent, entry.instance_id, report)
    with Step("launch", f"starting job {entry.job_id}", report) as step:
        status = launch_noted(session, agent, entry.instance_id, entry.run_id, spec)
        step.summary = f"job {entry.job_id} {status.state}"
    return status
