"""The dead-man against a cloud that misbehaves, on a real OpenSSH server whose login knows a planted key."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from remote.agent.deadman import STILL_HERE_S, Deadman
from remote.agent.deadman_rules import Armed
from remote.agent.deadman_status import deadman_status
from remote.agent.moment import Moment
from remote.agent.own_cloud import NoOwnKey, OwnInstance, Reply
from remote.jobs import Agent, DeadmanOrder, DeadmanProof, JobSpec
from remote.transport import Transport
from tests.remote.sshd import Sshd, eventually

KEY = "planted-key-0123456789abcdef"


@dataclass
class FakeCloud:
    """Answers each method with the next of its scripted replies; the last one for ever."""

    server: ThreadingHTTPServer
    replies: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def own(self) -> OwnInstance:
        return OwnInstance("77", self.url, KEY)


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            made.asked.append((self.command, self.path, body, self.headers["Authorization"]))
            script = made.replies.get(self.command, [(200, {"success": True})])
            status, value = script.pop(0) if len(script) > 1 else script[0]
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_arguments: object) -> None:
            return

    made = FakeCloud(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


OK = (200, {"success": True})
GONE = (200, {"instances": None})
THERE = (200, {"instances": {"id": 77, "actual_status": "running"}})
STOPPED = (200, {"instances": {"id": 77, "actual_status": "stopped"}})
NOT_FOUND = (404, {"success": False, "error": "no_such_instance"})
NO_SUCH_PAGE = (404, "<html>404: a proxy's own page</html>")
UNKNOWN_KEY = (401, {"success": False, "error": "auth_error", "msg": "Invalid user key"})
FORBIDDEN = (403, {"success": False, "error": "forbidden"})
BUSY = (429, {"msg": "API requests too frequent"})
TROUBLE = (500, {"msg": "trouble"})


@pytest.mark.parametrize(
    ("action", "asked", "seen", "accepted_before", "over"),
    [
        ("destroy", OK, GONE, False, True),
        ("destroy", OK, NOT_FOUND, False, True),
        ("destroy", OK, UNKNOWN_KEY, False, True),
        ("destroy", OK, THERE, False, False),
        ("destroy", OK, FORBIDDEN, False, False),
        ("destroy", OK, TROUBLE, False, False),
        ("destroy", NOT_FOUND, TROUBLE, False, True),
        ("destroy", NO_SUCH_PAGE, NO_SUCH_PAGE, True, False),
        ("destroy", OK, NO_SUCH_PAGE, False, False),
        ("destroy", OK, (404, {"error": "no_such_route"}), False, False),
        ("destroy", OK, (401, "<html>log in to the network</html>"), True, False),
        ("destroy", UNKNOWN_KEY, GONE, False, False),
        ("destroy", UNKNOWN_KEY, GONE, True, True),
        ("destroy", TROUBLE, GONE, True, False),
        ("destroy", BUSY, GONE, False, False),
        ("destroy", (200, {"success": False}), GONE, False, False),
        ("stop", OK, STOPPED, False, True),
        ("stop", OK, THERE, False, False),
        ("stop", OK, GONE, False, True),
        ("stop", OK, UNKNOWN_KEY, True, False),
    ],
)
def test_when_the_end_counts_as_confirmed(
    cloud: FakeCloud,
    action: str,
    asked: tuple[int, Any],
    seen: tuple[int, Any],
    accepted_before: bool,
    over: bool,
) -> None:
    cloud.replies = {"DELETE": [asked], "PUT": [asked], "GET": [seen]}
    own = cloud.own()
    assert own.is_over(action, own.ask(action), accepted_before) is over
    method, path, body, shown = cloud.asked[0]
    assert (method, body) == (("DELETE", {}) if action == "destroy" else ("PUT", {"state": "stopped"}))
    assert (path, shown) == ("/api/v0/instances/77/", f"Bearer {KEY}")


def test_a_cloud_that_does_not_answer_is_no_confirmation_and_no_crash(cloud: FakeCloud) -> None:
    own = OwnInstance("77", "http://127.0.0.1:1", KEY)
    reply = own.ask("destroy")
    assert reply.http_status is None
    assert not own.is_over("destroy", reply, accepted_before=True)
    proof = own.prove()
    assert not proof.ok
    assert "does not answer" in proof.message
    assert KEY not in repr(own)
    cloud.replies = {"PUT": [(400, {"msg": f"bad key {KEY}"})]}
    assert KEY not in cloud.own().prove().message


def test_who_the_box_is_stands_in_its_environment_or_in_that_of_its_first_process(tmp_path: Path) -> None:
    first = tmp_path / "environ"
    first.write_bytes(b"PATH=/bin\0CONTAINER_ID=77\0CONTAINER_API_KEY=k\0")
    assert OwnInstance.of_this_box({}, first) == OwnInstance("77", "https://console.vast.ai", "k")
    mine = {"CONTAINER_ID": "78", "CONTAINER_API_KEY": "l", "VAST_URL": "http://127.0.0.1:9/"}
    assert OwnInstance.of_this_box(mine, first) == OwnInstance("78", "http://127.0.0.1:9", "l")
    for wrong in ({"CONTAINER_ID": "x/../1"}, {"VAST_URL": "file:///etc/passwd"}):
        with pytest.raises(NoOwnKey):
            OwnInstance.of_this_box(wrong, first)
    with pytest.raises(NoOwnKey, match="CONTAINER_ID and CONTAINER_API_KEY"):
        OwnInstance.of_this_box({}, tmp_path / "nothing")


def test_a_reply_that_is_no_json_is_told_in_short() -> None:
    own = OwnInstance("77", "http://127.0.0.1:1", KEY)
    reply = own._reply(502, b"<html>\n" + b"x" * 5000)
    assert isinstance(reply, Reply)
    assert not reply.accepted
    assert len(str(reply)) < 250


# the process, on a box


@pytest.fixture
def login(sshd: Sshd, cloud: FakeCloud) -> Iterator[Sshd]:
    """A box whose login knows its id and key, as a rented one does; its dead-man is ended with the test."""
    shell = sshd.folder / "shell.sh"
    known = f"export CONTAINER_ID=77 CONTAINER_API_KEY={KEY} VAST_URL={cloud.url}\n"
    shell.write_text(shell.read_text().replace("exec ", f"{known}exec ", 1))
    try:
        yield sshd
    finally:
        for process in deadmen(sshd):
            os.kill(process.pid, signal.SIGKILL)


def deadmen(sshd: Sshd) -> list[psutil.Process]:
    return [process for process in sshd.leftovers() if "deadman" in command_line(process)]


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.NoSuchProcess:
        return {}


def decisions(sshd: Sshd) -> str:
    return (sshd.home / "spotter" / "deadman" / "log").read_text()


def test_it_asks_again_until_the_cloud_confirms(login: Sshd, cloud: FakeCloud, transport: Transport) -> None:
    cloud.replies = {"DELETE": [TROUBLE, BUSY, OK], "GET": [GONE]}
    with Agent.start(transport, "spotter") as agent:
        agent.launch(JobSpec("worker", ("sh", "-c", "trap 'echo saved; exit 0' TERM; echo up; sleep 300 & wait")))
        eventually(lambda: agent.follow("jobs/worker/log", 0) == b"up\n", what="the worker is up")
        assert agent.arm_deadman(DeadmanOrder(time.time() + 0.5, grace_s=60)).guards
        eventually(lambda: agent.deadman_status().state == "done", what="the cloud confirmed")
        assert not agent.deadman_status().guards
        assert agent.status("worker").state == "cancelled"
        assert agent.follow("jobs/worker/log", 0) == b"up\nsaved\n"
    assert [method for method, *_ in cloud.asked] == ["PUT", "DELETE", "DELETE", "DELETE", "GET"]
    assert "HTTP 500: trouble" in decisions(login)
    assert "cancelling job worker" in decisions(login)


def test_a_new_order_takes_the_place_of_the_one_before(login: Sshd, cloud: FakeCloud, transport: Transport) -> None:
    with Agent.start(transport, "spotter") as agent:
        soon = agent.arm_deadman(DeadmanOrder(time.time() + 6, grace_s=0))
        assert soon.deadline_in_s is not None
        assert agent.arm_deadman(DeadmanOrder(time.time() + 900)).guards
        # the one before, and whoever finds the lock taken, need a moment to leave
        eventually(lambda: len(deadmen(login)) == 1, what="one dead-man is left")
        eventually(lambda: (agent.deadman_status().deadline_in_s or 0) < 893, what="the first deadline is over")
        assert agent.deadman_status().state == "armed"
    assert [method for method, *_ in cloud.asked] == ["PUT", "PUT"]


def test_the_key_is_nowhere_but_in_the_process_that_needs_it(
    login: Sshd, cloud: FakeCloud, transport: Transport
) -> None:
    with Agent.start(transport, "spotter") as agent:
        agent.arm_deadman(DeadmanOrder(time.time() + 900))
        agent.launch(JobSpec("first", ("sh", "-c", "env; sleep 0.5"), gpu=0))
        agent.launch(JobSpec("second", ("env",), gpu=0))  # started by the end of the first, or by the dead-man
        for name in ("first", "second"):
            assert agent.wait(name, timeout_s=60).exit_code == 0
        guard = {process.pid for process in deadmen(login)}
        for process in login.leftovers():
            assert KEY not in " ".join(command_line(process))
            assert process.pid in guard or KEY not in environment(process).values()
    for path in login.home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_a_box_that_cannot_be_proven_says_so_and_is_armed_all_the_same(sshd: Sshd, transport: Transport) -> None:
    with Agent.start(transport, "spotter") as agent:
        status = agent.arm_deadman(DeadmanOrder(time.time() + 900))
        try:
            assert (status.alive, status.guards) == (True, False)
            assert status.proof is not None
            assert "CONTAINER_API_KEY" in status.proof.message
        finally:
            for process in deadmen(sshd):
                os.kill(process.pid, signal.SIGKILL)


def test_damaged_files_of_jobs_do_not_keep_it_from_its_deadline(
    login: Sshd, cloud: FakeCloud, transport: Transport
) -> None:
    cloud.replies = {"GET": [GONE]}
    broken = login.home / "spotter" / "jobs" / "broken"
    broken.mkdir(parents=True)
    (broken / "spec.json").write_text("{")
    (broken / "status.json").write_text("[")
    with Agent.start(transport, "spotter") as agent:
        agent.arm_deadman(DeadmanOrder(time.time() + 1, idle_s=900, grace_s=1))
        eventually(lambda: agent.deadman_status().state == "done", what="the cloud confirmed")
    assert "cannot look at the jobs" in decisions(login)


def test_a_box_that_lives_on_after_a_confirmed_end_is_ended_again(cloud: FakeCloud, tmp_path: Path) -> None:
    cloud.replies = {"GET": [GONE]}
    guard, now = guard_in_process(tmp_path, DeadmanOrder(time.time() + 1, grace_s=0), cloud.own())
    states = []
    for passed_s in (2, 4, STILL_HERE_S - 2, STILL_HERE_S + 4):
        guard.tick(later(now, passed_s))
        states.append(deadman_status(tmp_path).state)
    assert states == ["done"] * 4
    assert [method for method, *_ in cloud.asked] == ["DELETE", "GET"] * 2


def test_a_stop_that_is_refused_for_ever_does_not_keep_a_box_beyond_its_deadline(
    cloud: FakeCloud, tmp_path: Path
) -> None:
    cloud.replies = {"PUT": [FORBIDDEN], "GET": [GONE]}
    order = DeadmanOrder(time.time() + 100, idle_s=10, idle_action="stop", grace_s=0)
    guard, now = guard_in_process(tmp_path, order, cloud.own())
    for passed_s in (11, 20, 101, 102):
        guard.tick(later(now, passed_s))
    assert [method for method, *_ in cloud.asked] == ["PUT", "PUT", "DELETE", "GET"]
    assert deadman_status(tmp_path).state == "done"


@pytest.mark.parametrize("trouble", [OSError(23, "Too many open files in system"), MemoryError()])
def test_what_fails_for_a_moment_does_not_end_the_guard(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    cloud.replies = {"GET": [GONE]}
    guard, now = guard_in_process(tmp_path, DeadmanOrder(time.time() + 1, grace_s=0), cloud.own())
    moments: list[Moment | Exception] = [trouble, trouble, later(now, 2)]
    pauses: list[float] = []

    def next_moment() -> Moment:
        found = moments.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    class Ended(BaseException):
        pass

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if not moments:
            raise Ended

    monkeypatch.setattr("remote.agent.deadman.Moment.now", next_moment)
    monkeypatch.setattr("remote.agent.deadman.time.sleep", sleep)
    monkeypatch.setattr(guard._samples, "keep", lambda: None)
    with pytest.raises(Ended):
        guard.run()
    assert pauses[:2] == [5.0, 5.0]
    assert deadman_status(tmp_path).state == "done"
    assert (tmp_path / "deadman" / "log").read_text().count("could not look or act") == 1


def guard_in_process(root: Path, order: DeadmanOrder, own: OwnInstance) -> tuple[Deadman, Moment]:
    (root / "deadman").mkdir()
    now = Moment.now()
    return Deadman(root, root, Armed(order, now, DeadmanProof(True)), own), now


def later(moment: Moment, seconds: float) -> Moment:
    return Moment(moment.at + seconds, moment.boot, moment.since_boot_s + seconds)


def kill_the_deadman(sshd: Sshd) -> None:
    for process in deadmen(sshd):
        process.kill()
    eventually(lambda: not deadmen(sshd), what="no dead-man lives")


def test_a_killed_deadman_comes_back_with_the_next_agent(login: Sshd, transport: Transport) -> None:
    with Agent.start(transport, "spotter") as agent:
        first = agent.arm_deadman(DeadmanOrder(time.time() + 900))
    eventually(lambda: len(login.leftovers()) == len(deadmen(login)), what="the agent has ended")
    kill_the_deadman(login)
    with Agent.start(transport, "spotter") as agent:
        eventually(lambda: agent.deadman_status().alive, what="the dead-man is back")
        assert agent.deadman_status().order == first.order
        # it has no key of this login: said, so that the laptop arms it anew
        assert not agent.deadman_status().guards
        assert agent.arm_deadman(DeadmanOrder(time.time() + 800)).guards
        assert len(deadmen(login)) == 1


def test_a_killed_deadman_comes_back_with_a_job_and_outlives_it(login: Sshd, transport: Transport) -> None:
    with Agent.start(transport, "spotter") as agent:
        agent.arm_deadman(DeadmanOrder(time.time() + 900))
        agent.launch(JobSpec("worker", ("sleep", "300"), grace_s=1))
        agent.launch(JobSpec("other", ("sleep", "300"), gpu=0, grace_s=1))
        serving = agent.hello()["pid"]
    eventually(lambda: not psutil.pid_exists(serving), what="the agent has ended")
    kill_the_deadman(login)
    eventually(lambda: bool(deadmen(login)), what="the dead-man is back")
    with Agent.start(transport, "spotter") as agent:
        agent.cancel("worker")
        assert agent.wait("worker", timeout_s=60).state == "cancelled"
        assert agent.deadman_status().alive
        assert agent.status("other").state == "running"
        agent.cancel("other")
        agent.wait("other", timeout_s=60)
    eventually(lambda: len(login.leftovers()) == len(deadmen(login)), what="nothing but the dead-man is left")
