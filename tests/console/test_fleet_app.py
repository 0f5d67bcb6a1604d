"""The fleet's screen driven by keys over the local cloud: one machine of ours, one orphan, one of somebody else."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from textual.pilot import Pilot

from console.app import SpotterApp
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session, open_session
from console.screens.fleet import Fleet
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import KeyedTable
from console.workspace import Workspace, create_workspace
from tests.console.piloting import note, said, shown, until

RUN = "01jtestrun00000000abcdefgh"
pytestmark = pytest.mark.xdist_group("fleet")  # they share one world


@dataclass(frozen=True)
class World:
    """A workspace with three instances."""

    workspace: Workspace
    session: Session
    ours: int
    orphan: int
    foreign: int


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(0.05)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every short note of the app."""
    found: list[str] = []
    monkeypatch.setattr(SpotterApp, "tell", lambda _app, message, *_more: found.append(message))
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    from console.operations.rent import rent
    from remote.cloud import InstanceSpec, OfferQuery
    from remote.labels import new_label

    workspace, _ = create_workspace(tmp_path_factory.mktemp("fleet") / "рабочая папка")
    session = open_session(workspace)
    try:
        ours = rent(session).instance.id
        offers = session.cloud.search(OfferQuery(disk_gb=10))
        labels = [new_label(session.ledger.mark), "somebody-elses-training"]
        made = [
            session.cloud.create(offer.id, InstanceSpec("img", 10, label))
            for offer, label in zip(offers, labels, strict=False)
        ]
        yield World(workspace, session, ours, *made)
    finally:
        session.stop_local_cloud()


async def mark(pilot: Pilot[None], instance_id: int) -> None:
    """Put the cursor on an instance, once the cloud has answered."""
    table = pilot.app.query_one("#fleet-table", KeyedTable)
    await until(pilot, lambda: table.put_cursor(str(instance_id)), f"instance {instance_id}")


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["80x24", "200x50"])
async def test_the_screen_tells_money_rows_and_the_marked_instance(world: World, size: tuple[int, int]) -> None:
    app = SpotterApp(world.workspace)
    async with app.run_test(size=size) as pilot:
        await mark(pilot, world.ours)
        await until(pilot, lambda: "of $10.00   by midnight $" in said(app, "#fleet-money"), "the money")
        await until(pilot, lambda: said(app, "#fleet-card").startswith(f"{world.ours} "), "the marked instance")
        assert "proven · destroys" in said(app, "#fleet-card")
        assert "direct 127.0.0.1:" in said(app, "#fleet-card")
        text = shown(app)
        for word in ("EMULATED", "orphan", "foreign", "1 rented"):
            assert word in text


async def test_a_terminal_that_cannot_be_left_gets_the_command_instead(world: World, notes: list[str]) -> None:
    app = SpotterApp(world.workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await mark(pilot, world.ours)
        await pilot.press("s")
        await until(pilot, lambda: any("cannot be left" in each for each in notes), "the sentence")
        assert any("type it in another one: ssh -F" in each for each in notes)


async def test_results_that_are_not_here_are_named_before_anything_is_typed(world: World) -> None:
    runbook = Runbook(world.workspace)
    entry = RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.LAUNCHED, instance_id=world.ours)
    runbook.write(entry)
    try:
        app = SpotterApp(world.workspace)
        async with app.run_test(size=(100, 30)) as pilot:
            await mark(pilot, world.ours)
            await pilot.press("D")
            await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
            assert isinstance(app.screen, Confirm)
            assert "results on it that are not here" in app.screen.question.detail
            assert app.screen.question.commands == (("destroy", str(world.ours), "--yes", "--force"),)
            await pilot.press("escape")
    finally:
        runbook.forget(RUN)
    assert world.session.cloud.instance(world.ours) is not None


