"""The dead-man on emulated boxes: each is a machine of its own that only its own key ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from remote.cloud import InstanceStatus
from remote.jobs import Agent, DeadmanOrder, JobSpec, Ready, Retry
from remote.transport import Transport, connect
from tests.remote.cloud_fixtures import Market, until

RESUME = 'if test -x "$HOME/spotter/resume"; then "$HOME/spotter/resume"; fi'

CONSOLE = """
import sys, time
from pathlib import Path
from remote.cloud import Endpoint
from remote.jobs import Agent, DeadmanOrder
from remote.transport import connect
port, key, pin, in_s = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
transport = connect([Endpoint("direct", "127.0.0.1", port)], user="root", key_path=key, pin_path=pin)
agent = Agent.start(transport, "spotter")
began = time.monotonic()
agent.arm_deadman(DeadmanOrder(agent.hello()["time"] + 900))
arming_s = time.monotonic() - began
deadline_at = agent.hello()["time"] + in_s + 4 * arming_s  # on a slow machine there must be time for it too
print(agent.arm_deadman(DeadmanOrder(deadline_at, grace_s=1)).guards, deadline_at, flush=True)
while True:
    agent.hello()
    time.sleep(0.2)
"""


def pin_of(market: Market, instance_id: int) -> Path:
    return market.directory.parent / f"pin-{instance_id}"


def reach(market: Market, instance_id: int) -> Transport:
    endpoints = market.running(instance_id).endpoints
    return connect(endpoints, user="root", key_path=market.key.private_path, pin_path=pin_of(market, instance_id))


@contextmanager
def agent_of(market: Market, instance_id: int) -> Iterator[Agent]:
    with reach(market, instance_id) as transport, Agent.start(transport, "spotter") as agent:
        yield agent


def order(agent: Agent, in_s: float, **values: object) -> DeadmanOrder:
    return DeadmanOrder(float(agent.hello()["time"]) + in_s, **values)  # type: ignore[arg-type]


def is_settled(agent: Agent, job_id: str) -> bool:
    return "container was restarted" in agent.status(job_id).message


def test_a_box_whose_console_was_killed_destroys_itself_at_its_cap(market: Market) -> None:
    box = market.rent()
    direct = next(each for each in market.running(box).endpoints if each.kind == "direct")
    arguments = [str(direct.port), str(market.key.private_path), str(pin_of(market, box)), "2"]
    console = subprocess.Popen([sys.executable, "-c", CONSOLE, *arguments], stdout=subprocess.PIPE, text=True)
    assert console.stdout is not None
    guards, deadline_at = console.stdout.readline().split()
    console.send_signal(signal.SIGKILL)
    console.wait()
    assert guards == "True"
    assert time.time() < float(deadline_at)
    assert market.cloud.instance(box) is not None
    market.gone(box)
    assert time.time() >= float(deadline_at)


def test_a_box_that_nobody_speaks_to_destroys_itself_but_not_while_somebody_does(market: Market) -> None:
    box = market.rent()
    with agent_of(market, box) as agent:
        assert agent.deadman_status().state == "absent"
        status = agent.arm_deadman(order(agent, 900, idle_s=2, grace_s=4))
        assert status.guards
        assert status.proof is not None
        assert status.proof.http_status == 200
        for _look in range(20):
            assert agent.deadman_status().guards  # a pause of this loop is forgiven within the grace
            time.sleep(0.2)
    market.gone(box)


def test_a_job_keeps_an_idle_box_but_not_beyond_its_deadline(market: Market) -> None:
    box = market.rent()
    with agent_of(market, box) as agent:
        agent.launch(JobSpec("long", ("sleep", "300")))
        agent.launch(JobSpec("jupyter", ("sleep", "300"), restart="always"))
        wanted = order(agent, 5, idle_s=1, grace_s=1)
        assert agent.arm_deadman(wanted).guards
    market.gone(box)
    assert time.time() >= wanted.deadline_at


def test_a_service_alone_does_not_keep_a_box(market: Market) -> None:
    box = market.rent()
    with agent_of(market, box) as agent:
        agent.launch(JobSpec("jupyter", ("sleep", "300"), restart="always"))
        agent.arm_deadman(order(agent, 900, idle_s=3, grace_s=0))
    market.gone(box)


def test_a_box_that_stopped_itself_can_be_started_again_and_armed_anew(market: Market) -> None:
    box = market.rent(onstart=RESUME)
    with agent_of(market, box) as agent:
        agent.arm_deadman(order(agent, 4, action="stop", grace_s=0))  # it tells that it is armed before it acts

    def status() -> InstanceStatus | None:
        instance = market.cloud.instance(box)
        return instance.status if instance else None

    until(lambda: status() is InstanceStatus.STOPPED, "the box stopped itself")
    market.cloud.start(box)
    with agent_of(market, box) as agent:
        until(lambda: agent.deadman_status().alive, "the start script brought the dead-man back")
        left_s = agent.deadman_status().deadline_in_s
        assert left_s is not None
        assert left_s > 600  # somebody wants this box again: there is time to arm it anew
        assert agent.arm_deadman(order(agent, 900)).guards


def test_a_restarted_container_takes_up_what_it_may(market: Market) -> None:
    box = market.rent(onstart=RESUME)
    with agent_of(market, box) as agent:
        assert agent.arm_deadman(order(agent, 900)).guards
        agent.launch(JobSpec("plain", ("sleep", "300")))
        agent.launch(
            JobSpec("patient", ("sh", "-c", "test -f again || { touch again; sleep 300; }"), retry=Retry(max=1))
        )
        agent.launch(JobSpec("service", ("sleep", "300"), restart="always", ready=Ready(argv=("true",))))
        agent.launch(JobSpec("holder", ("sleep", "300"), gpu=0))
        agent.launch(JobSpec("waiting", ("sh", "-c", "echo gpu $CUDA_VISIBLE_DEVICES"), gpu=0))
        assert agent.status("waiting").state == "queued"
        until(lambda: agent.stat("again")["exists"], "the patient job has begun")
        until(lambda: agent.status("service").ready, "the service is ready")
        pid = agent.hello()["pid"]
    market.cloud.reboot(box)
    until(lambda: not psutil.pid_exists(pid), "the container ended")
    with agent_of(market, box) as agent:
        until(lambda: agent.deadman_status().guards, "the dead-man is back")
        assert agent.wait("patient", timeout_s=60).exit_code == 0
        assert agent.status("patient").attempt == 2
        until(lambda: agent.status("service").ready, "the service is ready again")
        assert agent.status("service").attempt == 2
        for name in ("plain", "holder"):
            until(partial(is_settled, agent, name), f"{name} is settled")
            assert agent.status(name).state == "lost"
        assert agent.wait("waiting", timeout_s=60).exit_code == 0
        assert agent.follow("jobs/waiting/log", 0) == b"gpu 0\n"
