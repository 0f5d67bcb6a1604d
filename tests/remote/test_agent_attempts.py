from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from remote.agent.attempts import Attempts
from remote.jobs import Agent, JobSpec, Ready, Retry
from remote.transport import Transport
from tests.remote.sshd import Sshd, eventually, free_port


@pytest.fixture
def agent(transport: Transport) -> Iterator[Agent]:
    with Agent.start(transport, "spotter") as agent:
        yield agent


def pauses(spec: JobSpec, ends: list[tuple[int, float]]) -> list[float | None]:
    """The pause after each (exit code, seconds that it ran)."""
    attempts, found = Attempts(spec), []
    for code, ran_s in ends:
        found.append(attempts.pause_s(code, ran_s))
        attempts.number += 1
    return found


@pytest.mark.parametrize(
    ("spec", "ends", "expected"),
    [
        ({}, [(1, 0)], [None]),
        ({"retry": Retry(2, 5)}, [(1, 0), (1, 0), (1, 0)], [5, 10, None]),
        ({"retry": Retry(2, 5)}, [(1, 0), (0, 0)], [5, None]),
        ({"retry": Retry(9, 5, on=(75, 137))}, [(75, 0), (137, 0), (1, 0)], [5, 10, None]),
        ({"retry": Retry(99, 500)}, [(1, 0), (1, 0)], [500, 600]),
        ({"restart": "on-failure"}, [(1, 0), (1, 0), (1, 0), (1, 90), (0, 0)], [1, 2, 4, 1, None]),
        ({"restart": "always"}, [(0, 0), (1, 0)] + [(1, 0)] * 6, [1, 2, 4, 8, 16, 32, 60, 60]),
    ],
)
def test_when_a_job_begins_again(
    spec: dict[str, object], ends: list[tuple[int, float]], expected: list[float | None]
) -> None:
    assert pauses(JobSpec("x", ("true",), **spec), ends) == expected  # type: ignore[arg-type]


def test_old_specs_keep_their_digest_and_new_ones_survive_json() -> None:
    assert JobSpec("y", ("true",)).digest == "e9427091a72424bc723293e2e5fbb4fb32178a3fde385a533af780e0da9aaec6"
    spec = JobSpec("z", ("a", "b"), gpu=1, gpus=2, after=("y",), retry=Retry(2, 1, (3,)), ready=Ready(port=80))
    assert JobSpec(**json.loads(json.dumps(spec.to_json()))) == spec
    assert spec.digest != JobSpec("z", ("a", "b")).digest


