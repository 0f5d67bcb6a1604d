"""Renting on the emulated marketplace, with real boxes and the real transport: what is had, and what is left."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from remote.cloud import InstanceSpec, OfferQuery
from remote.ledger import Ledger
from remote.localcloud.connect import local_cloud
from remote.progress import Progress
from remote.provision import (
    NoOffers,
    OverBudget,
    Provisioner,
    ProvisionFailed,
    RentRequest,
)
from remote.states import LOOPBACK_LIMITS, Limits
from tests.remote.cloud_fixtures import QUERY, SPEED, Market

STATES = ["planned", "searched", "claiming", "allocated", "pulling", "booting", "reachable", "authed", "verified"]
REQUEST = RentRequest(QUERY, "pytorch/pytorch:test", image_gb=0.1)
QUICK = replace(LOOPBACK_LIMITS, poll_s=0.2, reconcile_poll_s=0.4, reconciling_s=8.0)
"""In the marketplace's seconds, of which four pass in one of ours."""


@dataclass
class Bench:
    """A market with a ledger beside it."""

    market: Market
    ledger: Ledger
    base: Path
    phases: list[str] = field(default_factory=list)

    def provisioner(self, limits: Limits = QUICK, create_timeout_s: float = 60) -> Provisioner:
        clock = self.market.clock
        cloud = local_cloud(self.market.directory, speed=SPEED, create_timeout_s=create_timeout_s, clock=clock)
        pins = self.base / "known_hosts"
        return Provisioner(cloud, self.ledger, self.market.key, pins, limits=limits, clock=clock)

    def listen(self, progress: Progress) -> None:
        if not self.phases or self.phases[-1] != progress.phase:
            self.phases.append(progress.phase)

    @property
    def alive(self) -> list[int]:
        return [each.id for each in self.market.cloud.instances()]

    @property
    def known(self) -> list[int]:
        return [row.instance_id for row in self.ledger.instances(alive_only=True)]

    def assert_nothing_lives(self) -> None:
        assert self.alive == []
        assert self.known == []


@pytest.fixture
def bench(market: Market, tmp_path: Path) -> Bench:
    return Bench(market, Ledger(tmp_path / "state.db", clock=market.clock), tmp_path)


def test_a_rental_passes_every_state_and_lets_us_in(bench: Bench) -> None:
    rental = bench.provisioner().provision(REQUEST, bench.listen)
    assert bench.phases == STATES
    assert [row.state for row in bench.ledger.history("local", rental.instance.id)] == STATES
    assert rental.endpoint in rental.endpoints
    assert {each.kind for each in rental.endpoints} == {"direct", "proxy"}
    assert bench.alive == bench.known == [rental.instance.id]
    row = bench.ledger.instance("local", rental.instance.id)
    assert row is not None
    assert (row.label, row.usd_per_hour) == (rental.label, pytest.approx(rental.price.usd_per_hour))
    assert rental.label.startswith("spotter-op-")
    assert (bench.base / "known_hosts" / str(rental.instance.id)).exists()

    bench.provisioner().destroy(rental.instance.id, bench.listen)
    bench.assert_nothing_lives()
    assert bench.phases[-2:] == ["destroying", "gone"]
    assert not (bench.base / "known_hosts" / str(rental.instance.id)).exists()
    bench.provisioner().destroy(rental.instance.id)
    assert [row.state for row in bench.ledger.history("local", rental.instance.id)][-1] == "gone"
    assert bench.ledger.spent_usd() > 0


def test_the_bill_of_the_market_and_the_ledger_agree(bench: Bench) -> None:
    credit = bench.market.cloud.account().credit_usd
    rental = bench.provisioner().provision(REQUEST)
    bench.provisioner().destroy(rental.instance.id)
    billed = credit - bench.market.cloud.account().credit_usd
    assert bench.ledger.spent_usd() == pytest.approx(billed, abs=0.0005)


def test_an_offer_that_is_gone_costs_nothing_and_the_next_is_taken(bench: Bench) -> None:
    bench.market.scenario("create", 1, status=410, body={"success": False, "error": "no_such_ask", "msg": "gone"})
    rental = bench.provisioner().provision(REQUEST, bench.listen)
    assert rental.attempts == ()
    assert bench.phases.count("claiming") == 2
    assert bench.alive == [rental.instance.id]
    assert [intent.outcome for intent in bench.ledger.intents()] == ["refused", "ok"]


