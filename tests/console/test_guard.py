from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from console.operations.events import OperationEvent
from console.operations.guard import (
    Allowance,
    Unguarded,
    allowed,
    extend,
    guard,
    guard_forgotten,
    onstart_line,
    prolong,
)
from console.operations.rent import rent
from console.operations.session import Session, open_session
from console.settings import GuardSettings
from console.workspace import create_workspace
from remote.jobs import Agent
from remote.transport import Transport
from tests.remote.conftest import sshd, transport
from tests.remote.sshd import Sshd

__all__ = ["sshd", "transport"]

HOUR_S = 3600.0


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    workspace, _fresh = create_workspace(tmp_path / "workspace")
    made = open_session(workspace)
    try:
        yield made
    finally:
        made.stop_local_cloud()


def choose(session: Session, **values: object) -> None:
    chosen = GuardSettings(**values)
    session.settings = session.settings.model_copy(update={"guard": chosen})


def deadman_row(session: Session, instance_id: int) -> dict[str, object]:
    (row,) = [step for step in session.ledger.steps("local", instance_id) if step.step_id == "deadman"]
    return {"state": row.state, **row.evidence}


def test_what_is_rented_is_guarded_by_cap_and_price_and_armed_anew_only_for_a_reason(session: Session) -> None:
    choose(session, max_usd=3.0)
    rental = rent(session)
    instance_id = rental.instance.id
    row = deadman_row(session, instance_id)
    assert row["state"] == "ok"
    assert row["proof"] is not None
    with session.reach(instance_id) as connection, Agent.start(connection, "spotter") as agent:
        first = agent.deadman_status()
        assert first.guards
        assert first.deadline_in_s == pytest.approx(3.0 / rental.price.usd_per_hour * HOUR_S, rel=0.02)
        log = Path(first.log)
        assert guard(session, agent, instance_id).order == first.order
        assert log.read_text().count("guarding") == 1
        choose(session, max_usd=3.0, idle_minutes=5)
        second = guard(session, agent, instance_id)
        assert second.order is not None
        assert second.order.idle_s == 300
        more = extend(session, agent, instance_id, max_usd=6.0)
        assert more.deadline_in_s == pytest.approx(6.0 / rental.price.usd_per_hour * HOUR_S, rel=0.02)
        assert allowed(session, instance_id) == Allowance(6.0, None)
        assert guard(session, agent, instance_id).order == more.order
        assert log.read_text().count("guarding") == 3
        told: list[OperationEvent] = []
        extend(session, agent, instance_id, max_usd=9000.0, report=told.append)
        assert "max_usd would let it go on longer, but longest_hours ends it in" in told[0].message
        told.clear()
        extend(session, agent, instance_id, max_usd=6.0, max_hours=1.0, report=told.append)
        assert [event for event in told if "go on longer" in event.message] == []


def test_a_machine_whose_price_only_the_cloud_knows_is_prolonged_by_what_it_costs(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(session, max_usd=2.0)
    session.ledger.open_instance("local", 7, label="x", gpu_name="X", gpu_usd_per_hour=0.0, disk_usd_per_hour=0.0)
    monkeypatch.setattr(session, "instance", lambda _id: SimpleNamespace(usd_per_hour=1.0))
    wanted: dict[str, object] = {}
    monkeypatch.setattr("console.operations.guard.extend", lambda *_arguments, **given: wanted.update(given))
    prolong(session, cast(Agent, None), 7, add_hours=3)
    assert wanted["max_usd"] == pytest.approx(5.0)


@pytest.fixture
def unproven(session: Session, sshd: Sshd, transport: Transport) -> Iterator[Agent]:
    """A box that was told neither its id nor its key; it stands on the ledger as instance 7."""
    session.ledger.open_instance("local", 7, label="x", gpu_name="X", gpu_usd_per_hour=1.0, disk_usd_per_hour=0.0)
    with Agent.start(transport, "spotter") as agent:
        yield agent
    for process in sshd.leftovers():
        with suppress(psutil.NoSuchProcess):  # it may end by itself just now
            if "deadman" in process.cmdline():
                process.kill()


def test_a_box_that_cannot_end_its_bill_is_told_loudly_and_refused_on_request(
    session: Session, unproven: Agent
) -> None:
    told: list[OperationEvent] = []
    status = guard(session, unproven, 7, told.append)
    assert not status.guards
    assert status.alive
    assert "costs run on until `spotter destroy 7`" in told[-1].message
    assert deadman_row(session, 7)["state"] == "failed"
    choose(session, required=True)
    with pytest.raises(Unguarded, match=r"guard\.required"):
        guard(session, unproven, 7)


def test_a_box_whose_cap_is_spent_gets_a_little_time_once_and_never_more(
    session: Session, unproven: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(session, max_hours=1)
    monkeypatch.setattr("console.operations.guard._left_s", lambda *_: -5.0)
    first = guard(session, unproven, 7)
    assert first.deadline_in_s == pytest.approx(600, abs=30)
    proven = replace(first, alive=True, proof=replace(first.proof, ok=True))  # type: ignore[type-var]
    monkeypatch.setattr(unproven, "deadman_status", lambda: proven)
    assert guard(session, unproven, 7) is proven


def test_a_cap_that_is_nearly_spent_leaves_an_unguarded_box_time_to_be_emptied(
    session: Session, unproven: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.operations.guard._left_s", lambda *_: 3.0)
    first = guard(session, unproven, 7)
    assert first.deadline_in_s == pytest.approx(600, abs=30)


def test_a_box_whose_console_was_killed_before_it_was_guarded_is_guarded_by_the_next_look(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.operations.rent.guard_rented", lambda *_: None)
    instance_id = rent(session).instance.id
    assert not [step for step in session.ledger.steps("local", instance_id) if step.step_id == "deadman"]
    assert guard_forgotten(session) == [instance_id]
    assert deadman_row(session, instance_id)["state"] == "ok"
    assert guard_forgotten(session) == []


def test_hours_and_the_longest_silence_limit_a_cheap_box_too(session: Session, unproven: Agent) -> None:
    choose(session, max_usd=1000, max_hours=2)
    first = guard(session, unproven, 7)
    assert first.deadline_in_s == pytest.approx(2 * HOUR_S, abs=60)
    choose(session, max_usd=1000, longest_hours=1)
    assert guard(session, unproven, 7).deadline_in_s == pytest.approx(HOUR_S, abs=60)


def test_the_deadline_is_by_the_clock_of_the_box(
    session: Session, unproven: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(session, max_usd=1.0)
    hello = unproven.hello
    monkeypatch.setattr(unproven, "hello", lambda: {**hello(), "time": time.time() + 5000})
    status = guard(session, unproven, 7)
    assert status.order is not None
    assert status.order.deadline_at - time.time() == pytest.approx(5000 + HOUR_S, abs=60)


@pytest.mark.parametrize(
    ("root", "line"),
    [
        ("spotter", 'if test -x "$HOME/spotter/resume"; then "$HOME/spotter/resume"; fi'),
        ("/srv/spotter", 'if test -x "/srv/spotter/resume"; then "/srv/spotter/resume"; fi'),
    ],
)
def test_the_line_that_a_container_runs_at_its_start(root: str, line: str) -> None:
    assert onstart_line(root) == line
