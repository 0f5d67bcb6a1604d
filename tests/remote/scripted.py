"""A cloud, a clock and an SSH that do what a script says: renting in virtual time, without a second or a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import remote.transport
from remote.cloud import (
    Account,
    Charge,
    Endpoint,
    Instance,
    InstanceSpec,
    InstanceStatus,
    Offer,
    OfferQuery,
)
from remote.keys import ensure_key_pair
from remote.ledger import Ledger
from remote.provision import Provisioner, ProvisionFailed, Rental, RentRequest
from remote.states import Limits

DIRECT, PROXY = Endpoint("direct", "10.0.0.1", 40022), Endpoint("proxy", "ssh5.vast.ai", 10022)
OFFER = Offer(
    1, 10, 100, "RTX 4090", 1, 24564, 890, 12.8, "EPYC", 16, 64000, 500, "NVMe",
    0.30, 0.72, 0.002, 0.002, 900, 800, "Poland, PL", 0.99, True, True, 100, 1e6,
)  # fmt: skip
PROBE = (
    "container 1\ngpu NVIDIA GeForce RTX 4090, 24564, 570.1\ndisk 40000000 39000000\npython 3.10.12 /usr/bin/python3\n"
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class ScriptedCloud:
    """A cloud whose instances do what a function of their age says."""

    name, emulated = "vast", False

    def __init__(self, clock: Clock, life: Callable[[float], dict[str, Any] | Exception | None]) -> None:
        self.clock = clock
        self.life = life
        self.born: dict[int, tuple[float, str]] = {}
        self.calls: list[str] = []
        self.offers = [replace(OFFER, id=n, machine_id=n) for n in range(1, 9)]
        self.immortal = False
        self.charged: list[Charge] = []
        self.credit_usd = 1.0
        self.identity = ""

    def search(self, query: OfferQuery) -> list[Offer]:
        return [
            offer
            for offer in self.offers
            if offer.id not in self.born and offer.machine_id not in query.excluded_machines
        ]

    def create(self, offer_id: int, spec: InstanceSpec) -> int:
        self.calls.append(f"create {offer_id}")
        self.born[offer_id] = (self.clock.now, spec.label)
        return offer_id

    def instances(self, label: str | None = None) -> list[Instance]:
        found = [self.instance(each) for each in list(self.born)]
        return [each for each in found if each is not None and label in (None, each.label)]

    def instance(self, instance_id: int) -> Instance | None:
        if instance_id not in self.born:
            return None
        born, label = self.born[instance_id]
        row = self.life(self.clock.now - born)
        if isinstance(row, Exception):
            raise row
        if row is None:
            return None
        base = Instance(
            instance_id, instance_id, label, InstanceStatus.RUNNING, "running", "", "RTX 4090", 1, 24564, 40.0, 0.34,
            "image", "PL", None, (DIRECT, PROXY), 900.0,
        )  # fmt: skip
        return replace(base, **row)

    def attach_key(self, instance_id: int, public_key: str) -> None:
        self.calls.append(f"attach at {self.clock.now:.0f}")

    def attached_keys(self, instance_id: int) -> list[str]:
        return []

    def reboot(self, instance_id: int) -> None:
        self.calls.append(f"reboot at {self.clock.now:.0f}")

    def recycle(self, instance_id: int) -> None:
        self.calls.append(f"recycle at {self.clock.now:.0f}")

    def stop(self, instance_id: int) -> None:
        raise AssertionError("the provisioner stops nothing")

    def start(self, instance_id: int) -> None:
        raise AssertionError("the provisioner starts nothing")

    def label(self, instance_id: int, label: str) -> None:
        raise AssertionError("the provisioner names nothing anew")

    def charges(self, since: float, until: float) -> list[Charge]:
        return self.charged

    def destroy(self, instance_id: int) -> None:
        self.calls.append(f"destroy {instance_id}")
        if not self.immortal:
            self.born.pop(instance_id, None)

    def logs(self, instance_id: int, tail: int = 200) -> str:
        return "one\nlast words\n"

    def account(self) -> Account:
        return Account("", self.credit_usd, self.identity)


class Box:
    """What `connect` gives once it lets us in."""

    def __init__(self, output: str, endpoint: Endpoint) -> None:
        self.output = output
        self.endpoint = endpoint

    def run(self, *_arguments: Any, **_options: Any) -> Any:
        return SimpleNamespace(stdout=self.output.encode())

    def close(self) -> None:
        return

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_error: object) -> None:
        return


class World:
    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.cloud = ScriptedCloud(self.clock, lambda _age: {})
        self.ledger = Ledger(base / "state.db", clock=self.clock)
        self.answer: Callable[[float], Exception | str] = lambda _now: PROBE
        self.tried: list[tuple[Endpoint, ...]] = []
        self.box_endpoint = DIRECT
        self.base = base
        self.with_limits(Limits(rentals=1))

        def connect(endpoints: tuple[Endpoint, ...], **_options: Any) -> Box:
            self.tried.append(endpoints)
            answer = self.answer(self.clock.now)
            if isinstance(answer, Exception):
                raise answer
            rented = [call.split()[1] for call in self.cloud.calls if call.startswith("create")]
            return Box(answer.replace("container 1\n", f"container {rented[-1] if rented else 1}\n"), self.box_endpoint)

        monkeypatch.setattr(remote.transport, "connect", connect)

    def with_limits(self, limits: Limits) -> World:
        self.provisioner = Provisioner(
            self.cloud,
            self.ledger,
            ensure_key_pair(self.base / "keys"),
            self.base / "pins",
            limits=limits,
            clock=self.clock,
        )
        return self

    def provision(self) -> Rental:
        return self.provisioner.provision(RentRequest(OfferQuery(disk_gb=40), "image", image_gb=10))

    def failure(self) -> str:
        with pytest.raises(ProvisionFailed) as caught:
            self.provision()
        (attempt,) = caught.value.attempts
        assert self.cloud.born == {}
        assert self.ledger.instances(alive_only=True) == []
        return f"{attempt.state} after {attempt.seconds:.0f} s: {attempt.reason}"