def test_a_create_without_an_answer_is_found_by_its_label_and_exactly_one_instance_lives(bench: Bench) -> None:
    bench.market.scenario("create", 1, delay_s=3)
    patient = replace(QUICK, reconciling_s=120)
    rental = bench.provisioner(patient, create_timeout_s=0.5).provision(REQUEST, bench.listen)
    assert "reconciling" in bench.phases
    assert bench.alive == bench.known == [rental.instance.id]
    assert [intent.outcome for intent in bench.ledger.intents()] == ["ok"]


def test_a_create_without_an_answer_that_rented_nothing_leads_to_the_next_offer(bench: Bench) -> None:
    bench.market.scenario("create", 1, status=500, body={"error": "oops"})
    rental = bench.provisioner().provision(REQUEST, bench.listen)
    assert bench.alive == [rental.instance.id]
    assert [intent.outcome for intent in bench.ledger.intents()] == ["absent", "ok"]


def test_a_machine_that_is_not_what_was_rented_is_destroyed_and_told_of(bench: Bench) -> None:
    bench.market.scenario("create", 1, wrong_container_id=True)
    rental = bench.provisioner().provision(REQUEST, bench.listen)
    (attempt,) = rental.attempts
    assert attempt.state == "authed"
    assert "another machine answers" in attempt.reason
    assert attempt.instance_id is not None
    assert bench.alive == bench.known == [rental.instance.id]
    states = [row.state for row in bench.ledger.history("local", attempt.instance_id)]
    assert states[-3:] == ["discard", "destroying", "gone"]


def test_after_four_failed_rentals_a_table_says_what_failed_where(bench: Bench) -> None:
    bench.market.scenario("create", pull_error="write /layer.tar: no space left on device")
    with pytest.raises(ProvisionFailed) as caught:
        bench.provisioner().provision(REQUEST)
    assert len(caught.value.attempts) == 4
    assert str(caught.value).count("no space left on device") == 4
    assert len({attempt.offer.machine_id for attempt in caught.value.attempts}) == 4
    bench.assert_nothing_lives()
    assert [request.state for request in bench.ledger.requests()] == ["failed"]


def test_an_image_that_nobody_can_pull_ends_the_request_at_once(bench: Bench) -> None:
    bench.market.scenario("create", pull_error="manifest unknown: pytorch/pytorch:tset")
    with pytest.raises(ProvisionFailed, match="every machine would fail alike"):
        bench.provisioner().provision(REQUEST)
    assert len(bench.ledger.instances()) == 1
    bench.assert_nothing_lives()


def test_a_key_that_lags_is_waited_for(bench: Bench) -> None:
    bench.market.scenario("create", key_lag_s=3)
    rental = bench.provisioner().provision(REQUEST, bench.listen)
    assert bench.phases[-3:] == ["reachable", "authed", "verified"]
    assert bench.alive == [rental.instance.id]


def test_a_cap_is_checked_before_renting_together_with_what_lives(bench: Bench) -> None:
    with pytest.raises(OverBudget, match=r"above the cap of \$0.05/h"):
        bench.provisioner().provision(replace(REQUEST, max_usd_per_hour=0.05))
    bench.ledger.open_instance("local", 5, label="x", gpu_name="RTX", gpu_usd_per_hour=0.3, disk_usd_per_hour=0.0)
    with pytest.raises(OverBudget, match="with 1 already rented"):
        bench.provisioner().provision(replace(REQUEST, max_usd_per_day=8.0))
    assert bench.alive == []
    assert bench.ledger.intents() == []


