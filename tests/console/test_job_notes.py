"""The ledger hears when jobs end, however a run spreads them: what a kept machine cost after that was idle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from console.models.waste import causes
from console.operations.events import silent
from console.operations.fleet_work import FleetWork
from console.operations.fleet_workers import Workers
from console.operations.metrics import read_rentals
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session, open_session
from console.operations.single_run import SingleDriver
from console.workspace import create_workspace
from pipeline.core.shards import Listing
from remote.agent.spec import JobSpec, JobStatus
from remote.jobs import NoSuchJob

RUN = "01jtestrun00000000abcdefgh"
BOX = 7
HOUR = 3600.0


class Time:
    """A clock that stands until it is told."""

    now = 1_800_000_000.0

    def time(self) -> float:
        return self.now

    monotonic = time


class BoxAgent:
    """Stands for the agent: jobs that run until they are ended here."""

    root = "/spotter"

    def __init__(self) -> None:
        self.jobs: dict[str, JobStatus] = {}

    def launch(self, spec: JobSpec) -> JobStatus:
        return self.jobs.setdefault(spec.id, JobStatus(spec.id, "running", "log"))

    def status(self, job_id: str) -> JobStatus:
        if job_id not in self.jobs:
            raise NoSuchJob(job_id)
        return self.jobs[job_id]

    def end(self, state: str = "exited", exit_code: int | None = 0) -> None:
        for job_id, status in self.jobs.items():
            if not status.ended:
                self.jobs[job_id] = JobStatus(job_id, state, "log", exit_code=exit_code)

    def cancel(self, _job_id: str) -> None:
        self.end("cancelled", 4)

    def wait(self, job_id: str, *, timeout_s: float) -> JobStatus:
        assert timeout_s > 0
        return self.status(job_id)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("console.operations.clock.SYSTEM_CLOCK", time)
    return time


@pytest.fixture
def session(tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr("remote.bootstrap.caches.job_environment", lambda _agent: {})
    workspace, _fresh = create_workspace(tmp_path / "workspace")
    made = open_session(workspace)
    made.ledger.open_instance(
        "local", BOX, run_id=RUN, label="x", gpu_name="X", gpu_usd_per_hour=1.0, disk_usd_per_hour=0.0
    )
    made.ledger.instance_running("local", BOX)
    yield made
    made.ledger.close()


@pytest.fixture
def agent() -> BoxAgent:
    return BoxAgent()


def seconds_by_cause(session: Session, time: Time) -> dict[str, float]:
    return {each.cause: each.seconds for each in causes(read_rentals(session), 0.0, time.now)}


def two_workers(session: Session) -> tuple[FleetWork, Workers]:
    """The workers of a kept box with two GPUs."""
    runbook = Runbook(session.workspace)
    session.workspace.run_folder(RUN).mkdir(parents=True, exist_ok=True)
    runbook.write(RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.LAUNCHED, sharded=True))
    work = FleetWork(session, runbook, RUN, silent)
    if not work.book.fleet.boxes:
        work.book.want(
            state="working", instance_id=BOX, kept=True, workers=2, interpreter="/usr/bin/python", release="/release"
        )
    return work, Workers(work, "b1", lambda _words: None)


NOTHING_LEFT = Listing((), (), ("0000", "0001"))


def test_a_box_of_a_sharded_run_is_idle_once_its_workers_ended(session: Session, agent: BoxAgent, time: Time) -> None:
    _work, workers = two_workers(session)
    assert workers.keep_alive(agent, workers.statuses(agent), Listing(("0000", "0001"), (), ()))
    time.now += HOUR
    agent.end()
    assert not workers.keep_alive(agent, workers.statuses(agent), NOTHING_LEFT)
    time.now += HOUR
    assert seconds_by_cause(session, time) == {"work": HOUR, "idle": HOUR}
    assert [(job.state, job.exit_code) for job in session.ledger.jobs(run_id=RUN)] == [("exited", 0)] * 2


def test_an_end_that_another_console_hears_again_stays_where_it_was(
    session: Session, agent: BoxAgent, time: Time
) -> None:
    _work, workers = two_workers(session)
    workers.keep_alive(agent, workers.statuses(agent), Listing(("0000",), (), ()))
    agent.end()
    workers.statuses(agent)
    time.now += HOUR
    _work, anew = two_workers(session)
    anew.statuses(agent)
    assert seconds_by_cause(session, time) == {"idle": HOUR}


def test_a_worker_that_died_worked_no_longer_while_the_next_one_does(
    session: Session, agent: BoxAgent, time: Time
) -> None:
    _work, workers = two_workers(session)
    workers.keep_alive(agent, workers.statuses(agent), Listing(("0000",), (), ()))
    time.now += HOUR
    agent.end("lost", None)
    workers.keep_alive(agent, workers.statuses(agent), Listing((), ("0000",), ()))
    time.now += HOUR
    assert seconds_by_cause(session, time) == {"failed": HOUR, "work": HOUR}


def test_workers_that_are_cancelled_have_ended(session: Session, agent: BoxAgent, time: Time) -> None:
    _work, workers = two_workers(session)
    workers.keep_alive(agent, workers.statuses(agent), Listing(("0000", "0001"), (), ()))
    workers.cancel(agent)
    time.now += HOUR
    assert seconds_by_cause(session, time) == {"idle": HOUR}


def test_a_run_on_one_machine_that_is_stopped_has_ended_there(
    session: Session, agent: BoxAgent, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    runbook = Runbook(session.workspace)
    entry = runbook.write(
        RunEntry(
            run_id=RUN,
            pipeline="docparse",
            plan_key="k",
            phase=Phase.LAUNCHED,
            instance_id=BOX,
            job_id="j",
            keep_instance=True,
        )
    )
    session.ledger.record_job("j", "local", BOX, state="running", run_id=RUN)
    agent.launch(JobSpec("j", ("python",)))
    driver = SingleDriver(session, runbook, entry, silent)
    monkeypatch.setattr(driver, "_agent", lambda: nullcontext(agent))
    for name in ("watch", "pull"):
        monkeypatch.setattr(f"console.operations.single_run.{name}", lambda *_, **__: SimpleNamespace())
    driver.wind_down()
    time.now += HOUR
    assert seconds_by_cause(session, time) == {"idle": HOUR}
