from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from remote.jobs import Agent, AgentError, FileShrank, JobConflict, JobSpec, NoSuchJob
from remote.transport import ConnectionLost, Transport
from tests.remote.sshd import Sshd, eventually


@pytest.fixture
def agent(transport: Transport) -> Iterator[Agent]:
    with Agent.start(transport, "spotter") as agent:
        yield agent


def python(agent: Agent, program: str) -> tuple[str, ...]:
    return ("python3", "-u", "-c", program)


def test_the_agent_is_installed_once_and_says_where_it_is(sshd: Sshd, transport: Transport) -> None:
    with Agent.start(transport, "spotter") as first:
        hello = first.hello()
        assert first.root == hello["root"] == f"{sshd.home}/spotter"
        assert abs(hello["time"] - time.time()) < 60
    with sshd.connect() as second, Agent.start(second, "spotter"):
        installed = list((sshd.home / "spotter" / "agent").iterdir())
    assert len(installed) == 1


def test_a_damaged_agent_is_put_right(sshd: Sshd, transport: Transport) -> None:
    Agent.start(transport, "spotter").close()
    source = next((sshd.home / "spotter" / "agent").glob("*/remote/agent/serve.py"))
    right = source.read_bytes()
    source.write_text("raise SystemExit('damaged')")
    with sshd.connect() as again, Agent.start(again, "spotter") as agent:
        assert agent.hello()["root"]
    assert source.read_bytes() == right


def test_a_job_runs_and_its_exit_code_and_output_stay(agent: Agent) -> None:
    spec = JobSpec("job-1", ("sh", "-c", "echo out; echo err >&2; pwd; echo $COLOUR; exit 5"), env={"COLOUR": "red"})
    started = agent.launch(spec)
    assert started.state in ("starting", "running", "exited")
    ended = agent.wait("job-1", timeout_s=60)
    assert (ended.state, ended.exit_code, ended.signal) == ("exited", 5, None)
    assert agent.follow(ended.log, 0) == f"out\nerr\n{agent.root}\nred\n".encode()
    assert ended.started_at
    assert ended.ended_at
    assert ended.ended_at >= ended.started_at


def test_a_job_gets_only_what_it_was_given(agent: Agent) -> None:
    secret = agent.put_secret("token", "hunter2")
    assert Path(secret).stat().st_mode & 0o777 == 0o600
    agent.launch(JobSpec("env", ("env",), env={"A": "b c"}, secret_files={"TOKEN": "secrets/token"}))
    status = agent.wait("env", timeout_s=60)
    names = {line.split("=")[0] for line in agent.follow(status.log, 0).decode().splitlines()}
    assert {"A", "TOKEN", "HOME", "PATH", "SPOTTER_JOB_ID"} <= names
    assert not [name for name in names if name.startswith(("SSH_", "VIRTUAL_ENV", "PYTEST"))]
    box = Path(agent.root)
    for path in (box / "jobs").rglob("*"):
        if path.is_file() and path.name != "log":
            assert b"hunter2" not in path.read_bytes()


def test_a_job_may_log_elsewhere_and_appends(agent: Agent) -> None:
    for number in (1, 2):
        agent.launch(JobSpec(f"part-{number}", ("echo", str(number)), log="runs/r/logs/pipeline.log"))
        agent.wait(f"part-{number}", timeout_s=60)
    assert agent.follow("runs/r/logs/pipeline.log", 0) == b"1\n2\n"


def test_a_command_that_does_not_exist_is_a_failed_job(agent: Agent) -> None:
    agent.launch(JobSpec("nope", ("/no/such/program",)))
    status = agent.wait("nope", timeout_s=60)
    assert status.state == "failed"
    assert "/no/such/program" in status.message


def test_a_job_ended_by_a_signal_says_which(agent: Agent) -> None:
    agent.launch(JobSpec("killed", ("sh", "-c", "kill -9 $$")))
    status = agent.wait("killed", timeout_s=60)
    assert (status.state, status.exit_code, status.signal) == ("exited", None, signal.SIGKILL)


