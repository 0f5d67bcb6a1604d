from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from remote.jobs import Agent, JobSpec, NoSuchJob, Ready
from remote.transport import Transport
from tests.remote.sshd import Sshd, eventually


@pytest.fixture
def agent(transport: Transport) -> Iterator[Agent]:
    with Agent.start(transport, "spotter") as agent:
        yield agent


def holder(job_id: str, go: str, **values: object) -> JobSpec:
    """Notes its start, then runs until the file `go` appears; fails unless it is the only one between its notes."""
    note = f"echo {job_id} $CUDA_VISIBLE_DEVICES >> order"
    return JobSpec(job_id, ("sh", "-c", f"{note}; until test -e {go}; do sleep 0.05; done"), **values)  # type: ignore[arg-type]


def began(agent: Agent) -> list[str]:
    return agent.follow("order", 0).decode().splitlines()


def test_jobs_of_one_gpu_run_one_after_another_and_others_at_once(agent: Agent) -> None:
    for job_id in ("a", "b", "c"):
        agent.launch(holder(job_id, f"go-{job_id}", gpu=0))
    agent.launch(holder("other", "go-other", gpu=1))
    agent.launch(holder("none", "go-none"))
    eventually(lambda: set(began(agent)) == {"a 0", "other 1", "none"}, what="what may run runs")
    assert [agent.status(job_id).state for job_id in "abc"] == ["running", "queued", "queued"]
    assert agent.status("b").gpus == (0,)
    for job_id in ("a", "b", "c", "other", "none"):
        agent.write(f"go-{job_id}", b"")
        assert agent.wait(job_id, timeout_s=60).exit_code == 0
        if job_id == "a":
            eventually(lambda: "b 0" in began(agent), what="the next in line runs")
            assert "c 0" not in began(agent)
    assert [line for line in began(agent) if line.endswith(" 0")] == ["a 0", "b 0", "c 0"]


def test_the_queue_moves_on_with_no_laptop_there(sshd: Sshd) -> None:
    with sshd.connect() as transport, Agent.start(transport, "spotter") as agent:
        agent.launch(holder("first", "go", gpu=0))
        agent.launch(JobSpec("second", ("sh", "-c", "echo second >> order"), gpu=0))
        agent.launch(JobSpec("third", ("sh", "-c", "echo third >> order"), after=("second",)))
    (sshd.home / "spotter" / "go").touch()
    order = sshd.home / "spotter" / "order"
    eventually(lambda: order.read_text() == "first 0\nsecond\nthird\n", what="all of them ran")


def test_a_job_that_needs_several_gpus_is_not_starved_by_small_ones(agent: Agent) -> None:
    agent.launch(holder("small", "go-small", gpu=0))
    agent.launch(holder("big", "go-big", gpu=0, gpus=2))
    agent.launch(holder("late", "go-late", gpu=1))
    eventually(lambda: began(agent) == ["small 0"])
    assert agent.status("late").state == "queued"
    agent.write("go-small", b"")
    eventually(lambda: began(agent) == ["small 0", "big 0,1"])
    for job_id in ("big", "late"):
        agent.write(f"go-{job_id}", b"")
        assert agent.wait(job_id, timeout_s=60).exit_code == 0


def test_a_gpu_stays_taken_while_anything_of_a_lost_job_lives(sshd: Sshd, agent: Agent) -> None:
    agent.launch(holder("lost", "never", gpu=0))
    agent.launch(JobSpec("next", ("true",), gpu=0))
    eventually(lambda: began(agent) == ["lost 0"])
    kept = json.loads((sshd.home / "spotter" / "jobs" / "lost" / "status.json").read_text())
    os.kill(kept["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: agent.status("lost").state == "lost", what="the job is lost")
    assert agent.status("lost").survivors
    time.sleep(0.5)
    assert agent.status("next").state == "queued"
    agent.cancel("lost")
    assert agent.wait("next", timeout_s=60).exit_code == 0


def test_a_job_waits_for_those_that_it_names_and_is_cancelled_with_their_failure(agent: Agent) -> None:
    agent.launch(holder("base", "go", gpu=0))
    agent.launch(JobSpec("then", ("sh", "-c", "echo then >> order"), after=("base",)))
    agent.launch(JobSpec("fails", ("sh", "-c", "exit 9"), after=("then",)))
    agent.launch(JobSpec("never", ("true",), after=("fails", "base")))
    agent.launch(JobSpec("nor-this", ("true",), after=("never",)))
    assert agent.status("then").state == "queued"
    agent.write("go", b"")
    assert agent.wait("then", timeout_s=60).exit_code == 0
    assert agent.wait("fails", timeout_s=60).exit_code == 9
    never = agent.wait("never", timeout_s=60)
    assert (never.state, never.message) == ("cancelled", "job fails, which it waited for, ended: exited with 9")
    last = agent.wait("nor-this", timeout_s=60)
    assert (last.state, last.message) == ("cancelled", "job never, which it waited for, ended: cancelled")
    assert began(agent) == ["base 0", "then"]


def test_a_job_cannot_wait_for_one_that_nobody_knows(agent: Agent) -> None:
    with pytest.raises(NoSuchJob, match="'nobody'"):
        agent.launch(JobSpec("waits", ("true",), after=("nobody",)))
    assert agent.list() == []


def test_a_job_after_a_service_waits_until_that_is_ready(agent: Agent) -> None:
    service = JobSpec(
        "service", ("sleep", "300"), restart="always", ready=Ready(argv=("test", "-e", "up"), every_s=0.1)
    )
    agent.launch(service)
    agent.launch(JobSpec("client", ("sh", "-c", "echo served"), after=("service",)))
    eventually(lambda: agent.status("service").ready is False)
    assert agent.status("client").state == "queued"
    agent.write("up", b"")
    assert agent.wait("client", timeout_s=60).exit_code == 0
    agent.cancel("service")
    assert agent.wait("service", timeout_s=60).state == "cancelled"


def test_a_queued_job_is_cancelled_without_ever_starting(agent: Agent) -> None:
    agent.launch(holder("first", "go", gpu=0))
    agent.launch(holder("second", "go", gpu=0))
    agent.launch(holder("third", "go", gpu=0))
    assert agent.cancel("second").state == "cancelled"
    agent.write("go", b"")
    for job_id in ("first", "third"):
        assert agent.wait(job_id, timeout_s=60).exit_code == 0
    assert began(agent) == ["first 0", "third 0"]
    assert agent.cancel("second").state == "cancelled"


def test_a_box_that_names_its_gpus_is_asked_by_position(sshd: Sshd, transport: Transport) -> None:
    shell = sshd.folder / "shell.sh"
    shell.write_text(shell.read_text().replace("exec ", "export CUDA_VISIBLE_DEVICES=GPU-a,GPU-b,GPU-c\nexec ", 1))
    with Agent.start(transport, "spotter") as agent:
        agent.launch(JobSpec("two", ("sh", "-c", "echo $CUDA_VISIBLE_DEVICES"), gpu=1, gpus=2))
        status = agent.wait("two", timeout_s=60)
        assert agent.follow(status.log, 0) == b"GPU-b,GPU-c\n"
