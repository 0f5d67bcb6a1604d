"""No machine is billed that nobody knows of, and none in use is destroyed, whatever breaks: disks, clocks, answers."""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from console.operations.rent import rent
from console.operations.session import Session
from console.settings import CloudSettings, Secrets, Settings
from console.workspace import Workspace
from remote.cloud import (
    Charge,
    CloudError,
    Instance,
    InstanceSpec,
    InstanceStatus,
    NotSent,
    OfferQuery,
    OutcomeUnknown,
    Price,
)
from remote.money import reconcile_charges
from remote.progress import Progress
from remote.provision import NotDestroyed, OverBudget, RentRequest, WrongCloud
from remote.rental import Claim, Rental
from remote.vast.cloud import VastCloud
from tests.remote.rude_server import Scripted, script
from tests.remote.scripted import DIRECT, World

__all__ = ["script"]

REQUEST = RentRequest(OfferQuery(disk_gb=40), "image", image_gb=10)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def full(*_arguments: Any) -> int:
    """A write on a disk without room."""
    raise OSError(errno.ENOSPC, "No space left on device")


# one create


def test_a_create_is_answered_although_its_lock_cannot_be_stamped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote.mutex.os.pwrite", full)
    done: list[int] = []
    rents = threading.Thread(target=lambda: done.append(world.provision().instance.id), daemon=True)
    rents.start()
    rents.join(20)
    assert done == [1]


def test_a_request_that_is_given_up_while_its_create_waits_for_its_turn_rents_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(threading.Event):
        """Ctrl-C arrives in the thread that waits for the answer."""

        def wait(self, timeout: float | None = None) -> bool:
            if timeout is None:
                raise KeyboardInterrupt
            return super().wait(timeout)

    def wait_for_the_turn(_offer_id: int, spec: InstanceSpec) -> int:
        while spec.still_wanted():
            time.sleep(0.01)
        raise NotSent("given up")

    monkeypatch.setattr("remote.renting.Claim", lambda label: Claim(label, answered=Interrupted()))
    monkeypatch.setattr(world.cloud, "create", wait_for_the_turn)
    with pytest.raises(KeyboardInterrupt) as caught:
        world.provision()
    assert world.cloud.born == {}
    assert getattr(caught.value, "__notes__", []) == []
    assert [each.outcome for each in world.ledger.intents()] == ["absent"]


def test_an_instance_that_a_refused_create_left_is_on_the_ledger_until_its_end_is_confirmed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = world.cloud.create

    def refuse_once(offer_id: int, spec: InstanceSpec) -> int:
        create(offer_id, spec)
        if offer_id == 1:
            raise OutcomeUnknown("refused, but left instance 1", instance_id=1)
        return offer_id

    monkeypatch.setattr(world.cloud, "create", refuse_once)
    assert world.provision().instance.id == 2
    left = world.ledger.instance("vast", 1)
    assert left is not None
    assert (left.alive, left.state) == (False, "gone")
    assert world.ledger.spent_usd(cloud="vast", instance_id=1) >= 0
    assert "destroy 1" in world.cloud.calls
    assert list(world.cloud.born) == [2]
    assert world.ledger.intents(unsettled_only=True) == []


def test_what_an_unanswered_create_may_cost_counts_for_the_cap(world: World) -> None:
    world.clock.now = 20_000 * 86400.0
    world.ledger.record_intent("create", cloud="vast", label="spotter-op-y", detail={"usd_per_hour": 0.34})
    request = RentRequest(OfferQuery(disk_gb=40), "image", image_gb=0, max_usd_per_day=12.0)
    with pytest.raises(OverBudget, match="above the cap"):
        world.provisioner.provision(request)
    assert world.cloud.born == {}


# the end of a rental


def test_a_clock_that_raises_cuts_no_clean_up_short(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a console's clock does once it was told to end: every pause of the clean-up meets it."""
    over = threading.Event()
    sleep, create, instances = world.clock.sleep, world.cloud.create, world.cloud.instances

    def sleep_or_end(seconds: float) -> None:
        sleep(seconds)
        if over.is_set():
            raise KeyboardInterrupt

    def end_and_say_nothing(offer_id: int, spec: InstanceSpec) -> int:
        create(offer_id, spec)
        over.set()
        raise OutcomeUnknown("no answer")

    looks: list[None] = []

    def lag(label: str | None = None) -> list[Instance]:
        looks.append(None)
        return [] if len(looks) < 4 else instances(label)

    monkeypatch.setattr(world.clock, "sleep", sleep_or_end)
    monkeypatch.setattr(world.cloud, "create", end_and_say_nothing)
    monkeypatch.setattr(world.cloud, "instances", lag)
    with pytest.raises(KeyboardInterrupt):
        world.provision()
    assert world.cloud.born == {}
    assert world.ledger.intents(unsettled_only=True) == []


def test_whatever_breaks_a_clean_up_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_self: object, _claim: Claim, _failures: list[BaseException]) -> None:
        raise KeyboardInterrupt

    def end(progress: Progress) -> None:
        if progress.phase == "booting":
            raise RuntimeError("stop")

    monkeypatch.setattr("remote.ending.Ending._destroy_claimed", interrupted)
    with pytest.raises(RuntimeError) as caught:
        world.provisioner.provision(REQUEST, end)
    assert any("instance 1 labelled" in note and "may still be rented" in note for note in caught.value.__notes__)