def test_twenty_launches_of_one_id_start_it_once(sshd: Sshd, agent: Agent) -> None:
    started = sshd.home / "started"
    spec = JobSpec("once", ("sh", "-c", f"echo x >> {started}; sleep 0.5"))
    with sshd.connect() as second, Agent.start(second, "spotter") as other, ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda number: (agent, other)[number % 2].launch(spec), range(20)))
    assert {status.id for status in statuses} == {"once"}
    agent.wait("once", timeout_s=60)
    assert started.read_text() == "x\n"
    assert agent.launch(spec).state == "exited"
    assert started.read_text() == "x\n"


def test_an_id_is_never_used_for_another_spec(agent: Agent) -> None:
    agent.launch(JobSpec("taken", ("true",)))
    with pytest.raises(JobConflict, match="taken"):
        agent.launch(JobSpec("taken", ("false",)))
    agent.wait("taken", timeout_s=60)


def test_a_launch_that_was_killed_half_way_is_finished_by_the_next(sshd: Sshd, agent: Agent) -> None:
    spec = JobSpec("half", ("echo", "done"))
    folder = sshd.home / "spotter" / "jobs" / "half"
    folder.mkdir(parents=True)
    from remote.agent.files import write_atomically

    write_atomically(folder / "spec.json", __import__("json").dumps(spec.to_json()).encode())
    assert agent.status("half").state == "starting"
    agent.launch(spec)
    assert agent.wait("half", timeout_s=60).exit_code == 0


def test_jobs_are_listed_oldest_first_and_unknown_ones_are_said(agent: Agent) -> None:
    for name in ("b", "a"):
        agent.launch(JobSpec(name, ("true",)))
        agent.wait(name, timeout_s=60)
        time.sleep(0.02)
    assert [status.id for status in agent.list()] == ["b", "a"]
    with pytest.raises(NoSuchJob, match="'c'"):
        agent.status("c")


STUBBORN = """
import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["setsid", "sleep", "300"])
subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 300 & setsid sh -c 'sleep 300 & wait' & wait"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(300)
    os._exit(0)
print("ready", flush=True)
time.sleep(300)
"""


