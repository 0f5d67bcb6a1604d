"""Giving the machines of a fleet back when something resists: nothing that is billed is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from console.operations.events import OperationEvent
from console.operations.fleet_box import BoxEnd, BoxThread
from console.operations.fleet_run import FleetDriver
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session, open_session
from console.workspace import create_workspace
from remote.transport import CommandFailed

RUN = "01jtestrun00000000abcdefgh"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    workspace, _fresh = create_workspace(tmp_path / "workspace")
    made = open_session(workspace)
    try:
        yield made
    finally:
        made.stop_local_cloud()


class Machines:
    """Stands for the operation `destroy`: who went, and who resists."""

    def __init__(self, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gone: list[int] = []
        self.resisting: set[int] = set()
        self._session = session
        for place in ("fleet_box", "fleet_crew", "giving_back"):
            monkeypatch.setattr(f"console.operations.{place}.destroy", self.destroy)

    def rent(self, instance_id: int) -> None:
        self._session.ledger.open_instance(
            "local", instance_id, run_id=RUN, label="x", gpu_name="X", gpu_usd_per_hour=1.0, disk_usd_per_hour=0.0
        )

    def destroy(self, session: Session, instance_id: int, *, force: bool, report: object) -> None:
        if instance_id in self.resisting:
            raise RuntimeError(f"instance {instance_id} is still there")
        session.ledger.close_instance("local", instance_id)
        self.gone.append(instance_id)


@pytest.fixture
def machines(session: Session, monkeypatch: pytest.MonkeyPatch) -> Machines:
    return Machines(session, monkeypatch)


@pytest.fixture
def fleet(session: Session) -> Callable[..., tuple[FleetDriver, list[OperationEvent]]]:
    def made(phase: Phase = Phase.LAUNCHED) -> tuple[FleetDriver, list[OperationEvent]]:
        runbook, said = Runbook(session.workspace), []  # type: ignore[var-annotated]
        session.workspace.run_folder(RUN).mkdir(parents=True)
        entry = runbook.write(RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=phase, sharded=True))
        return FleetDriver(session, runbook, entry, said.append), said

    return made


def test_a_box_that_resists_its_end_is_kept_in_the_book_tried_again_and_named(
    session: Session, machines: Machines, fleet: Callable[..., tuple[FleetDriver, list[OperationEvent]]]
) -> None:
    driver, said = fleet(Phase.INGESTED)
    machines.rent(7)
    box = driver._work.book.want(state="working", instance_id=7)
    machines.resisting.add(7)
    BoxThread(driver._work, box)._settle_end(BoxEnd("done"))
    assert driver._work.book.box("b1").state == "leaving"
    assert driver._entry.machines == (7,)
    ended = driver.drive()
    assert (ended.phase, ended.machines) == (Phase.DONE, (7,))
    assert "instance 7 is still rented and billed" in (ended.problem or "")
    assert "`spotter destroy 7` gives it up" in said[-1].message
    machines.resisting.clear()
    driver._work.update(phase=Phase.INGESTED)
    ended = driver.drive()
    assert (machines.gone, ended.machines, ended.problem) == ([7], (), None)
    assert driver._work.book.box("b1").state == "gone"


def test_a_box_that_resisted_its_end_goes_before_the_laptop_begins_its_stages(
    machines: Machines,
    fleet: Callable[..., tuple[FleetDriver, list[OperationEvent]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver, _said = fleet()
    machines.rent(7)
    box = driver._work.book.want(state="working", instance_id=7)
    machines.resisting.add(7)
    BoxThread(driver._work, box)._settle_end(BoxEnd("done"))
    machines.resisting.clear()
    gone_before: list[list[int]] = []
    monkeypatch.setattr(driver, "_do_shards", lambda: None)
    monkeypatch.setattr(driver, "_close", lambda: gone_before.append([*machines.gone]))
    driver.drive()
    assert gone_before == [[7]]


def test_a_failure_sends_away_the_boxes_that_do_not_work_and_keeps_those_that_do(
    session: Session, machines: Machines, fleet: Callable[..., tuple[FleetDriver, list[OperationEvent]]]
) -> None:
    driver, said = fleet()
    for instance_id, state in ((7, "working"), (8, "rented"), (9, "rented")):
        machines.rent(instance_id)
        driver._work.book.want(state=state, instance_id=instance_id)
    machines.rent(10)  # rented, and not yet written down
    machines.resisting.add(9)
    driver.note_failure(OSError("no answer"))
    assert sorted(machines.gone) == [8, 10]
    assert sorted(driver._entry.machines) == [7, 9]
    assert driver._entry.problem == "no answer"
    words = " ".join(event.message for event in said)
    assert "instance 7 is still rented: `spotter run --resume" in words
    assert "instance 9 is still rented: `spotter destroy 9`" in words
    assert [box.state for box in driver._work.book.fleet.boxes] == ["working", "gone", "rented"]


def test_an_account_that_cannot_be_written_keeps_no_machine(
    session: Session, machines: Machines, fleet: Callable[..., tuple[FleetDriver, list[OperationEvent]]]
) -> None:
    class FullDisk:
        def note(self, _level: str, _message: str) -> None:
            raise OSError(28, "No space left on device")

    driver, said = fleet()
    machines.rent(8)
    driver._work.book.want(state="rented", instance_id=8)
    driver._account._events = FullDisk()  # type: ignore[assignment]
    driver.note_failure(RuntimeError("it broke"))
    assert machines.gone == [8]
    assert (driver._entry.phase, driver._entry.problem) == (Phase.DONE, "it broke")
    assert "could not be closed" in said[-1].message


def test_a_box_whose_end_cannot_be_noted_is_not_waited_for_for_ever(
    machines: Machines,
    fleet: Callable[..., tuple[FleetDriver, list[OperationEvent]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver, said = fleet()
    thread = BoxThread(driver._work, driver._work.book.want(state="rented", instance_id=8))
    monkeypatch.setattr(thread, "_live", lambda: BoxEnd("done"))

    def full(*_names: object, **_changes: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(driver._work.book, "update", full)
    thread._run()
    assert thread.end == BoxEnd("done")
    assert "No space left" in said[-1].message


@pytest.mark.parametrize(("killed", "kind"), [(1, "done"), (3, "done"), (4, "failed")])
def test_a_command_that_is_killed_is_no_loss_of_its_box_until_it_happens_again_and_again(
    machines: Machines,
    session: Session,
    fleet: Callable[..., tuple[FleetDriver, list[OperationEvent]]],
    monkeypatch: pytest.MonkeyPatch,
    killed: int,
    kind: str,
) -> None:
    driver, _said = fleet()
    machines.rent(8)
    thread = BoxThread(driver._work, driver._work.book.want(state="working", instance_id=8))
    monkeypatch.setattr("remote.jobs.Agent.start", lambda *_, **__: nullcontext())
    monkeypatch.setattr(Session, "reacher", lambda *_: nullcontext)
    for name in ("await_box", "start_if_stopped"):
        monkeypatch.setattr(f"console.operations.fleet_box.{name}", lambda *_, **__: None)
    contacts = [CommandFailed("shards", -1, "")] * killed

    def contact(_agent: object) -> BoxEnd:
        if contacts:
            raise contacts.pop()
        return BoxEnd("done")

    monkeypatch.setattr(thread, "_contact", contact)
    thread._run()
    assert thread.end is not None
    assert thread.end.kind == kind


@pytest.mark.parametrize(
    ("left", "boxes", "said"), [(None, 3, ""), (40, 3, ""), (2, 2, "2 boxes of 3"), (0, 1, "1 box")]
)
def test_what_an_attempt_left_decides_how_many_boxes_the_next_one_rents(
    fleet: Callable[..., tuple[FleetDriver, list[OperationEvent]]],
    monkeypatch: pytest.MonkeyPatch,
    left: int | None,
    boxes: int,
    said: str,
) -> None:
    driver, events = fleet(Phase.PLANNED)
    driver._work.update(instances=3)
    driver._work.__dict__["manifest"] = [SimpleNamespace(problem=None)] * 50
    monkeypatch.setattr(BoxThread, "start", lambda _thread: None)
    driver._crew.likely_left = left
    driver._crew.want_boxes()
    assert len(driver._work.book.fleet.boxes) == boxes
    assert said in " ".join(event.message for event in events)
    assert bool(events) == bool(said)
