"""What is ours, what is another workspace's, and what becomes of boxes in use, vanished ones and adopted ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote.cloud import Charge, InstanceStatus
from remote.labels import is_foreign, is_ours, mark_of, new_label
from remote.ledger import Ledger
from remote.progress import Progress
from remote.provision import ProvisionFailed
from remote.transport import KeyRejected, SshSilent
from tests.remote.scripted import OFFER, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


# labels


def test_labels_tell_whose_rental_it_is(world: World) -> None:
    mine, theirs, older = new_label("abc234"), new_label("xyz567"), "spotter-op-01kagq3m5v8e5v8e5v8e5v8e5v"
    assert (mark_of(mine), mark_of(theirs), mark_of(older)) == ("abc234", "xyz567", None)
    assert [is_ours(each, "abc234") for each in (mine, theirs, older, "training")] == [True, False, True, False]
    assert [is_foreign(each, "abc234") for each in (mine, theirs, older, "training")] == [False, True, False, False]


def test_rentals_of_another_workspace_are_shown_and_left_alone(world: World) -> None:
    world.cloud.born[5] = (0.0, new_label(world.ledger.mark))
    world.cloud.born[6] = (0.0, new_label("zzzzzz"))
    assert [each.id for each in world.provisioner.orphans()] == [5]
    assert [each.id for each in world.provisioner.foreign()] == [6]
    world.provisioner.reconcile()
    assert sorted(world.cloud.born) == [5, 6]


def test_one_machine_that_resists_keeps_no_other_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    destroy = world.cloud.destroy
    for instance_id in (5, 6):
        world.cloud.born[instance_id] = (0.0, new_label(world.ledger.mark))
        world.ledger.open_instance(
            "vast", instance_id, label="l", gpu_name="RTX", gpu_usd_per_hour=1, disk_usd_per_hour=0, state="booting"
        )
    late = new_label(world.ledger.mark)
    world.cloud.born[7] = (0.0, late)
    world.ledger.record_intent("create", cloud="vast", label=late)

    def destroy_but_one(instance_id: int) -> None:
        if instance_id != 5:
            destroy(instance_id)

    monkeypatch.setattr(world.cloud, "destroy", destroy_but_one)
    told: list[str] = []
    kept = world.provisioner.reconcile(lambda progress: told.append(progress.message))
    assert [each.id for each in kept] == [5]
    assert "instance 5 may still be rented" in told[-1]
    assert list(world.cloud.born) == [5]
    assert [row.instance_id for row in world.ledger.instances(alive_only=True)] == [5]


# adoption


def test_an_adoption_that_fails_leaves_the_box_as_it_was(world: World) -> None:
    rental = world.provision()
    world.ledger.transition(rental.request_id, "ready", cloud="vast", instance_id=1)
    before = world.ledger.instance("vast", 1)
    world.answer = lambda _now: SshSilent("silent")
    with pytest.raises(ProvisionFailed, match="cannot be taken over"):
        world.provisioner.adopt(1)
    after = world.ledger.instance("vast", 1)
    assert before is not None
    assert after is not None
    assert (after.state, after.request_id, after.alive) == ("ready", rental.request_id, True)
    assert world.ledger.requests()[-1].state == "failed"
    assert not any("reboot" in each or "recycle" in each for each in world.cloud.calls)


def test_an_orphan_that_cannot_be_adopted_is_known_and_not_destroyed_behind_our_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cloud.born[5] = (0.0, new_label(world.ledger.mark))
    world.answer = lambda _now: KeyRejected("no")
    with pytest.raises(ProvisionFailed):
        world.provisioner.adopt(5)
    monkeypatch.setattr("remote.reconcile.is_alive", lambda _owner: False)
    world.cloud.life = lambda _age: {"status": InstanceStatus.OFFLINE}
    world.provisioner.reconcile()
    row = world.ledger.instance("vast", 5)
    assert row is not None
    assert (row.alive, row.state) == (True, "lost")
    assert 5 in world.cloud.born


# boxes in use


def test_a_box_whose_host_is_away_is_not_billed_is_lost_after_five_minutes_and_may_come_back(world: World) -> None:
    rental = world.provision()
    world.ledger.transition(rental.request_id, "ready", cloud="vast", instance_id=1)
    told: list[Progress] = []
    world.cloud.life = lambda _age: {"status": InstanceStatus.OFFLINE}
    world.provisioner.look_after(told.append)
    spent = world.ledger.spent_usd(cloud="vast")
    world.clock.now += 290
    world.provisioner.look_after(told.append)
    assert told == []
    world.clock.now += 20
    world.provisioner.look_after(told.append)
    world.provisioner.look_after(told.append)
    assert [each.phase for each in told] == ["lost"]
    assert "its host is away for 5 minutes" in told[0].message
    assert world.ledger.spent_usd(cloud="vast") == spent
    assert world.ledger.burn_usd_per_hour("vast") == 0
    world.cloud.life = lambda _age: {}
    world.provisioner.look_after(told.append)
    assert [each.phase for each in told] == ["lost", "ready"]
    assert world.ledger.burn_usd_per_hour("vast") == pytest.approx(0.34)


@pytest.mark.parametrize(
    ("credit_usd", "words"), [(0.0, "ran out of credit; add credit before"), (3.0, "somebody outbid us")]
)
def test_a_box_that_the_cloud_stopped_says_why_and_costs_its_disk(world: World, credit_usd: float, words: str) -> None:
    world.provision()
    world.cloud.credit_usd = credit_usd
    told: list[Progress] = []
    world.cloud.life = lambda _age: {"status": InstanceStatus.STOPPED, "intended_status": "stopped"}
    world.provisioner.look_after(told.append)
    world.provisioner.look_after(told.append)
    (only,) = told
    assert only.phase == "stopped"
    assert words in only.message
    assert world.ledger.burn_usd_per_hour("vast") == pytest.approx(0.04)


def test_an_instance_that_vanished_is_closed_at_the_end_of_its_bill_not_when_it_was_missed(world: World) -> None:
    rental = world.provision()
    hour_s = 3600.0
    opened = world.clock.now
    world.clock.now += 2 * hour_s
    world.provisioner.look_after()
    world.clock.now += 10 * hour_s
    world.cloud.born.clear()
    world.cloud.charged = [Charge(rental.instance.id, "", {"gpu": 0.9, "disk": 3 * OFFER.price(40).disk_usd_per_hour})]
    world.provisioner.reconcile()
    row = world.ledger.instance("vast", rental.instance.id)
    assert row is not None
    assert row.closed_at == pytest.approx(opened + 3 * hour_s, abs=60)


def test_an_instance_that_vanished_without_a_bill_is_closed_when_it_was_last_listed(world: World) -> None:
    rental = world.provision()
    world.clock.now += 3600
    world.provisioner.look_after()
    seen_at = world.clock.now
    world.clock.now += 36_000
    world.cloud.born.clear()
    world.provisioner.reconcile()
    row = world.ledger.instance("vast", rental.instance.id)
    assert row is not None
    assert row.closed_at == seen_at


def test_a_new_instance_that_its_cloud_does_not_list_yet_is_not_taken_for_gone(world: World) -> None:
    world.cloud.born[1] = (0.0, "spotter-op-1")
    world.cloud.life = lambda age: None if age < 20 else {}
    seen: list[list[int]] = []
    world.ledger.open_instance("vast", 1, label="spotter-op-1", gpu_name="RTX", gpu_usd_per_hour=1, disk_usd_per_hour=0)
    world.ledger.transition(None, "verified", cloud="vast", instance_id=1)
    for _ in range(3):
        world.provisioner.reconcile()
        seen.append([row.instance_id for row in world.ledger.instances(alive_only=True)])
        world.clock.now += 10
    assert seen == [[1], [1], [1]]


def test_a_ledger_opened_twice_marks_its_labels_alike(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path / "a.db"), Ledger(tmp_path / "a.db")
    assert first.mark == second.mark
    assert first.mark != Ledger(tmp_path / "b.db").mark
