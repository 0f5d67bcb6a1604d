"""Jobs as the ledger of rentals knows them, by which idle time is told: launched here, and ended when heard."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from console.operations.session import Session

if TYPE_CHECKING:
    from remote.jobs import Agent, JobSpec, JobStatus


def launch_noted(session: Session, agent: Agent, instance_id: int, run_id: str, spec: JobSpec) -> JobStatus:
    """Launch a run's job, in the ledger before it exists; launching it again only tells how it stands."""
    ledger, where = session.ledger, (session.cloud_name, instance_id)
    ledger.record_job(spec.id, *where, state="launching", run_id=run_id, spec=asdict(spec))
    status = agent.launch(spec)
    ledger.record_job(spec.id, *where, state=status.state, exit_code=status.exit_code)
    return status


def note_end(session: Session, instance_id: int, status: JobStatus) -> None:
    """Note that a job ended, if it did; hearing the same of it again leaves the moment as it was noted."""
    if not status.ended:
        return
    ledger, cloud = session.ledger, session.cloud_name
    known = next((row for row in ledger.jobs(cloud=cloud, instance_id=instance_id) if row.job_id == status.id), None)
    if known is None or (known.state, known.exit_code) != (status.state, status.exit_code):
        ledger.record_job(status.id, cloud, instance_id, state=status.state, exit_code=status.exit_code)
