"""A marketplace whose clock tests step, a ledger in its time, and what must be true of the money whatever happened."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from remote.cloud import Charge, Cloud, CloudError, OfferQuery
from remote.keys import KeyPair, ensure_key_pair
from remote.labels import is_ours
from remote.ledger import Ledger
from remote.localcloud.clock import MarketClock
from remote.localcloud.connect import local_cloud
from remote.localcloud.daemon import address, ensure_running, stop
from remote.money import A_CENT_USD
from remote.progress import Progress
from remote.provision import Provisioner, RentRequest
from remote.states import Limits
from tests.remote.cloud_fixtures import living, until

QUERY = OfferQuery(gpu_names=("RTX 4090", "RTX 3090"), disk_gb=20)
REQUEST = RentRequest(QUERY, "pytorch/pytorch:test", image_gb=20)
LIMITS = Limits(connect_s=1.5, poll_s=15.0)
"""Those of a real cloud, but for what takes real time here: a connection that nobody answers."""
CREATE_TIMEOUT_S = 2.0
"""Real seconds: while a create waits for its answer nobody steps the clock."""


@dataclass
class Bench:
    """One marketplace, one workspace beside it."""

    directory: Path
    base: Path
    key: KeyPair
    clock: MarketClock
    cloud: Cloud
    ledger: Ledger
    told: list[Progress] = field(default_factory=list)

    def provisioner(self, limits: Limits = LIMITS) -> Provisioner:
        return Provisioner(self.cloud, self.ledger, self.key, self.base / "pins", limits=limits, clock=self.clock)

    def fresh(self, base: Path) -> Bench:
        """Another workspace at the same marketplace."""
        return replace(self, base=base, ledger=Ledger(base / "state.db", clock=self.clock), told=[])

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A call that only an emulated marketplace knows."""
        where = address(self.directory)
        assert where is not None
        request = urllib.request.Request(
            f"{where.url}/_emu/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {where.api_key}"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.loads(answer.read())

    def scenario(self, name: str, seed: int = 7) -> None:
        self.control("POST", "scenario", {"name": name, "seed": seed})

    def behave(self) -> None:
        """No scenario, no instance, and money in the account."""
        self.control("DELETE", "scenario")
        self.control("POST", "scenario", {"world": {"credit_usd": 100.0}})
        self.control("DELETE", "scenario")
        doomed = [each.id for each in self.cloud.instances()]
        for instance_id in doomed:
            self.cloud.destroy(instance_id)
        until(lambda: not self.cloud.instances(), "every instance is gone")

    @property
    def alive(self) -> set[int]:
        return {each.id for each in self.cloud.instances()}

    @property
    def known(self) -> set[int]:
        return {row.instance_id for row in self.ledger.instances(alive_only=True, cloud="local")}

    def assert_no_stranger_lives(self) -> None:
        """No instance is rented that the ledger does not hold for alive."""
        assert self.alive <= self.known

    def charged(self) -> dict[int, dict[str, float]]:
        """The marketplace's own bill by instance and kind."""
        found: dict[int, dict[str, float]] = {}
        for each in self._bill():
            kinds = found.setdefault(each.instance_id, {})
            for kind, usd in each.usd_by_kind.items():
                kinds[kind] = kinds.get(kind, 0.0) + usd
        return found

    def _bill(self) -> list[Charge]:
        now = self.clock.time()
        return self.cloud.charges(now - 7 * 86400, now)

    def assert_no_stranger_was_charged(self) -> None:
        """Whatever was billed under a label of this workspace has a row on its ledger."""
        rows = {row.instance_id for row in self.ledger.instances(cloud="local")}
        strangers = {
            each.instance_id: dict(each.usd_by_kind)
            for each in self._bill()
            if is_ours(each.label, self.ledger.mark) and each.usd > 0 and each.instance_id not in rows
        }
        assert strangers == {}, f"charged, and never on the ledger: {strangers}"

    def assert_counted_to_the_cent(self) -> None:
        """What the ledger counted by the second is what the marketplace charged, before anything is settled."""
        self.assert_no_stranger_was_charged()
        charged = self.charged()
        for row in self.ledger.instances(cloud="local"):
            kinds = charged.get(row.instance_id, {})
            by_the_second = kinds.get("gpu", 0.0) + kinds.get("disk", 0.0)
            meters = self.ledger.meters("local", row.instance_id)
            counted = sum(each.usd(self.clock.time()) for each in meters)
            assert abs(by_the_second - counted) < A_CENT_USD, f"charged {kinds}, counted {counted}: {meters}"

    def assert_settled(self, *, tolerated_usd: float = A_CENT_USD) -> None:
        """The ledger says of every instance what the marketplace charged, traffic too, to the last digit.

        `tolerated_usd`: how far the ledger's own meters may be from the bill, before any adjustment.
        """
        self.assert_no_stranger_was_charged()
        charged = self.charged()
        for row in self.ledger.instances(cloud="local"):
            assert row.closed_at is not None
            kinds = charged.get(row.instance_id, {})
            meters = self.ledger.meters("local", row.instance_id)
            counted = sum(each.usd(self.clock.time()) for each in meters)
            off = kinds.get("gpu", 0.0) + kinds.get("disk", 0.0) - counted
            assert abs(off) < tolerated_usd, f"instance {row.instance_id}: charged {kinds}, counted {counted}: {meters}"
            settled = self.ledger.spent_usd(cloud="local", instance_id=row.instance_id)
            assert abs(sum(charged.get(row.instance_id, {}).values()) - settled) < 1e-6


@contextmanager
def stepped_market(base: Path, *, speed: float = 1.0, stepping: bool = True) -> Iterator[Bench]:
    """A marketplace below `base`, whose every process is gone afterwards."""
    directory = base / "cloud"
    ensure_running(directory, speed=speed, idle_exit_s=600, orphan_grace_s=5)
    clock = MarketClock(directory, stepping=stepping)
    cloud = local_cloud(directory, create_timeout_s=CREATE_TIMEOUT_S, speed=speed, clock=clock)
    try:
        key = ensure_key_pair(base / "keys")
        yield Bench(directory, base, key, clock, cloud, Ledger(base / "state.db", clock=clock))
    finally:
        stop(directory)
    until(lambda: not living(directory), f"every process ended: {living(directory)}", timeout_s=10)


def destroy_all(bench: Bench, provisioner: Provisioner) -> None:
    """Destroy what is known, however moody the cloud is."""
    for instance_id in sorted(bench.known):
        for _ in range(5):
            try:
                provisioner.destroy(instance_id)
                break
            except CloudError as error:
                bench.told.append(Progress("destroying", str(error)))
                bench.clock.sleep(30)
