"""Emulated marketplaces for tests: real daemons, real boxes, and the proof that none of them is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from remote.cloud import Cloud, Endpoint, Instance, InstanceSpec, OfferQuery
from remote.keys import KeyPair, ensure_key_pair
from remote.localcloud.clock import MarketClock
from remote.localcloud.connect import local_cloud
from remote.localcloud.daemon import LocalCloudAddress, ensure_running, stop
from remote.localcloud.processes import processes_of

SPEED = 4.0
T = TypeVar("T")
QUERY = OfferQuery(gpu_names=("RTX 4090", "RTX 3090"), disk_gb=20)


def until(ask: Callable[[], T], what: str, timeout_s: float = 60) -> T:
    """The first true answer."""
    deadline = time.monotonic() + timeout_s
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        time.sleep(0.02)
    return answer


def living(directory: Path) -> list[str]:
    """Command lines of every process that belongs to the marketplace of a directory."""
    marked = {process.pid for process in processes_of(directory)}
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if process.pid in marked or str(directory) in line:
                found.append(line)
        except psutil.Error:
            continue
    return found


@dataclass(frozen=True)
class Market:
    """A running marketplace and a client of it."""

    directory: Path
    cloud: Cloud
    key: KeyPair
    orphan_grace_s: float = 1.0

    @property
    def address(self) -> LocalCloudAddress:
        return ensure_running(self.directory, speed=SPEED, orphan_grace_s=self.orphan_grace_s)

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        """A raw request: status and parsed answer."""
        request = urllib.request.Request(
            f"{self.address.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.address.api_key if key is None else key}"},
        )
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    @property
    def clock(self) -> MarketClock:
        """The marketplace's time; sleeping on it makes it jump."""
        return MarketClock(self.directory, stepping=True)

    def fault(self, instance_id: int | None, kind: str, **fault: Any) -> None:
        """Let something befall an instance (all with None) now."""
        status, answer = self.call("POST", "/_emu/fault", {"instance": instance_id, "kind": kind, **fault})
        assert status == 200, answer

    def named(self, name: str, seed: int = 0) -> None:
        """Put a named scenario in force."""
        status, answer = self.call("POST", "/_emu/scenario", {"name": name, "seed": seed})
        assert status == 200, answer

    def scenario(self, op: str, nth: int | None = None, **do: Any) -> None:
        status, _answer = self.call("POST", "/_emu/scenario", {"match": {"op": op, "nth": nth}, "do": do})
        assert status == 200

    def spec(self, label: str = "spotter-op-test", **spec: Any) -> InstanceSpec:
        """What tests rent."""
        return InstanceSpec(**{"image": "pytorch/pytorch:test", "disk_gb": 20.0, "label": label, **spec})

    def create(self, **do: Any) -> int:
        """The cheapest free offer with our key attached and something wrong with it; does not wait for it."""
        if do:
            self.call("DELETE", "/_emu/scenario")
            self.scenario("create", 1, **do)
        instance_id = self.cloud.create(self.cloud.search(QUERY)[0].id, self.spec())
        self.cloud.attach_key(instance_id, self.key.public_line)
        return instance_id

    def billed(self, instance_id: int) -> dict[str, float]:
        """Dollars by kind that the market charged for an instance."""
        now = self.clock.time()
        charges = self.cloud.charges(now - 30 * 86400, now)
        return next((dict(each.usd_by_kind) for each in charges if each.instance_id == instance_id), {})

    def rent(self, label: str = "spotter-op-test", **spec: Any) -> int:
        """The cheapest free offer with our key attached; running when this returns."""
        offer = self.cloud.search(QUERY)[0]
        instance_id = self.cloud.create(offer.id, self.spec(label, **spec))
        self.cloud.attach_key(instance_id, self.key.public_line)
        self.running(instance_id)
        return instance_id

    def running(self, instance_id: int) -> Instance:
        def look() -> Instance | None:
            instance = self.cloud.instance(instance_id)
            return instance if instance is not None and len(instance.endpoints) == 2 else None

        return until(look, f"instance {instance_id} runs with both endpoints")

    def gone(self, instance_id: int) -> None:
        until(lambda: self.cloud.instance(instance_id) is None, f"instance {instance_id} is gone")

    def clear(self) -> None:
        """As it was at its start, but for what was paid."""
        self.call("DELETE", "/_emu/scenario")
        for key in self.call("GET", "/api/v0/ssh/")[1]:
            self.call("DELETE", f"/api/v0/ssh/{key['id']}/", {})
        instances = self.cloud.instances()
        for instance in instances:
            self.cloud.destroy(instance.id)
        for instance in instances:
            self.gone(instance.id)

    def ssh(self, endpoint: Endpoint, command: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """The system's own ssh client."""
        line = self._ssh_line(endpoint, command)
        return subprocess.run(line, input=stdin, capture_output=True, timeout=60, check=False)

    @contextmanager
    def holding(self, endpoint: Endpoint) -> Iterator[subprocess.Popen[bytes]]:
        """An ssh client that is logged in and stays."""
        line = self._ssh_line(endpoint, "echo in; exec sleep 600")
        with subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as held:
            try:
                assert held.stdout is not None
                assert held.stdout.readline() == b"in\n"
                yield held
            finally:
                held.kill()

    def _ssh_line(self, endpoint: Endpoint, command: str) -> list[str]:
        options = {
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": self.directory.parent / f"known-{endpoint.port}",
            "LogLevel": "ERROR",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
        }
        flags = [part for name, value in options.items() for part in ("-o", f'{name}="{value}"')]
        where = ["-i", str(self.key.private_path), "-p", str(endpoint.port), f"root@{endpoint.host}"]
        return ["ssh", "-F", "none", *flags, *where, command]


def kill_daemon(market: Market) -> None:
    """End the marketplace's process as a power cut would; returns when it is dead."""
    pid = market.address.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "the daemon is dead")


@contextmanager
def served(base: Path, orphan_grace_s: float = 1.0) -> Iterator[Market]:
    """A marketplace below `base`; leaving a process of it behind is a failure."""
    directory = base / "a cloud's state"
    ensure_running(directory, speed=SPEED, idle_exit_s=600, orphan_grace_s=orphan_grace_s)
    try:
        yield Market(directory, local_cloud(directory, speed=SPEED), ensure_key_pair(base / "keys"), orphan_grace_s)
    finally:
        stop(directory)
    until(lambda: not living(directory), f"every process ended: {living(directory)}", timeout_s=5)


@pytest.fixture
def own_market(tmp_path: Path) -> Iterator[Market]:
    """A marketplace of its own, whose boxes end soon after it."""
    with served(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def shared_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """One marketplace for tests that only look, or end what they rent."""
    with served(tmp_path_factory.mktemp("shared"), orphan_grace_s=10) as made:
        yield made


@pytest.fixture(scope="session")
def reused_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with served(tmp_path_factory.mktemp("reused"), orphan_grace_s=10) as made:
        yield made


@pytest.fixture
def market(reused_market: Market) -> Iterator[Market]:
    """A marketplace without instances, account keys and scenarios; whatever the test leaves is cleared away."""
    yield reused_market
    reused_market.clear()