async def test_a_cloud_that_does_not_answer_is_said_and_the_rows_stay(
    world: World, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from remote.cloud import CloudUnreachable

    app = SpotterApp(world.workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await mark(pilot, world.ours)

        def unreachable() -> None:
            raise CloudUnreachable("the cloud is away")

        monkeypatch.setattr(app.session(), "living_cloud", unreachable)
        app.query_one(Fleet).poll()
        await until(pilot, lambda: "ago: the cloud is away" in note(app, "#fleet-table .note"), "why")
        table = app.query_one(KeyedTable)
        assert table.cursor_key == str(world.ours)
        assert all(row.stale for row in table.rows)
        await pilot.press("R")
        await until(pilot, lambda: any("nothing more is rented" in each for each in notes), "that nothing is rented")


async def test_an_orphan_is_destroyed_after_its_last_digits_are_typed(world: World) -> None:
    app = SpotterApp(world.workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await mark(pilot, world.orphan)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        assert isinstance(app.screen, Confirm)
        assert "Destroy orphan" in app.screen.question.title
        await pilot.press(*str(world.orphan)[-4:], "enter")
        await until(pilot, lambda: world.session.cloud.instance(world.orphan) is None, "its end")
    living = world.session.living_rentals
    wait_for(lambda: [row.instance_id for row in living()] == [world.ours], "its end on the ledger")


def test_the_command_line_says_the_same(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    from console.commands.frame import Place
    from console.commands.machines import ps
    from console.commands.money import money

    Place.directory = world.workspace.root
    try:
        assert ps(as_json=True) == 0
        told = json.loads(capsys.readouterr().out)
        assert money(as_json=True) == 0
        figures = json.loads(capsys.readouterr().out)
        assert money() == 0
        words = capsys.readouterr().out
    finally:
        Place.directory = None
    standings = {each["id"]: each["standing"] for each in told["instances"]}
    assert standings[world.ours] == "ours"
    assert standings[world.foreign] == "foreign"
    assert told["instances"][0]["guard"]["proven"] is True
    assert figures["money"]["instances"] == 1
    assert figures["money"]["burn_usd_per_hour"] == pytest.approx(told["money"]["burn_usd_per_hour"])
    assert [each["instance_id"] for each in figures["instances"] if each["alive"]] == [world.ours]
    assert figures["reconciled"] is True
    assert "by midnight (UTC)" in words


def test_a_row_that_was_lost_makes_an_orphan_of_a_living_machine(world: World) -> None:
    from console.models.fleet import read_fleet

    with closing(sqlite3.connect(world.workspace.ledger)) as ledger:
        ledger.execute("UPDATE instances SET closed_at = 1 WHERE instance_id = ?", (world.ours,))
        ledger.commit()
    view = read_fleet(open_session(world.workspace))
    assert [each.id for each in view.orphans] == [world.ours]
    with closing(sqlite3.connect(world.workspace.ledger)) as ledger:
        ledger.execute("UPDATE instances SET closed_at = NULL WHERE instance_id = ?", (world.ours,))
        ledger.commit()


def command(world: World, call: Callable[..., int], *arguments: object, **options: object) -> int:
    """A command of the CLI over the world's workspace."""
    from console.commands.frame import Place

    Place.directory = world.workspace.root
    try:
        return call(*arguments, **options)
    finally:
        Place.directory = None


def test_a_guard_is_put_off_by_hours_and_raises_whichever_limit_was_in_the_way(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    from console.commands.limits import guard
    from console.operations.guard import allowed

    assert command(world, guard, world.ours, as_json=True) == 0
    before = json.loads(capsys.readouterr().out.splitlines()[-1])
    allowance = allowed(world.session, world.ours)
    assert command(world, guard, world.ours, add_hours=3.0, yes=True, as_json=True) == 0
    after = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert after["guards"] is True
    assert after["order"]["deadline_at"] - before["order"]["deadline_at"] == pytest.approx(3 * 3600, abs=60)
    assert allowed(world.session, world.ours).max_usd > allowance.max_usd


def test_a_machine_that_a_run_is_driven_on_is_not_stopped(world: World) -> None:
    from console.operations.destroy import StillNeeded
    from console.operations.stop import stop

    runbook = Runbook(world.workspace)
    runbook.write(RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.RENTED, instance_id=world.ours))
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, os, sys\nf = open(sys.argv[1], 'a+')\nfcntl.flock(f, fcntl.LOCK_EX)\n"
         "f.truncate(0); f.write(str(os.getpid())); f.flush(); print('held', flush=True); sys.stdin.read()",
         str(world.workspace.state / "runs" / f"{RUN}.lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StillNeeded, match=f"driven by process {holder.pid}"):
            stop(world.session, world.ours)
    finally:
        holder.communicate()
        runbook.forget(RUN)
    assert world.session.cloud.instance(world.ours).status == "running"  # type: ignore[union-attr]


def test_a_machine_without_a_run_is_replaced_and_goes_only_once_the_new_one_is_there(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.commands.machines import rerent

    monkeypatch.setenv("SPOTTER_MONEY__MAX_USD_PER_DAY", "100")  # room for both
    assert command(world, rerent, world.ours, yes=True, as_json=True) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["old_id"], told["old_is_gone"], told["run_id"]) == (world.ours, True, None)
    assert [row.instance_id for row in world.session.living_rentals()] == [told["new_id"]]
    new, old = (world.session.ledger.instance("local", each) for each in (told["new_id"], world.ours))
    assert new is not None
    assert old is not None
    assert old.closed_at is not None
    assert new.opened_at < old.closed_at
    assert new.machine_id != old.machine_id


def test_a_stopped_machine_costs_its_disk_alone_and_the_ledger_knows_why(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    from console.commands.machines import stop
    from console.models.fleet import read_fleet

    (ours,) = [row.instance_id for row in world.session.living_rentals()]
    assert command(world, stop, ours, yes=True, as_json=True) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    view = read_fleet(world.session)
    row = next(each for each in view.instances if each.id == ours)
    assert (row.state, row.standing) == ("stopped", "ours")
    assert view.money is not None
    assert view.money.burn_usd_per_hour == pytest.approx(told["disk_usd_per_hour"])
    assert 0 < told["disk_usd_per_hour"] < row.usd_per_hour
    history = world.session.ledger.history("local", ours)
    assert history[-1].message == "stopped from here; its disk is still billed"
    intents = [each for each in world.session.ledger.intents(cloud="local") if each.operation == "stop"]
    assert [each.outcome for each in intents] == ["ok"]
    assert command(world, stop, ours, yes=True, as_json=True) == 0  # twice is no error
