from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from remote.bootstrap.defaults import default_steps, worker_python
from remote.bootstrap.run import bootstrap
from remote.cloud import Cloud, Endpoint, InstanceSpec, OfferQuery
from remote.jobs import Agent, JobSpec
from remote.keys import ensure_key_pair
from remote.localcloud.connect import local_cloud
from remote.localcloud.daemon import stop
from remote.release import worker_files
from remote.sync.push import push_release
from remote.transport import ConnectionLost, KeyRejected, SshRefused, SshSilent, Transport, connect
from tests.remote.sshd import eventually


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    try:
        yield local_cloud(tmp_path / "cloud", speed=50)
    finally:
        stop(tmp_path / "cloud")


@pytest.fixture
def instance(cloud: Cloud) -> int:
    offer = cloud.search(OfferQuery(disk_gb=20))[0]
    return cloud.create(offer.id, InstanceSpec("image", 20, "op-test"))


@pytest.fixture
def box(cloud: Cloud, instance: int, tmp_path: Path) -> Iterator[Transport]:
    key = ensure_key_pair(tmp_path / "keys")
    cloud.attach_key(instance, key.public_line)
    deadline = time.monotonic() + 60
    while True:
        try:
            transport = connect(
                endpoints_of(cloud, instance), user="root", key_path=key.private_path, pin_path=tmp_path / "pin"
            )
            break
        except (SshRefused, SshSilent, KeyRejected):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with transport:
        yield transport


def endpoints_of(cloud: Cloud, instance: int) -> tuple[Endpoint, ...]:
    found = cloud.instance(instance)
    return found.endpoints if found else ()


def test_an_emulated_box_is_a_box_like_any_other(cloud: Cloud, instance: int, box: Transport) -> None:
    assert box.run("echo out; echo err >&2; exit 3").exit_code == 3
    assert box.run(["cat"], stdin=os.urandom(3_000_000)).stdout != b""
    assert 0 < box.ping() < 5
    release = push_release(box, "spotter", worker_files())
    results = bootstrap(box, "spotter", default_steps(release))
    assert {result.id: result.outcome for result in results if result.outcome != "found"} == {"caches": "ran"}
    with Agent.start(box, "spotter") as agent:
        module = (worker_python(results), "-c", "import pipeline; print(pipeline.__file__)")
        agent.launch(JobSpec("worker", module, cwd=release.path, env={"PYTHONPATH": release.path}))
        assert agent.wait("worker", timeout_s=60).exit_code == 0
        assert agent.follow("jobs/worker/log", 0).decode().startswith(release.path)
        agent.launch(JobSpec("left", ("sh", "-c", "setsid sleep 300 & sleep 300")))
        eventually(lambda: agent.status("left").state == "running")
        home = agent.root
        cloud.destroy(instance)
        eventually(lambda: cloud.instance(instance) is None, what="the instance is gone")
        with pytest.raises(ConnectionLost):
            agent.status("left", timeout_s=5)
    eventually(lambda: not living_in(home), what="nothing of the destroyed box lives")


def living_in(root: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            home = process.environ().get("HOME", "")
            if process.status() != psutil.STATUS_ZOMBIE and home and root.startswith(home) and home != "/":
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