@pytest.mark.parametrize(
    "values",
    [
        {"restart": "sometimes"},
        {"restart": "always", "retry": Retry(1)},
        {"gpu": -1},
        {"gpus": 2},
        {"gpu": 0, "gpus": 0},
        {"after": ("x",)},
        {"log_piece_bytes": 0},
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        JobSpec("x", ("true",), **values)  # type: ignore[arg-type]


def test_a_job_that_fails_is_tried_again_and_its_log_goes_on(agent: Agent) -> None:
    program = "echo try; n=$(cat tries 2>/dev/null || echo 0); echo $((n + 1)) > tries; test $n -ge 2"
    agent.launch(JobSpec("flaky", ("sh", "-c", program), retry=Retry(max=3, backoff_s=0.1)))
    status = agent.wait("flaky", timeout_s=60)
    assert (status.exit_code, status.attempt) == (0, 3)
    assert agent.follow(status.log, 0) == b"try\ntry\ntry\n"


def test_a_job_gives_up_with_its_last_exit_code(agent: Agent) -> None:
    agent.launch(JobSpec("hopeless", ("sh", "-c", "exit 7"), retry=Retry(max=1, backoff_s=0.1)))
    status = agent.wait("hopeless", timeout_s=60)
    assert (status.state, status.exit_code, status.attempt) == ("exited", 7, 2)


def test_a_job_between_two_attempts_says_so_and_can_be_cancelled(agent: Agent) -> None:
    agent.launch(JobSpec("patient", ("sh", "-c", "exit 1"), retry=Retry(max=1, backoff_s=300)))
    eventually(lambda: agent.status("patient").state == "restarting")
    assert agent.status("patient").message == "attempt 1 exited with 1; the next one follows in 300 s"
    agent.cancel("patient")
    assert agent.wait("patient", timeout_s=60).state == "cancelled"


def test_a_service_comes_back_and_tells_when_it_can_be_used(agent: Agent) -> None:
    port = free_port()
    program = (
        "import os, socket, time\n"
        "while not os.path.exists('go'): time.sleep(0.05)\n"
        f"server = socket.create_server(('127.0.0.1', {port}))\n"
        "while True: server.accept()\n"
    )
    api = JobSpec("api", ("python3", "-c", program), restart="always", ready=Ready(port=port, every_s=0.1))
    assert agent.launch(api).ready is False
    assert agent.status("api").ready is False
    agent.write("go", b"")
    eventually(lambda: agent.status("api").ready, what="the service is ready")
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        first = agent.status("api")
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: agent.status("api").attempt == 2 and agent.status("api").ready, what="it is back")
    assert agent.status("api").service
    agent.cancel("api")
    ended = agent.wait("api", timeout_s=60)
    assert (ended.state, ended.ready) == ("cancelled", None)


def test_a_service_that_does_not_run_yet_or_no_more_is_not_ready(agent: Agent) -> None:
    def told(job_id: str) -> tuple[str, bool | None]:
        status = agent.status(job_id)
        return status.state, status.ready

    ready = Ready(argv=("true",))
    agent.launch(JobSpec("first", ("sh", "-c", "exit 1"), restart="on-failure", ready=ready))
    agent.launch(JobSpec("second", ("true",), after=("first",), ready=ready))
    eventually(lambda: told("first") == ("restarting", False))
    assert told("second") == ("queued", False)
    agent.cancel("first")
    agent.wait("second", timeout_s=60)
    assert (told("first"), told("second")) == (("cancelled", None), ("cancelled", None))


def test_a_ready_check_that_hangs_is_no_yes_and_is_ended(sshd: Sshd, agent: Agent) -> None:
    check = Ready(argv=("sh", "-c", "test -e up || sleep 300"), every_s=0.1, timeout_s=0.3)
    agent.launch(JobSpec("api", ("sleep", "301"), restart="on-failure", ready=check))
    eventually(lambda: agent.status("api").state == "running")
    assert agent.status("api").ready is False
    agent.write("up", b"")
    eventually(lambda: agent.status("api").ready, what="the next check says yes")
    agent.cancel("api")
    agent.wait("api", timeout_s=60)
    assert not sshd.leftovers("SPOTTER_JOB_ID", "api")


def test_a_service_whose_supervisor_was_killed_begins_again_without_its_old_processes(sshd: Sshd, agent: Agent) -> None:
    agent.launch(JobSpec("service", ("sh", "-c", "setsid sleep 300 & exec sleep 301"), restart="always"))
    eventually(lambda: len(sshd.leftovers("SPOTTER_JOB_ID", "service")) == 2)
    before = {process.pid for process in sshd.leftovers("SPOTTER_JOB_ID", "service")}
    kept = json.loads((sshd.home / "spotter" / "jobs" / "service" / "status.json").read_text())
    os.kill(kept["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: agent.status("service").state == "running" and agent.status("service").attempt == 2)
    eventually(lambda: len(sshd.leftovers("SPOTTER_JOB_ID", "service")) == 2)
    assert not before & {process.pid for process in sshd.leftovers("SPOTTER_JOB_ID", "service")}
    agent.cancel("service")
    assert agent.wait("service", timeout_s=60).state == "cancelled"


def test_a_service_whose_supervisor_was_killed_can_be_cancelled(sshd: Sshd, agent: Agent) -> None:
    agent.launch(JobSpec("service", ("sleep", "300"), restart="always"))
    eventually(lambda: agent.status("service").state == "running")
    kept = json.loads((sshd.home / "spotter" / "jobs" / "service" / "status.json").read_text())
    (sshd.home / "spotter" / "jobs" / "service" / "cancel").touch()
    os.kill(kept["supervisor"]["pid"], signal.SIGKILL)
    eventually(lambda: agent.status("service").state == "cancelled")
    assert not sshd.leftovers("SPOTTER_JOB_ID", "service")
