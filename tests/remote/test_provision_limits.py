"""Waiting with limits, on a clock of our own: a scripted cloud, a scripted SSH, no second spent."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from remote.cloud import CloudUnreachable, InstanceStatus, OfferQuery, RateLimited
from remote.keys import ensure_key_pair
from remote.provision import NotDestroyed, Provisioner, RentRequest, WrongCloud
from remote.states import HOLDS_INSTANCE, NEXT, Limits, State
from remote.transport import HostKeyChanged, KeyRejected, SshRefused, SshSilent
from remote.verify import parse_probe, problems_of
from tests.remote.scripted import PROBE, PROXY, Clock, ScriptedCloud, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_an_instance_that_never_starts_is_given_up_after_three_minutes(world: World) -> None:
    world.cloud.life = lambda _age: {"status": InstanceStatus.PROVISIONING}
    assert world.failure().startswith("allocated after 185 s")


def test_a_pull_is_given_up_at_a_deadline_from_its_size_not_because_its_message_stands_still(world: World) -> None:
    world.cloud.life = lambda _age: {"status": InstanceStatus.LOADING, "status_message": "f155: Download complete"}
    assert world.failure().startswith("pulling after 485 s")
    slow = Limits().pulling_s(image_gb=20, download_mbps=200)
    assert slow == 2 * (20 * 8000 / 200 + 20 * 6) + 180
    assert Limits().pulling_s(100, 10) == 2400


def test_a_proxy_alone_is_taken_when_no_direct_port_appears(world: World) -> None:
    world.cloud.life = lambda _age: {"endpoints": (PROXY,)}
    world.provision()
    assert world.tried == [(PROXY,)]
    assert 60 < world.clock.now < 70


def test_ssh_that_refuses_is_waited_for_three_minutes_rebooted_once_then_given_up(world: World) -> None:
    world.answer = lambda now: SshRefused("refused") if now < 170 else PROBE
    world.provisioner.destroy(world.provision().instance.id)
    world.answer = lambda _now: SshRefused("refused")
    assert "booting after 310 s: it runs, but SSH does not come up at direct 10.0.0.1:40022" in world.failure()
    assert [call for call in world.cloud.calls if "reboot" in call] == ["reboot at 355"]


def test_silence_is_given_up_after_a_minute_and_two_more_after_a_reboot(world: World) -> None:
    world.answer = lambda _now: SshSilent("silent")
    assert world.failure().startswith("booting after 195 s: it runs, but nothing answers")
    assert [call for call in world.cloud.calls if "reboot" in call] == ["reboot at 65"]


def test_a_rejected_key_is_attached_again_at_0_15_and_45_seconds_and_after_one_fresh_container(world: World) -> None:
    world.answer = lambda _now: KeyRejected("no")
    assert world.failure().startswith("reachable after 195 s: our key is not let in")
    first = ["attach at 0", "attach at 0", "attach at 15", "attach at 45"]
    again = ["recycle at 95", "attach at 95", "attach at 100", "attach at 115", "attach at 145"]
    assert [call for call in world.cloud.calls if call.startswith(("attach", "recycle"))] == first + again


def test_another_host_key_is_given_up_at_once(world: World) -> None:
    world.answer = lambda _now: HostKeyChanged("somebody else answers", Path("pin"))
    assert world.failure() == "booting after 0 s: somebody else answers"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"status": InstanceStatus.EXITED}, "the container ended: last words"),
        ({"status": InstanceStatus.STOPPED}, "the cloud stopped it"),
        ({"status": InstanceStatus.LOADING, "intended_status": "stopped"}, "the cloud stopped it"),
        ({"status": InstanceStatus.CREATED, "status_message": "OCI runtime create failed: x"}, "OCI runtime create"),
        ({"status": InstanceStatus.LOADING, "status_message": "unexpected EOF"}, "unexpected EOF"),
    ],
)
def test_a_machine_that_says_so_is_given_up_at_once(world: World, row: dict[str, Any], reason: str) -> None:
    world.cloud.life = lambda _age: row
    said = world.failure()
    assert "after 0 s" in said
    assert reason in said


def test_an_instance_that_vanishes_is_noticed(world: World) -> None:
    world.cloud.life = lambda age: {"status": InstanceStatus.LOADING} if age < 20 else None
    assert world.failure() == "pulling after 20 s: the cloud no longer knows it"


def test_an_api_that_is_away_for_a_minute_is_waited_for(world: World) -> None:
    world.cloud.life = lambda age: CloudUnreachable("away") if age < 60 else {}
    world.provision()


def test_an_api_that_limits_us_is_waited_for(world: World) -> None:
    world.cloud.life = lambda age: RateLimited("slow down") if age < 60 else {}
    world.provision()


def test_a_destroy_that_nobody_confirms_is_told_and_stays_on_the_ledger(world: World) -> None:
    rental = world.provision()
    world.cloud.immortal = True
    with pytest.raises(NotDestroyed, match="may still be rented"):
        world.provisioner.destroy(rental.instance.id)
    assert [row.instance_id for row in world.ledger.instances(alive_only=True)] == [rental.instance.id]
    world.cloud.immortal = False
    world.provisioner.destroy(rental.instance.id)
    assert world.ledger.instances(alive_only=True) == []


def test_a_cleanup_that_fails_is_added_to_the_interrupt(world: World) -> None:
    world.cloud.immortal = True

    def interrupt(progress: Any) -> None:
        if progress.phase == "booting":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        world.provisioner.provision(RentRequest(OfferQuery(disk_gb=40), "image"), interrupt)
    assert "may still be rented" in " ".join(caught.value.__notes__)
    assert len(world.ledger.instances(alive_only=True)) == 1


def test_the_probe_of_a_good_machine_has_no_problems() -> None:
    instance = ScriptedCloud(clock := Clock(), lambda _age: {})
    instance.born[1] = (clock.now, "l")
    rented = instance.instance(1)
    assert rented is not None
    probe = parse_probe(PROBE)
    assert problems_of(probe, rented) == []
    assert probe.summary == "1× NVIDIA GeForce RTX 4090, 40 GB of disk, Python 3.10.12"
    for said, problem in [
        ("container 2", "another machine"),
        ("container", "which container"),
        ("gpu NVIDIA GeForce RTX 3090, 24576, 570.1", "instead of a RTX 4090"),
        ("gpu NVIDIA GeForce RTX 4090, 12000, 570.1", "12000 MB instead"),
        ("gpu NVIDIA-SMI has failed", "0 GPUs instead of 1"),
        ("disk 9000000 100", "9 GB instead of 40 GB"),
        ("python 3.8.1 /usr/bin/python3", "at least 3.9"),
        ("python3: not found", "python3 is none"),
    ]:
        about = said.split()[0].rstrip(":").removesuffix("3")
        other = "\n".join(line for line in PROBE.splitlines() if not line.startswith(about))
        assert problem in "; ".join(problems_of(parse_probe(f"{other}\n{said}\n"), rented)), said


@pytest.mark.parametrize(
    ("rented", "reported"),
    [
        ("A100 SXM4", "NVIDIA A100-SXM4-80GB"),
        ("H100 SXM", "NVIDIA H100 80GB HBM3"),
        ("L40S", "NVIDIA L40S"),
        ("RTX A6000", "NVIDIA RTX A6000"),
        ("RTX 4090", "EMULATED RTX 4090"),
    ],
)
def test_marketing_names_and_driver_names_of_one_card_agree(rented: str, reported: str) -> None:
    cloud = ScriptedCloud(Clock(), lambda _age: {"gpu_name": rented, "gpu_ram_mb": 24564})
    cloud.born[1] = (0, "l")
    instance = cloud.instance(1)
    assert instance is not None
    probe = parse_probe(PROBE.replace("NVIDIA GeForce RTX 4090", reported))
    assert problems_of(probe, instance) == []


def test_every_state_can_be_reached_and_every_state_that_costs_money_can_be_destroyed() -> None:
    reached = {State.PLANNED} | {after for following in NEXT.values() for after in following}
    assert reached == set(State)
    for state in HOLDS_INSTANCE - {State.DESTROYING}:
        assert NEXT[state] & {State.DESTROYING, State.DISCARD}


def fail_writes(world: World, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def full(*_arguments: Any, **_values: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    for name in names:
        monkeypatch.setattr(world.ledger, name, full)


@pytest.mark.parametrize("names", [("open_instance",), ("open_instance", "record_intent_of_destroy", "close_instance")])
def test_a_machine_that_could_not_be_written_down_is_destroyed(
    world: World, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    record_intent = world.ledger.record_intent

    def no_destroy(operation: str, **values: Any) -> int:
        if operation == "destroy" and "record_intent_of_destroy" in names:
            raise sqlite3.OperationalError("database or disk is full")
        return record_intent(operation, **values)

    monkeypatch.setattr(world.ledger, "record_intent", no_destroy)
    fail_writes(world, monkeypatch, *(name for name in names if name != "record_intent_of_destroy"))
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        world.provision()
    assert world.cloud.born == {}
    assert "refused" not in [intent.outcome for intent in world.ledger.intents()]


def test_a_machine_that_its_cloud_does_not_show_yet_is_destroyed_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cloud.life = lambda age: None if age < 5 else {}
    fail_writes(world, monkeypatch, "open_instance")
    with pytest.raises(sqlite3.OperationalError):
        world.provision()
    assert "destroy 1" in world.cloud.calls
    assert world.cloud.born == {}


def test_a_cleanup_that_breaks_in_any_way_is_told_and_is_no_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def broken(_instance_id: int) -> None:
        raise RuntimeError("a defect")

    def interrupt(progress: Any) -> None:
        told.append(progress.message)
        if progress.phase == "booting" and len(told) < 6:
            monkeypatch.setattr(world.cloud, "destroy", broken)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        world.provisioner.provision(RentRequest(OfferQuery(disk_gb=40), "image"), interrupt)
    assert "instance 1 labelled spotter-op-" in " ".join(caught.value.__notes__)
    assert "may still be rented (RuntimeError: a defect)" in told[-1]
    (row,) = world.ledger.instances(alive_only=True)
    (request,) = world.ledger.requests()
    assert (row.state, request.state) == ("destroying", "destroying")


def open_on(world: World, cloud: str, instance_id: int, *, state: str = "allocated") -> str:
    request_id = world.ledger.open_request(cloud, {})
    world.ledger.open_instance(
        cloud, instance_id, label=f"spotter-op-{instance_id}", gpu_name="RTX", gpu_usd_per_hour=1,
        disk_usd_per_hour=0, request_id=request_id, state=state,
    )  # fmt: skip
    return request_id


def test_an_instance_of_another_cloud_is_neither_destroyed_nor_adopted_by_this_one(world: World) -> None:
    open_on(world, "other", 777)
    for refused in (world.provisioner.destroy, world.provisioner.adopt):
        with pytest.raises(
            WrongCloud, match=r'instance 777 is rented on the other cloud, but the vast .* = "other" in'
        ):
            refused(777)
    assert [row.instance_id for row in world.ledger.instances(alive_only=True)] == [777]
    assert world.cloud.calls == []


def test_reconciling_leaves_what_belongs_to_another_cloud(world: World) -> None:
    elsewhere = open_on(world, "other", 777)
    label = "spotter-op-in-flight"
    world.ledger.record_intent("create", cloud="other", request_id=elsewhere, label=label, detail={})
    world.cloud.born[5] = (0.0, label)
    world.clock.now = 1000
    assert world.provisioner.reconcile() == []
    assert [row.instance_id for row in world.ledger.instances(alive_only=True)] == [777]
    assert [request.closed_at for request in world.ledger.requests()] == [None]
    assert [intent.outcome for intent in world.ledger.intents()] == [None]
    assert world.cloud.calls == []


@pytest.mark.parametrize("known", ["unknown", "booting", "ready", "gone"])
def test_a_machine_being_adopted_is_left_alone_by_another_console(world: World, known: str) -> None:
    """The other console reconciles at every step of the adoption."""
    world.cloud.born[5] = (0.0, "spotter-op-5")
    world.answer = lambda _now: PROBE.replace("container 1", "container 5")
    if known != "unknown":
        open_on(world, "vast", 5, state=known)
    if known == "gone":
        world.ledger.close_instance("vast", 5)

    other = Provisioner(world.cloud, world.ledger, ensure_key_pair(world.ledger.path.parent / "keys"), Path("pins"))
    seen: list[list[int]] = []
    rental = world.provisioner.adopt(5, lambda _progress: seen.append([each.id for each in other.reconcile()]))
    assert seen
    assert all(each == [5] for each in seen)
    row = world.ledger.instance("vast", 5)
    assert row is not None
    assert (row.request_id, row.state, row.alive) == (rental.request_id, "verified", True)


def test_a_rental_adopted_while_another_console_reconciles_is_not_destroyed_by_its_old_view(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cloud.born[5] = (0.0, "spotter-op-5")
    world.cloud.born[6] = (0.0, "spotter-op-6")
    world.answer = lambda _now: PROBE.replace("container 1", "container 6")
    for each in (5, 6):
        open_on(world, "vast", each, state="booting")
    destroy = world.cloud.destroy

    def adopt_the_other_meanwhile(instance_id: int) -> None:
        destroy(instance_id)
        if instance_id == 5:
            world.provisioner.adopt(6)

    monkeypatch.setattr(world.cloud, "destroy", adopt_the_other_meanwhile)
    assert [each.id for each in world.provisioner.reconcile()] == [6]
    assert list(world.cloud.born) == [6]