def test_a_row_that_nobody_can_read_keeps_no_destroy_from_being_sent(world: World) -> None:
    rental = world.provision()
    world.cloud.life = lambda _age: CloudError("the cloud answered in an unknown shape")
    world.provisioner.destroy(rental.instance.id)
    assert world.cloud.born == {}
    assert world.ledger.instances(alive_only=True) == []


def test_an_instance_that_the_list_still_shows_is_not_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rental = world.provision()
    world.cloud.immortal = True
    listed = world.cloud.instances()
    monkeypatch.setattr(world.cloud, "instance", lambda _id: None)
    monkeypatch.setattr(world.cloud, "instances", lambda _label=None: listed)
    with pytest.raises(NotDestroyed):
        world.provisioner.destroy(rental.instance.id)
    assert [row.instance_id for row in world.ledger.instances(alive_only=True)] == [1]


def test_a_surplus_that_resists_keeps_its_twin_not_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    create, destroy = world.cloud.create, world.cloud.destroy

    def rent_two(offer_id: int, spec: InstanceSpec) -> int:
        create(offer_id, spec)
        world.cloud.born[99] = (world.clock.now, spec.label)
        raise OutcomeUnknown("no answer")

    monkeypatch.setattr(world.cloud, "create", rent_two)
    monkeypatch.setattr(world.cloud, "destroy", lambda instance_id: None if instance_id == 99 else destroy(instance_id))
    with pytest.raises(NotDestroyed, match="instance 99"):
        world.provision()
    assert list(world.cloud.born) == [99]
    assert [row.instance_id for row in world.ledger.instances(alive_only=True)] == [99]


@pytest.mark.parametrize("obeys", [True, False])
def test_with_a_ledger_out_of_use_the_destroy_is_sent_and_only_a_confirmed_one_is_said_done(
    world: World, monkeypatch: pytest.MonkeyPatch, obeys: bool
) -> None:
    def broken(*_arguments: Any, **_options: Any) -> Any:
        raise sqlite3.OperationalError("disk I/O error")

    def break_the_ledger(progress: Progress) -> None:
        if progress.phase == "booting":
            monkeypatch.setattr(world.ledger, "_read", broken)
            monkeypatch.setattr(world.ledger, "_write", broken)
            raise RuntimeError("stop")

    world.cloud.immortal = not obeys
    with pytest.raises(RuntimeError) as caught:
        world.provisioner.provision(REQUEST, break_the_ledger)
    assert "destroy 1" in world.cloud.calls
    assert bool(world.cloud.born) is not obeys
    notes = "\n".join(caught.value.__notes__)
    assert ("nothing stays rented, but the ledger could not be written" in notes) is obeys
    assert ("instance 1 may still be rented" in notes) is not obeys


# a cloud that forgets, or is another one


def test_a_box_in_use_that_the_cloud_forgot_for_a_moment_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rental = world.provision()
    world.ledger.transition(rental.request_id, "ready", cloud="vast", instance_id=1)
    monkeypatch.setattr("remote.reconcile.is_alive", lambda _owner: False)
    world.clock.now += 7200
    world.provisioner.look_after()
    real, world.cloud.born = world.cloud.born, {}
    assert world.provisioner.reconcile() == []
    world.cloud.born = real
    world.cloud.calls.clear()
    told: list[str] = []
    assert [each.id for each in world.provisioner.reconcile(lambda progress: told.append(progress.message))] == [1]
    row = world.ledger.instance("vast", 1)
    assert row is not None
    assert (row.alive, row.state) == (True, "ready")
    assert world.cloud.calls == []
    assert any("it was taken for gone" in each for each in told)
    assert world.ledger.burn_usd_per_hour("vast") == pytest.approx(row.usd_per_hour)


def test_what_was_destroyed_and_is_shown_again_is_destroyed_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rental = world.provision()
    real = dict(world.cloud.born)
    world.provisioner.destroy(rental.instance.id)
    world.cloud.born = real
    monkeypatch.setattr("remote.reconcile.is_alive", lambda _owner: False)
    world.provisioner.reconcile()
    assert world.cloud.born == {}


def test_another_account_closes_and_confirms_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.cloud.identity = "user 1 of console.vast.ai"
    world.provisioner.reconcile()
    rental = world.provision()
    monkeypatch.setattr("remote.reconcile.is_alive", lambda _owner: False)
    world.clock.now += 7200
    world.provisioner.look_after()
    real, world.cloud.born, world.cloud.identity = world.cloud.born, {}, "user 2 of console.vast.ai"
    with pytest.raises(WrongCloud, match=r"rented by user 1 .* key of user 2"):
        world.provisioner.reconcile()
    with pytest.raises(WrongCloud):
        world.provisioner.destroy(rental.instance.id)
    assert [(row.instance_id, row.state) for row in world.ledger.instances(alive_only=True)] == [(1, "verified")]
    world.cloud.born, world.cloud.identity = real, "user 1 of console.vast.ai"
    world.provisioner.destroy(rental.instance.id)
    world.cloud.identity = "user 2 of console.vast.ai"
    assert world.provisioner.reconcile() == []
    assert world.ledger.account("vast") == "user 2 of console.vast.ai"


