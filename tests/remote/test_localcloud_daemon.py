"""The marketplace's own life: one daemon a directory, re-adoption, and an end that leaves nothing."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from remote.cloud import InstanceSpec, OutcomeUnknown
from remote.localcloud.connect import local_cloud
from remote.localcloud.controls import Controls
from remote.localcloud.daemon import LocalCloudAddress, LocalCloudFailed, address, ensure_running, stop
from remote.localcloud.processes import processes_of
from tests.remote.cloud_fixtures import QUERY, Market, kill_daemon, living, served, until


def test_many_starts_at_once_give_one_daemon(tmp_path: Path) -> None:
    found: list[LocalCloudAddress] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_running(tmp_path / "c"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert stop(tmp_path / "c") is True
    until(lambda: not living(tmp_path), "no process is left")
    assert stop(tmp_path / "c") is False


def test_nothing_is_started_by_looking(tmp_path: Path) -> None:
    assert address(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_its_files_are_private_and_it_listens_on_loopback_only(own_market: Market) -> None:
    own_market.rent()
    for name in ("cloud.json", "api_key"):
        assert (own_market.directory / name).stat().st_mode & 0o777 == 0o600
    listening = [
        connection
        for process in (*processes_of(own_market.directory), psutil.Process(own_market.address.pid))
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 3
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


def test_stopping_ends_every_process_and_every_instance(own_market: Market) -> None:
    instance_id = own_market.rent()
    own_market.ssh(own_market.running(instance_id).endpoints[0], "setsid sleep 4321 </dev/null >/dev/null 2>&1 &")
    assert len(living(own_market.directory)) >= 3
    assert stop(own_market.directory) is True
    assert living(own_market.directory) == []
    assert address(own_market.directory) is None
    assert own_market.cloud.instances() == []


def test_boxes_end_by_themselves_soon_after_their_cloud_died(own_market: Market) -> None:
    instance_id = own_market.rent()
    own_market.ssh(own_market.running(instance_id).endpoints[0], "setsid sleep 4321 </dev/null >/dev/null 2>&1 &")
    kill_daemon(own_market)
    until(lambda: not living(own_market.directory), "boxes and their jobs are gone")


def test_a_restarted_cloud_takes_over_living_boxes_with_their_jobs(tmp_path: Path) -> None:
    with served(tmp_path, orphan_grace_s=20) as market:
        instance_id = market.rent()
        before = market.running(instance_id)
        market.ssh(before.endpoints[0], "setsid sleep 4322 </dev/null >/dev/null 2>&1 & echo kept > file")
        url = market.address.url
        kill_daemon(market)
        assert market.address.url == url
        assert market.running(instance_id).endpoints == before.endpoints
        assert market.ssh(before.endpoints[1], "cat file").stdout == b"kept\n"
        assert any("4322" in line for line in living(market.directory))


def test_a_restarted_cloud_starts_dead_boxes_again_on_their_disk(own_market: Market) -> None:
    instance_id = own_market.rent()
    own_market.ssh(own_market.running(instance_id).endpoints[0], "echo kept > file")
    kill_daemon(own_market)
    until(lambda: not living(own_market.directory), "the box ended")
    assert own_market.ssh(own_market.running(instance_id).endpoints[0], "cat file").stdout == b"kept\n"


def test_what_a_killed_cloud_left_is_cleared_by_stop(own_market: Market) -> None:
    own_market.rent()
    kill_daemon(own_market)
    assert stop(own_market.directory) is False
    assert living(own_market.directory) == []
    assert own_market.cloud.instances() == []


def test_a_box_that_is_killed_shows_as_exited(own_market: Market) -> None:
    instance_id = own_market.rent()
    for process in processes_of(own_market.directory):
        process.kill()
    until(lambda: own_market.cloud.instance(instance_id).status == "exited", "exited")  # type: ignore[union-attr]


def test_it_ends_when_nobody_needs_it_and_comes_back_when_called(tmp_path: Path) -> None:
    directory = tmp_path / "idle"
    first = ensure_running(directory, idle_exit_s=0.3)
    until(lambda: address(directory) is None, "it ended by itself")
    until(lambda: not living(tmp_path), "no process is left")
    cloud = local_cloud(directory)
    assert cloud.search(QUERY)
    second = address(directory)
    assert second is not None
    assert second.pid != first.pid
    assert (second.api_key, second.url) == (first.api_key, first.url)
    stop(directory)


def test_it_stays_while_an_instance_lives(tmp_path: Path) -> None:
    directory = tmp_path / "cloud"
    ensure_running(directory, idle_exit_s=0.3, speed=8)
    cloud = local_cloud(directory)
    cloud.create(cloud.search(QUERY)[0].id, InstanceSpec("i", 20, "spotter-op-x"))
    time.sleep(2.5)
    assert address(directory) is not None
    stop(directory)


def foreground(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "remote.localcloud", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = foreground("--state", str(tmp_path), "--port", str(port))
        (said,) = done.communicate(timeout=30)[0].splitlines()
        assert said.startswith(f"port {port} of 127.0.0.1 cannot be had")
        assert "give another --port" in said
        assert done.returncode == 1


def test_in_the_foreground_it_says_where_it_serves_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    serving = foreground("--state", str(tmp_path / "x"))
    assert serving.stdout is not None
    assert "(EMULATED)" in serving.stdout.readline()
    second = foreground("--state", str(tmp_path / "x"))
    assert "another marketplace already serves" in second.communicate(timeout=30)[0]
    serving.send_signal(signal.SIGINT)
    assert serving.wait(timeout=30) == 0
    serving.stdout.close()


def test_a_state_directory_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((LocalCloudFailed, NotADirectoryError)):
        ensure_running(tmp_path / "file" / "cloud")


def test_it_ends_at_once_although_a_scenario_holds_an_answer_back(tmp_path: Path) -> None:
    directory = tmp_path / "c"
    ensure_running(directory)
    cloud = local_cloud(directory, create_timeout_s=0.5)
    Controls(directory).add_rule({"match": {"op": "create"}, "do": {"delay_s": 3600}})
    with pytest.raises(OutcomeUnknown):
        cloud.create(cloud.search(QUERY)[0].id, InstanceSpec("image", 20.0, "spotter-op-held"))
    began = time.monotonic()
    assert stop(directory)
    assert time.monotonic() - began < 15
