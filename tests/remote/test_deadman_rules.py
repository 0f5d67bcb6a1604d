from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote.agent.deadman_order import BadOrder, DeadmanOrder, DeadmanProof, DeadmanStatus
from remote.agent.deadman_rules import Armed, Facts, decide
from remote.agent.heartbeat import Heartbeat
from remote.agent.moment import Moment

ORDER = DeadmanOrder(1000.0, idle_s=60, gpu_idle_s=300, action="destroy", idle_action="stop")
GIVEN = Moment(at=100.0, boot="a", since_boot_s=7000.0)


@pytest.mark.parametrize(
    ("order", "facts", "cause", "action"),
    [
        (ORDER, Facts(0.1, 59.9, 299.9), None, None),
        (ORDER, Facts(0.1, 59.9, None), None, None),
        (ORDER, Facts(0.0, 0.0, 0.0), "deadline", "destroy"),
        (ORDER, Facts(-5.0, 100.0, 400.0), "deadline", "destroy"),
        (ORDER, Facts(500.0, 60.0, 0.0), "idle", "stop"),
        (ORDER, Facts(500.0, 0.0, 300.0), "gpu", "stop"),
        (replace(ORDER, idle_action=None), Facts(500.0, 60.0, None), "idle", "destroy"),
        (replace(ORDER, idle_s=None, gpu_idle_s=None), Facts(500.0, 1e9, 1e9), None, None),
    ],
)
def test_what_is_decided(order: DeadmanOrder, facts: Facts, cause: str | None, action: str | None) -> None:
    decision = decide(order, facts)
    assert (decision and decision.cause, decision and decision.action) == (cause, action)


@pytest.mark.parametrize("wall", [100.0 + 30, 100.0 - 86400, 100.0 + 86400])
def test_a_clock_that_is_set_moves_no_deadline(wall: float) -> None:
    armed = Armed(ORDER, GIVEN, DeadmanProof(True))
    assert armed.left_s(Moment(wall, "a", 7030.0)) == 1000.0 - 100.0 - 30


def test_after_a_boot_the_wall_clock_tells_what_is_left() -> None:
    armed = Armed(ORDER, GIVEN, DeadmanProof(True))
    assert armed.left_s(Moment(400.0, "b", 5.0)) == 600.0


def test_an_order_survives_its_file(tmp_path: Path) -> None:
    armed = Armed(ORDER, GIVEN, DeadmanProof(False, 3.0, 401, "no"))
    armed.write(tmp_path)
    assert Armed.read(tmp_path) == armed
    assert Armed.read(tmp_path / "elsewhere") is None
    status = DeadmanStatus("armed", order=ORDER, proof=armed.proof)
    assert DeadmanStatus.from_json({**status.to_json(), "of a newer version": 1}) == status


@pytest.mark.parametrize(
    "values",
    [
        {"deadline_at": float("inf")},
        {"deadline_at": float("nan")},
        {"deadline_at": 1.0, "idle_s": 0},
        {"deadline_at": 1.0, "gpu_idle_s": -1},
        {"deadline_at": 1.0, "grace_s": -1},
        {"deadline_at": 1.0, "action": "sleep"},
        {"deadline_at": 1.0, "idle_action": "sleep"},
    ],
)
def test_an_order_that_would_guard_nothing_or_end_every_box_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(BadOrder):
        DeadmanOrder(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("alive", "proof"), [(False, DeadmanProof(True)), (True, None), (True, DeadmanProof(False))])
def test_only_a_proven_process_that_lives_guards(alive: bool, proof: DeadmanProof | None) -> None:
    assert not DeadmanStatus("armed", alive=alive, proof=proof).guards
    assert DeadmanStatus("armed", alive=True, proof=DeadmanProof(True)).guards


def test_a_heartbeat_is_a_change_of_its_file_whatever_time_that_bears(tmp_path: Path) -> None:
    import os

    watched = Heartbeat(tmp_path)
    assert not watched.came()
    Heartbeat(tmp_path).beat()
    assert watched.came()
    assert not watched.came()
    os.utime(tmp_path / "deadman" / "heartbeat", (5.0, 5.0))
    assert watched.came()