def test_cancel_ends_a_stubborn_tree_and_leaves_nothing(sshd: Sshd, agent: Agent) -> None:
    spec = JobSpec(
        "stubborn", ("sh", "-c", 'python3 -c "$0"; true', STUBBORN), grace_s=0.5, cancel_file="runs/r/cancel"
    )
    agent.launch(spec)
    eventually(lambda: b"ready" in agent.follow("jobs/stubborn/log", 0), what="the tree stands")
    eventually(lambda: len(sshd.leftovers("SPOTTER_JOB_ID", "stubborn")) >= 7, what="all of it stands")
    mine = sshd.leftovers("SPOTTER_JOB_ID", "stubborn")
    agent.cancel("stubborn")
    status = agent.wait("stubborn", timeout_s=60)
    assert status.state == "cancelled"
    assert not [process for process in mine if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert Path(agent.root, "runs/r/cancel").exists()


def test_a_polite_job_has_its_grace_and_its_exit_code(agent: Agent) -> None:
    program = "import signal,sys,time\nsignal.signal(15, lambda *_: (time.sleep(0.3), print('bye'), sys.exit(4)))\n"
    agent.launch(JobSpec("polite", python(agent, program + "print('up')\nwhile True: time.sleep(1)")))
    eventually(lambda: agent.follow("jobs/polite/log", 0) == b"up\n")
    agent.cancel("polite")
    status = agent.wait("polite", timeout_s=60)
    assert (status.state, status.exit_code) == ("cancelled", 4)
    assert agent.follow("jobs/polite/log", 0) == b"up\nbye\n"


def test_cancel_works_by_touching_a_file(sshd: Sshd, agent: Agent) -> None:
    agent.launch(JobSpec("touched", ("sleep", "300")))
    (sshd.home / "spotter" / "jobs" / "touched" / "cancel").touch()
    assert agent.wait("touched", timeout_s=60).state == "cancelled"


def test_what_a_job_leaves_running_is_ended_with_it(sshd: Sshd, agent: Agent) -> None:
    agent.launch(JobSpec("daemonic", ("sh", "-c", "setsid sleep 300 & echo started; exit 0")))
    assert agent.wait("daemonic", timeout_s=60).exit_code == 0
    assert not [process for process in sshd.leftovers() if "300" in process.cmdline()]


def test_a_dead_supervisor_makes_its_job_lost_and_cancel_cleans_up(sshd: Sshd, agent: Agent) -> None:
    agent.launch(JobSpec("orphan", ("sh", "-c", "sleep 300 & setsid sleep 301 & wait"), grace_s=1))
    eventually(lambda: agent.status("orphan").state == "running")
    supervisor = next(process for process in sshd.leftovers() if "supervise" in process.cmdline())
    supervisor.kill()
    eventually(lambda: agent.status("orphan").state == "lost", what="the job is lost")
    status = agent.status("orphan")
    assert status.ended
    assert "supervisor died" in status.message
    assert len(status.survivors) == 3
    assert agent.cancel("orphan").state == "cancelled"
    assert not [pid for pid in status.survivors if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


def test_jobs_with_one_id_on_two_boxes_of_one_machine_do_not_touch_each_other(
    agent: Agent, transport: Transport
) -> None:
    with Agent.start(transport, "second root") as other:
        other.launch(JobSpec("same", ("sleep", "300")))
        agent.launch(JobSpec("same", ("true",)))
        assert agent.wait("same", timeout_s=60).exit_code == 0
        assert other.status("same").state == "running"
        other.cancel("same")
        assert other.wait("same", timeout_s=60).state == "cancelled"


def test_a_job_outlives_its_connection(sshd: Sshd) -> None:
    with sshd.connect() as transport:
        agent = Agent.start(transport, "spotter")
        agent.launch(JobSpec("long", ("sh", "-c", "echo begin; sleep 1.5; echo end")))
        sshd.cut()
        with pytest.raises(ConnectionLost):
            agent.status("long", timeout_s=60)
    with sshd.connect() as transport, Agent.start(transport, "spotter") as agent:
        assert agent.wait("long", timeout_s=60).exit_code == 0
        assert agent.follow("jobs/long/log", 0) == b"begin\nend\n"


def test_a_log_followed_over_forced_reconnects_is_byte_exact(sshd: Sshd, tmp_path: Path) -> None:
    count = 20_000
    program = f"for n in range({count}): print(n, 'строка', flush=n % 500 == 0)\n"
    expected = "".join(f"{number} строка\n" for number in range(count)).encode()
    local = tmp_path / "log"
    local.touch()
    cuts = 0
    with Agent.start(sshd.connect(), "spotter", reconnect=sshd.connect) as agent:
        agent.launch(JobSpec("talker", ("python3", "-X", "utf8", "-c", program)))
        deadline = time.monotonic() + 60
        while local.stat().st_size < len(expected):
            assert time.monotonic() < deadline
            data = agent.follow("jobs/talker/log", local.stat().st_size, max_bytes=40_000, wait_s=0.5, timeout_s=20)
            with local.open("ab") as file:
                file.write(data)
            if cuts < 3 and local.stat().st_size > (cuts + 1) * len(expected) // 5:
                cuts += 1
                sshd.cut()
        assert agent.wait("talker", timeout_s=60).exit_code == 0
        agent.transport.close()
    assert cuts == 3
    assert local.read_bytes() == expected


def test_follow_waits_for_growth_and_refuses_a_shrunken_file(sshd: Sshd, agent: Agent) -> None:
    path = sshd.home / "spotter" / "growing"
    assert agent.follow("growing", 0) == b""
    path.write_bytes(b"abc")
    assert agent.follow("growing", 1) == b"bc"
    threading.Timer(0.4, lambda: path.write_bytes(b"abcdef")).start()
    began = time.monotonic()
    assert agent.follow("growing", 3, wait_s=40) == b"def"
    assert time.monotonic() - began < 20
    path.write_bytes(b"")
    with pytest.raises(FileShrank):
        agent.follow("growing", 3)


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "link/passwd"])
def test_nothing_outside_of_the_root_is_read(sshd: Sshd, agent: Agent, path: str) -> None:
    (sshd.home / "spotter" / "link").symlink_to("/etc")
    with pytest.raises(AgentError, match="outside"):
        agent.follow(path, 0)