def test_what_was_spent_today_counts(bench: Bench) -> None:
    clock = bench.market.clock
    clock.advance_to((clock.time() // 86400 + 1) * 86400 + 3600)  # today is not over meanwhile
    bench.ledger.open_instance("local", 5, label="x", gpu_name="H100", gpu_usd_per_hour=36_000, disk_usd_per_hour=0.0)
    bench.ledger.instance_running("local", 5)
    time.sleep(0.5)
    bench.ledger.close_instance("local", 5)
    with pytest.raises(OverBudget, match="spent today"):
        bench.provisioner().provision(replace(REQUEST, max_usd_per_day=3.0))


def test_an_empty_search_says_which_filter_emptied_it(bench: Bench) -> None:
    query = OfferQuery(gpu_names=("RTX 4090",), disk_gb=20, max_usd_per_hour=0.01)
    with pytest.raises(NoOffers, match=r"Only “≤ \$0.01/h” stands in the way"):
        bench.provisioner().provision(RentRequest(query, "image"))


def test_exactly_the_chosen_offer_is_rented_or_none(bench: Bench) -> None:
    chosen = bench.market.cloud.search(QUERY)[2]
    rental = bench.provisioner().provision(replace(REQUEST, offer_id=chosen.id))
    assert rental.offer is not None
    assert rental.offer.id == chosen.id
    with pytest.raises(NoOffers, match=f"offer {chosen.id} is not on the market"):
        bench.provisioner().provision(replace(REQUEST, offer_id=chosen.id))


def test_an_orphan_is_shown_can_be_adopted_and_destroyed(bench: Bench) -> None:
    orphan = bench.market.cloud.create(
        bench.market.cloud.search(QUERY)[0].id, InstanceSpec("image", 20, "spotter-op-orphan")
    )
    stranger = bench.market.cloud.create(
        bench.market.cloud.search(QUERY)[0].id, InstanceSpec("image", 20, "somebody else's")
    )
    provisioner = bench.provisioner()
    assert [each.id for each in provisioner.orphans()] == [orphan]
    rental = provisioner.adopt(orphan, bench.listen)
    assert rental.instance.id == orphan
    assert provisioner.orphans() == []
    assert bench.known == [orphan]
    provisioner.destroy(orphan)
    assert bench.alive == [stranger]
    provisioner.destroy(stranger)
    bench.assert_nothing_lives()


@pytest.mark.parametrize("state", STATES)
def test_ctrl_c_in_any_state_leaves_nothing_alive(bench: Bench, state: str) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.phase == state:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.provisioner().provision(REQUEST, interrupt)
    bench.assert_nothing_lives()
    (request,) = bench.ledger.requests()
    assert request.state in ("failed", "gone")
    assert bench.ledger.intents(unsettled_only=True) == []


def interrupt_soon(when: Callable[[], bool]) -> threading.Thread:
    """A real SIGINT to the main thread once `when` is true."""

    def watch() -> None:
        while not when():
            time.sleep(0.005)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_ctrl_c_while_a_create_is_in_flight_leaves_nothing_alive(bench: Bench) -> None:
    bench.market.scenario("create", delay_s=1.5)
    interrupt_soon(lambda: bool(bench.alive))
    with pytest.raises(KeyboardInterrupt):
        bench.provisioner().provision(REQUEST)
    bench.assert_nothing_lives()


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_ctrl_c_while_a_lost_create_is_looked_for_leaves_nothing_alive(bench: Bench) -> None:
    bench.market.scenario("create", delay_s=3)
    bench.market.scenario("list", 1, status=503, body="busy")

    def interrupt(progress: Progress) -> None:
        if progress.phase == "reconciling":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.provisioner(create_timeout_s=0.5).provision(REQUEST, interrupt)
    bench.assert_nothing_lives()
    assert bench.ledger.intents(unsettled_only=True) == []


def test_reconciling_keeps_what_is_in_use_and_closes_what_is_gone(bench: Bench) -> None:
    provisioner = bench.provisioner()
    kept = provisioner.provision(REQUEST)
    lost = provisioner.provision(REQUEST)
    bench.market.cloud.destroy(lost.instance.id)
    bench.market.gone(lost.instance.id)
    assert [each.id for each in provisioner.reconcile()] == [kept.instance.id]
    assert bench.known == [kept.instance.id]


def test_reconciling_leaves_a_rental_alone_that_another_console_is_making(bench: Bench) -> None:
    states: list[Any] = []

    def look(progress: Progress) -> None:
        if progress.phase == "booting" and not states:
            states.append([each.id for each in bench.provisioner().reconcile()])

    rental = bench.provisioner().provision(REQUEST, look)
    assert states == [[rental.instance.id]]