def test_the_account_is_named_by_its_number_and_its_host(script: Scripted) -> None:
    answer = (200, {"id": 7, "email": "me@example.org", "credit": 3})
    script.answers = [answer, answer]
    assert VastCloud("k", script.url).account().identity == "user 7 of 127.0.0.1"
    assert VastCloud("k", script.url, emulated=True).account().identity == ""


@pytest.mark.parametrize(
    ("cloud", "name", "emulated"),
    [
        ({"name": "local"}, "local", True),
        ({"name": "vast"}, "vast", False),
        ({"name": "vast", "url": "https://console.vast.ai"}, "vast", False),
        ({"name": "vast", "url": "http://127.0.0.1:8123"}, "vast@127.0.0.1:8123", True),
        ({"name": "vast", "url": "http://localhost:8123/"}, "vast@localhost:8123", True),
    ],
)
def test_an_emulated_marketplace_has_rows_and_dollars_of_its_own(
    tmp_path: Path, cloud: dict[str, str], name: str, emulated: bool
) -> None:
    settings = Settings(cloud=CloudSettings.model_validate(cloud))
    session = Session(Workspace(tmp_path), settings, Secrets(vast_api_key=SecretStr("k")))
    assert (session.cloud_name, session.emulated) == (name, emulated)
    assert session.cloud.name == name


def test_a_rental_that_cannot_be_guarded_is_destroyed_by_a_console_that_was_told_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destroyed: list[int] = []

    class Provisioner:
        def __init__(self, session: Session) -> None:
            self.clock = session.clock

        def reconcile(self, _report: object) -> list[Instance]:
            return []

        def provision(self, request: RentRequest, _report: object) -> Rental:
            instance = Instance(
                7, 7, "l", InstanceStatus.RUNNING, "running", "", "RTX", 1, 24564, 40, 0.3, "i", "PL", None
            )
            return Rental("r", instance, None, Price(0.3, 0.0, 0.0), DIRECT, "l")

        def destroy(self, instance_id: int, _report: object) -> None:
            self.clock.sleep(0.01)  # between two looks
            destroyed.append(instance_id)

    def told_to_end(*_arguments: object) -> None:
        stop.set()
        raise KeyboardInterrupt

    stop = threading.Event()
    monkeypatch.setattr(Session, "provisioner", property(Provisioner))
    monkeypatch.setattr("console.operations.rent.guard_rented", told_to_end)
    session = Session(Workspace(tmp_path), Settings(), Secrets()).until(stop)
    with pytest.raises(KeyboardInterrupt):
        rent(session)
    assert destroyed == [7]
    with pytest.raises(KeyboardInterrupt):
        session.clock.sleep(0.01)


# prices and bills


def test_a_row_that_names_only_the_disk_while_it_loads_lowers_no_price(world: World) -> None:
    world.cloud.life = lambda age: {"status": InstanceStatus.LOADING, "usd_per_hour": 0.04} if age < 30 else {}
    world.provision()
    assert world.ledger.burn_usd_per_hour("vast") == pytest.approx(0.34, rel=0.01)


def test_a_price_that_rises_later_counts_from_then_on_and_is_told(world: World) -> None:
    world.provision()
    world.cloud.life = lambda _age: {"usd_per_hour": 3.4}
    world.clock.now += 3600
    before = world.ledger.spent_usd(cloud="vast")
    told: list[str] = []
    world.provisioner.look_after(lambda progress: told.append(progress.message))
    assert any("$0.340/h to $3.400/h" in each for each in told)
    assert "$3.400/h" in world.ledger.history("vast", 1)[-1].message
    assert world.ledger.spent_usd(cloud="vast") == pytest.approx(before)
    world.clock.now += 3600
    assert world.ledger.spent_usd(cloud="vast") == pytest.approx(before + 3.4)
    told.clear()
    world.provisioner.look_after(lambda progress: told.append(progress.message))
    assert told == []


def test_several_rows_of_a_bill_are_one_charge(world: World) -> None:
    world.clock.now = 20_000 * 86400.0
    world.ledger.open_instance(
        "vast", 1, label="l", gpu_name="RTX", gpu_usd_per_hour=0.9, disk_usd_per_hour=0.1, opened_at=world.clock.now
    )
    world.ledger.instance_running("vast", 1)
    world.clock.now += 2 * 86400
    world.ledger.close_instance("vast", 1)
    world.clock.now += 2 * 86400
    world.cloud.charged = [Charge(1, "", {"gpu": 21.6, "disk": 2.4}), Charge(1, "", {"gpu": 21.6, "disk": 2.4})]
    assert reconcile_charges(world.cloud, world.ledger, world.clock) == []
    assert world.ledger.spent_usd(cloud="vast") == pytest.approx(48.0)