def test_samples_tell_how_busy_the_box_is(sshd: Sshd, agent: Agent) -> None:
    sample = agent.sample()
    assert sample["cpu_count"] >= 1
    assert sample["disk_total_gb"] > 0
    agent.launch(JobSpec("sampled", ("sleep", "300")))
    eventually(lambda: agent.stat("jobs/sampled/stats.jsonl")["exists"], what="a sample is kept")
    agent.cancel("sampled")
    agent.wait("sampled", timeout_s=60)


def test_a_gpu_is_sampled_through_nvidia_smi(sshd: Sshd, tmp_path: Path, transport: Transport) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text(
        "#!/bin/sh\necho '0, NVIDIA H200, 37, 1024, 143771, 41, 98.5'\necho '1, X, [N/A], 1, 2, 3, 4'\n"
    )
    (tools / "nvidia-smi").chmod(0o755)
    shell = sshd.folder / "shell.sh"
    shell.write_text(shell.read_text().replace("cd ", f"export PATH={tools}:$PATH\ncd ", 1))
    with Agent.start(transport, "spotter") as agent:
        gpus = agent.sample()["gpus"]
    assert gpus[0] == {
        "index": 0, "name": "NVIDIA H200", "busy_percent": 37, "ram_used_mb": 1024,
        "ram_total_mb": 143771, "temperature_c": 41, "power_w": 98.5,
    }  # fmt: skip
    assert gpus[1]["busy_percent"] is None


def test_many_threads_ask_at_once(agent: Agent) -> None:
    data = {name: os.urandom(200_000) for name in "abcdefgh"}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: agent.write(f"files/{name}", data[name]), data))
        read = list(pool.map(lambda name: agent.follow(f"files/{name}", 0), data))
    assert read == list(data.values())


def test_an_agent_that_is_killed_is_started_again(sshd: Sshd, agent: Agent) -> None:
    psutil.Process(agent.hello()["pid"]).kill()
    eventually(lambda: not agent.alive)
    assert agent.hello()["root"] == agent.root


def test_a_frozen_box_fails_a_call_within_its_limit(sshd: Sshd, agent: Agent) -> None:
    sshd.freeze()
    began = time.monotonic()
    with pytest.raises(ConnectionLost):
        agent.status("x", timeout_s=3)
    assert time.monotonic() - began < 7, "before the silence itself is noticed"
    sshd.thaw()


def test_a_vanished_box_ends_a_call_within_its_limit_though_reconnecting_hangs(sshd: Sshd) -> None:
    released = threading.Event()

    def hang() -> Transport:
        released.wait(60)
        return sshd.connect()

    agent = Agent.start(sshd.connect(), "spotter", reconnect=hang)
    sshd.cut()
    eventually(lambda: not agent.alive)
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="within the limit"):
        agent.hello(timeout_s=1)
    assert time.monotonic() - began < 15
    released.set()
    assert agent.hello(timeout_s=20)["root"] == agent.root
    transport = agent.transport
    agent.close()
    eventually(lambda: not transport.alive)


def test_specs_that_make_no_sense_are_refused_at_once() -> None:
    wrong: list[Callable[[], JobSpec]] = [lambda: JobSpec("../x", ("true",)), lambda: JobSpec("x", ())]
    for make in wrong:
        with pytest.raises(ValueError):
            make()
