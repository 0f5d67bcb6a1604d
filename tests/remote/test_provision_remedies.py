"""What is done about a machine before it is given up, what is remembered of it, and when a request ends."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote.clock import SYSTEM_CLOCK
from remote.cloud import (
    CloudUnreachable,
    InstanceStatus,
    NoCredit,
    OfferQuery,
    OutcomeUnknown,
    RateLimited,
    SearchQuota,
)
from remote.labels import new_label
from remote.mutex import ClaimMutex
from remote.progress import Progress
from remote.provision import OverBudget, ProvisionFailed, RentRequest
from remote.states import Limits
from remote.transport import KeyRejected, KeyUnreadable, SshRefused, SshSilent
from tests.remote.scripted import DIRECT, PROBE, PROXY, World

REQUEST = RentRequest(OfferQuery(disk_gb=40), "image", image_gb=10)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
def patient(world: World) -> World:
    """A world in which four machines may be tried."""
    return world.with_limits(Limits())


def both(direct: Exception, proxy: Exception) -> Exception:
    """What `connect` raises when each endpoint fails in its own way."""
    verdict = SshRefused("refused") if isinstance(proxy, SshRefused) else SshSilent("silent")
    verdict.by_endpoint = ((DIRECT, direct), (PROXY, proxy))  # type: ignore[assignment]
    return verdict


# one machine


def test_a_silent_machine_that_a_reboot_mends_is_kept(world: World) -> None:
    world.answer = lambda _now: PROBE if "reboot at 65" in world.cloud.calls else SshSilent("silent")
    assert world.provision().instance.id == 1
    assert [call for call in world.cloud.calls if "create" in call] == ["create 1"]


def test_a_silent_endpoint_is_tried_no_more_and_the_refusing_one_has_its_three_minutes(world: World) -> None:
    world.answer = lambda now: both(SshSilent("silent"), SshRefused("refused")) if now < 150 else PROBE
    world.provision()
    assert world.tried[0] == (DIRECT, PROXY)
    assert world.tried[-1] == (PROXY,)
    assert "reboot" not in " ".join(world.cloud.calls)


def test_a_key_that_a_fresh_container_lets_in_is_enough(world: World) -> None:
    world.answer = lambda _now: PROBE if any("recycle" in each for each in world.cloud.calls) else KeyRejected("no")
    rental = world.provision()
    states = [row.state for row in world.ledger.history("vast", rental.instance.id)]
    assert states[-5:] == ["reachable", "booting", "reachable", "authed", "verified"]
    assert [each.outcome for each in world.ledger.intents() if each.operation == "recycle"] == ["ok"]


def test_the_way_that_led_in_is_tried_first_next_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import remote.transport

    world.box_endpoint = PROXY
    connect = remote.transport.connect
    order: list[str] = []

    def remember(endpoints: Any, *, first: str, **options: Any) -> Any:
        order.append(first)
        return connect(endpoints, **options)

    monkeypatch.setattr(remote.transport, "connect", remember)
    world.provisioner.destroy(world.provision().instance.id)
    world.provision()
    assert order == ["direct", "proxy"]


# the next machine


def test_a_machine_that_failed_is_left_out_of_the_next_request_too(patient: World) -> None:
    patient.cloud.life = lambda _age: {"status_message": "OCI runtime create failed: x"}
    with pytest.raises(ProvisionFailed) as caught:
        patient.provision()
    assert [each.offer.machine_id for each in caught.value.attempts] == [1, 2, 3, 4]
    assert sorted(patient.ledger.bad_machines("vast")) == [1, 2, 3, 4]
    patient.cloud.life = lambda _age: {}
    rental = patient.provision()
    assert rental.offer is not None
    assert rental.offer.machine_id == 5


def test_a_machine_that_failed_is_rented_all_the_same_when_it_is_chosen(patient: World) -> None:
    patient.ledger.note_bad_machine("vast", 1, "no space left on device")
    told: list[str] = []
    request = replace(REQUEST, offer_id=1)
    rental = patient.provisioner.provision(request, lambda progress: told.append(progress.message))
    assert rental.offer is not None
    assert rental.offer.machine_id == 1
    assert any("failed not long ago (no space left on device)" in each for each in told)


@pytest.mark.parametrize(
    ("row", "credit_usd", "machines", "words"),
    [
        ({"status_message": "manifest unknown: x"}, 1.0, 1, "every machine would fail alike"),
        ({"intended_status": "stopped"}, -0.01, 1, "ran out of credit"),
        ({"intended_status": "stopped"}, 1.0, 4, "somebody outbid us"),
    ],
)
def test_what_no_machine_can_mend_burns_one_offer_only(
    patient: World, row: dict[str, Any], credit_usd: float, machines: int, words: str
) -> None:
    patient.cloud.life = lambda _age: row
    patient.cloud.credit_usd = credit_usd
    with pytest.raises(ProvisionFailed, match=words) as caught:
        patient.provision()
    assert len(caught.value.attempts) == machines
    assert patient.ledger.bad_machines("vast") == {}


def test_a_key_of_ours_that_cannot_be_read_is_held_against_no_machine(patient: World) -> None:
    patient.answer = lambda _now: KeyUnreadable("the private key cannot be used")
    with pytest.raises(ProvisionFailed, match="private key cannot be used") as caught:
        patient.provision()
    assert len(caught.value.attempts) == 1
    assert patient.ledger.bad_machines("vast") == {}


def test_an_account_without_credit_ends_the_request_with_what_failed_before(
    patient: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.cloud.life = lambda _age: {"status_message": "no space left on device"}
    create = patient.cloud.create

    def create_once(offer_id: int, spec: Any) -> int:
        if patient.cloud.calls and offer_id > 1:
            raise NoCredit("the account cannot pay")
        return create(offer_id, spec)

    monkeypatch.setattr(patient.cloud, "create", create_once)
    with pytest.raises(ProvisionFailed, match=r"cannot pay:\n  offer 1 .* no space left"):
        patient.provision()
    assert patient.cloud.born == {}


def test_a_request_ends_once_it_cost_half_a_dollar(patient: World) -> None:
    dear = [replace(offer, gpu_usd_per_hour=9.0) for offer in patient.cloud.offers]
    patient.cloud.offers[:] = dear
    patient.cloud.life = lambda _age: {"usd_per_hour": 9.04}
    patient.answer = lambda _now: KeyRejected("no")
    with pytest.raises(ProvisionFailed, match=r"\$0\.\d\d were spent on machines that failed") as caught:
        patient.provision()
    assert len(caught.value.attempts) == 2
    assert sum(each.usd for each in caught.value.attempts) >= 0.5


def test_a_request_ends_after_an_hour(patient: World) -> None:
    patient.cloud.life = lambda _age: {"status": InstanceStatus.LOADING}
    with pytest.raises(ProvisionFailed, match="60 minutes passed") as caught:
        patient.provisioner.provision(replace(REQUEST, image_gb=40))
    assert len(caught.value.attempts) == 3


def test_when_no_machine_at_all_answers_the_network_is_named_and_no_machine_blamed(patient: World) -> None:
    patient.answer = lambda _now: SshSilent("silent")
    with pytest.raises(ProvisionFailed, match="may block high ports"):
        patient.provision()
    assert patient.ledger.bad_machines("vast") == {}


# price


def test_a_price_that_changed_after_the_deal_is_told_and_billed(world: World) -> None:
    told: list[str] = []
    world.cloud.life = lambda _age: {"usd_per_hour": 0.44}
    rental = world.provisioner.provision(REQUEST, lambda progress: told.append(progress.message))
    assert "the price changed after the deal: $0.440/h instead of $0.340/h" in told
    assert rental.price.usd_per_hour == pytest.approx(0.44)
    world.clock.now += 3600
    assert world.ledger.spent_usd(cloud="vast") == pytest.approx(0.44, rel=0.02)


def test_a_price_that_breaks_a_cap_after_the_deal_is_refused(world: World) -> None:
    world.cloud.life = lambda _age: {"usd_per_hour": 0.60}
    with pytest.raises(ProvisionFailed, match=r"changed after the deal.*above the cap of \$0.5/h"):
        world.provisioner.provision(replace(REQUEST, max_usd_per_hour=0.5))
    assert world.cloud.born == {}


def test_today_is_projected_to_midnight_before_anything_is_rented(world: World) -> None:
    """With $4 spent and 18 hours of the day left, $0.34/h passes $10; just before midnight it does not."""
    world.clock.now = 6 * 3600
    world.ledger.open_instance("vast", 99, label="x", gpu_name="RTX", gpu_usd_per_hour=4, disk_usd_per_hour=0)
    world.ledger.instance_running("vast", 99)
    world.clock.now += 3600
    world.ledger.close_instance("vast", 99)
    world.ledger.open_instance("local", 98, label="x", gpu_name="RTX", gpu_usd_per_hour=999, disk_usd_per_hour=0)
    request = replace(REQUEST, max_usd_per_day=9.0)
    with pytest.raises(OverBudget, match=r"makes \$9\.\d\d by midnight \(UTC\) with the \$4\.00 of today"):
        world.provisioner.provision(request)
    world.clock.now = 23 * 3600
    world.provisioner.provision(request)


# the market's moods


def test_a_busy_market_is_waited_for_and_a_used_up_day_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    search = world.cloud.search
    moods: list[Exception] = [RateLimited("slow down", 30.0), RateLimited("slow down")]

    def moody(query: OfferQuery) -> Any:
        if moods:
            raise moods.pop(0)
        return search(query)

    monkeypatch.setattr(world.cloud, "search", moody)
    world.provision()
    assert world.clock.now >= 35
    moods.append(SearchQuota("no more searches today", 3600.0))
    with pytest.raises(SearchQuota):
        world.provision()


# creates


def test_silence_of_the_cloud_is_not_taken_for_absence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    create, instances = world.cloud.create, world.cloud.instances

    def lose(offer_id: int, spec: Any) -> int:
        create(offer_id, spec)
        raise OutcomeUnknown("no answer")

    def away(_label: str | None = None) -> Any:
        raise CloudUnreachable("away")

    monkeypatch.setattr(world.cloud, "create", lose)
    monkeypatch.setattr(world.cloud, "instances", away)
    with pytest.raises(CloudUnreachable, match="whether a machine was rented"):
        world.provision()
    (intent,) = world.ledger.intents(unsettled_only=True)
    monkeypatch.setattr(world.cloud, "instances", instances)
    monkeypatch.setattr("remote.reconcile.is_alive", lambda _owner: False)
    assert world.provisioner.reconcile() == []
    assert world.cloud.born == {}
    assert [each.outcome for each in world.ledger.intents() if each.intent_id == intent.intent_id] == ["absent"]


def test_of_several_instances_under_one_label_the_oldest_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    create = world.cloud.create

    def rent_three_and_say_nothing(offer_id: int, spec: Any) -> int:
        create(offer_id, spec)
        for surplus in (21, 22):
            world.cloud.born[surplus] = (world.clock.now, spec.label)
        raise OutcomeUnknown("no answer")

    monkeypatch.setattr(world.cloud, "create", rent_three_and_say_nothing)
    rental = world.provision()
    assert list(world.cloud.born) == [rental.instance.id] == [1]
    assert [row.instance_id for row in world.ledger.instances(alive_only=True)] == [1]
    assert sorted(row.instance_id for row in world.ledger.instances()) == [1, 21, 22]


@pytest.mark.parametrize("phase", ["allocated", "claiming"])
def test_an_instance_that_is_not_shown_yet_and_cannot_be_destroyed_yet_does_not_slip_away(
    world: World, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    """For its first 20 s the cloud knows nothing of it, neither to show nor to destroy."""
    world.cloud.life = lambda age: None if age < 20 else {}
    destroy = world.cloud.destroy

    def destroy_what_is_shown(instance_id: int) -> None:
        if world.cloud.instance(instance_id) is not None:
            destroy(instance_id)

    def interrupt(progress: Progress) -> None:
        if progress.phase == phase and world.cloud.born:
            raise KeyboardInterrupt

    create = world.cloud.create

    def lose(offer_id: int, spec: Any) -> int:
        rented = create(offer_id, spec)
        if phase == "claiming":
            raise KeyboardInterrupt
        return rented

    monkeypatch.setattr(world.cloud, "destroy", destroy_what_is_shown)
    if phase == "allocated":
        with pytest.raises(KeyboardInterrupt):
            world.provisioner.provision(REQUEST, interrupt)
    else:
        monkeypatch.setattr(world.cloud, "create", lose)
        with pytest.raises(KeyboardInterrupt):
            world.provision()
    assert world.cloud.born == {}
    assert world.ledger.instances(alive_only=True) == []


def test_a_create_that_came_late_after_its_intent_was_settled_is_destroyed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = new_label(world.ledger.mark)
    intent = world.ledger.record_intent("create", cloud="vast", label=label, detail={"offer_id": 3})
    world.ledger.record_outcome(intent, "absent")
    world.cloud.born[3] = (0.0, label)
    assert world.provisioner.reconcile() == []
    assert world.cloud.born == {}
    assert [row.alive for row in world.ledger.instances()] == [False]


def _hold(path: str, held: Any, enough: Any) -> None:
    mutex = ClaimMutex(Path(path), 0.0, SYSTEM_CLOCK)
    mutex.acquire()
    held.set()
    enough.wait(30)
    mutex.release()


def test_one_create_at_a_time_over_processes_and_never_too_soon(tmp_path: Path, world: World) -> None:
    context = multiprocessing.get_context("spawn")
    held, enough = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path / "create.lock"), held, enough))
    other.start()
    assert held.wait(30)
    told: list[bool] = []

    class Waiting:
        """The world's clock, which lets the other process go at the third look, and real time pass."""

        looks = 0
        time, monotonic = world.clock.time, world.clock.monotonic

        def sleep(self, seconds: float) -> None:
            self.looks += 1
            if self.looks == 3:
                enough.set()
            world.clock.sleep(seconds)
            time.sleep(0.02)

    clock = Waiting()
    mutex = ClaimMutex(tmp_path / "create.lock", 5.0, clock)
    mutex.acquire(lambda: told.append(True))
    assert told == [True]
    assert clock.looks >= 3
    other.join()
    mutex.release()
    before = world.clock.now
    mutex.acquire()
    assert world.clock.now == pytest.approx(before + 5, abs=0.01)
    mutex.release()
