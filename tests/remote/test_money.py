"""What is spent, what it will be by midnight, what a page costs, and whether the cloud's bill agrees."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote.cloud import Charge
from remote.ledger import Ledger
from remote.money import cost_per_item, cost_to_finish, money_now, reconcile_charges, run_cost
from tests.remote.scripted import Clock, ScriptedCloud

NOON = 20_000 * 86400 + 43_200.0


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.now = NOON
    return made


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    return Ledger(tmp_path / "state.db", clock=clock)


def rent(ledger: Ledger, instance_id: int = 1, *, cloud: str = "vast", run_id: str | None = None) -> None:
    """A machine of $0.90 and a disk of $0.10 an hour, that runs."""
    ledger.open_instance(
        cloud, instance_id, label=f"spotter-op-{ledger.mark}-{'0' * 26}", gpu_name="RTX", gpu_usd_per_hour=0.9,
        disk_usd_per_hour=0.1, run_id=run_id,
    )  # fmt: skip
    ledger.instance_running(cloud, instance_id)


def test_burn_today_midnight_and_runway_of_one_cloud(ledger: Ledger, clock: Clock) -> None:
    rent(ledger)
    rent(ledger, 2)
    rent(ledger, 3, cloud="local")
    clock.now += 3600
    ledger.close_instance("vast", 2)
    clock.now += 3600
    money = money_now(ledger, "vast", 24.0, clock, cap_usd=10.0)
    assert money.instances == 1
    assert money.burn_usd_per_hour == pytest.approx(1.0)
    assert money.today_usd == pytest.approx(3.0)
    assert money.projected_midnight_usd == pytest.approx(3.0 + 10.0)
    assert money.runway_s == pytest.approx(24 * 3600)
    assert money.above_cap


def test_yesterday_is_not_today(ledger: Ledger, clock: Clock) -> None:
    clock.now = NOON - 13 * 3600
    rent(ledger)
    clock.now = NOON
    assert money_now(ledger, "vast", None, clock).today_usd == pytest.approx(12.0)


def test_a_machine_on_its_way_burns_what_it_will_and_a_stopped_one_its_disk(ledger: Ledger, clock: Clock) -> None:
    ledger.open_instance("vast", 1, label="l", gpu_name="RTX", gpu_usd_per_hour=0.9, disk_usd_per_hour=0.1)
    assert ledger.burn_usd_per_hour("vast") == pytest.approx(1.0)
    ledger.note_billed("vast", 1, ("gpu", "disk"))
    assert ledger.burn_usd_per_hour("vast") == pytest.approx(1.0)
    ledger.note_billed("vast", 1, ("disk",))
    assert ledger.burn_usd_per_hour("vast") == pytest.approx(0.1)
    ledger.note_billed("vast", 1, ())
    money = money_now(ledger, "vast", 5.0, clock)
    assert (money.burn_usd_per_hour, money.runway_s) == (0, None)


def test_a_page_costs_what_was_spent_on_all_of_them_and_the_rest_what_the_pace_says(
    ledger: Ledger, clock: Clock
) -> None:
    assert cost_per_item(items_done=0, usd_so_far=1) is None
    assert cost_to_finish(items_left=10, usd_per_hour=1, seconds_per_item=None) is None
    assert cost_to_finish(items_left=0, usd_per_hour=1, seconds_per_item=None) == 0
    rent(ledger, 1, run_id="r")
    rent(ledger, 2, run_id="r")
    rent(ledger, 3, run_id="another")
    clock.now += 1800
    ledger.close_instance("vast", 1)
    clock.now += 1800
    cost = run_cost(ledger, "r", items_done=300, items_left=900, seconds_per_item=12)
    assert cost.usd_so_far == pytest.approx(1.5)
    assert cost.usd_per_item == pytest.approx(0.005)
    assert cost.usd_per_hour == pytest.approx(1.0)
    assert cost.usd_to_finish == pytest.approx(3.0)
    kept = run_cost(ledger, "r", items_done=300, items_left=0, seconds_per_item=12, until=clock.now - 1800)
    assert (kept.usd_so_far, kept.usd_per_hour) == (pytest.approx(1.0), 0)


def test_the_clouds_bill_is_settled_beside_what_was_counted(ledger: Ledger, clock: Clock) -> None:
    cloud = ScriptedCloud(clock, lambda _age: {})
    rent(ledger, 1)
    rent(ledger, 2)
    clock.now += 3600
    ledger.close_instance("vast", 1)
    label = f"spotter-op-{ledger.mark}-{'9' * 26}"
    cloud.charged = [
        Charge(1, "", {"gpu": 0.95, "disk": 0.1, "bwd": 0.02}),
        Charge(2, "", {"gpu": 0.7, "disk": 0.1}),
        Charge(77, label, {"disk": 0.3}),
        Charge(78, "somebody else's", {"disk": 0.3}),
    ]
    early = reconcile_charges(cloud, ledger, clock)
    assert [(each.instance_id, round(each.usd, 4), each.settled) for each in early] == [
        (1, 0.07, False),
        (2, -0.2, False),
        (77, 0.3, False),
    ]
    assert ledger.adjustments("vast") == []
    clock.now += 86400
    settled = reconcile_charges(cloud, ledger, clock)
    assert [(each.instance_id, each.settled) for each in settled] == [(1, True), (2, False), (77, False)]
    assert ledger.spent_usd(cloud="vast", instance_id=1) == pytest.approx(1.07)
    assert sum(each.usd(clock.now) for each in ledger.meters("vast", 1)) == pytest.approx(1.0)
    (adjustment,) = ledger.adjustments("vast")
    assert (adjustment.at, adjustment.usd) == (NOON + 3600, pytest.approx(0.07))
    assert "charged $1.07" in adjustment.reason
    assert [each.instance_id for each in reconcile_charges(cloud, ledger, clock)] == [2, 77]
    assert len(ledger.adjustments("vast")) == 1


def test_a_bill_that_is_only_shown_changes_nothing(ledger: Ledger, clock: Clock) -> None:
    cloud = ScriptedCloud(clock, lambda _age: {})
    rent(ledger)
    clock.now += 3600
    ledger.close_instance("vast", 1)
    cloud.charged = [Charge(1, "", {"gpu": 2.0})]
    (difference,) = reconcile_charges(cloud, ledger, clock, settled_after_s=0, settle=False)
    assert not difference.settled
    assert ledger.spent_usd(cloud="vast") == pytest.approx(1.0)
