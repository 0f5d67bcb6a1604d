"""The fleet's screen driven by keys over the local cloud: one machine of ours, one orphan, one of somebody else."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from console.app import SpotterApp
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import Session, open_session
from console.screens.fleet import Fleet
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import KeyedTable
from console.workspace import Workspace, create_workspace

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
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(0.05)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every short note of the app."""
    notes: list[str] = []
    monkeypatch.setattr(SpotterApp, "say", lambda _app, message: notes.append(message))
    return notes


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


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str) -> None:
    for _ in range(400):
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError(f"never saw {what}")


def shown(app: SpotterApp, name: str) -> str:
    return str(app.query_one(name, Static).render())


def note(app: SpotterApp) -> str:
    return str(app.query_one("#fleet-table .note", Static).render())


async def mark(pilot: Pilot[None], instance_id: int) -> None:
    """Move the cursor to an instance, once the cloud has answered."""
    table = pilot.app.query_one("#fleet-table", KeyedTable)
    await until(pilot, lambda: table.cursor_key is not None, "the rows")
    for _ in range(5):
        if table.cursor_key == str(instance_id):
            return
        await pilot.press("down")
    for _ in range(5):
        if table.cursor_key == str(instance_id):
            return
        await pilot.press("up")
    raise AssertionError(f"{instance_id} is not in the table")


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["80x24", "200x50"])
async def test_the_screen_tells_money_rows_and_the_marked_instance(world: World, size: tuple[int, int]) -> None:
    app = SpotterApp(world.workspace)
    async with app.run_test(size=size) as pilot:
        await mark(pilot, world.ours)
        await until(pilot, lambda: "burn $" in shown(app, "#fleet-money"), "the money")
        assert "of $10.00   by midnight $" in shown(app, "#fleet-money")
        await until(pilot, lambda: f"{world.ours} " in shown(app, "#fleet-detail"), "the marked instance")
        assert "dead-man proven · destroys" in shown(app, "#fleet-detail")
        assert "direct 127.0.0.1:" in shown(app, "#fleet-detail")
        screen = app.export_screenshot()
        assert "EMULATED" in screen
        for word in ("orphan", "foreign"):
            assert word in screen


async def test_an_instance_of_somebody_else_is_left_alone(world: World, said: list[str]) -> None:
    app = SpotterApp(world.workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await mark(pilot, world.foreign)
        for key in ("D", "s", "j", "c"):
            await pilot.press(key)
        assert not isinstance(app.screen, Confirm)
        assert len(said) == 4
        assert all("was not rented from this workspace" in each for each in said)


async def test_the_ssh_command_is_copied(world: World) -> None:
    app = SpotterApp(world.workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await mark(pilot, world.ours)
        await pilot.press("c")
        await until(pilot, lambda: app.clipboard, "the copy")
        assert app.clipboard.startswith("ssh -F ")
        assert app.clipboard.endswith(f"spotter-{world.ours}")


async def test_a_terminal_that_cannot_be_left_gets_the_command_instead(world: World, said: list[str]) -> None:
    app = SpotterApp(world.workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await mark(pilot, world.ours)
        await pilot.press("s")
        await until(pilot, lambda: said, "the sentence")
        assert "cannot be left; type it in another one: ssh -F" in said[0]


async def test_results_that_are_not_here_must_be_given_up_by_typing_the_id(world: World) -> None:
    runbook = Runbook(world.workspace)
    entry = RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.LAUNCHED, instance_id=world.ours)
    runbook.write(entry)
    try:
        app = SpotterApp(world.workspace)
        async with app.run_test(size=(100, 30)) as pilot:
            await mark(pilot, world.ours)
            await pilot.press("D")
            await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
            await pilot.press("y", "enter")
            assert isinstance(app.screen, Confirm)
            assert "results on it that are not here" in str(app.screen.query_one("#confirm-detail", Static).render())
            await pilot.press("escape")
    finally:
        runbook.forget(RUN)
    assert world.session.cloud.instance(world.ours) is not None


async def test_a_cloud_that_does_not_answer_is_said_and_the_rows_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from remote.cloud import CloudUnreachable

    app = SpotterApp(world.workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await mark(pilot, world.ours)

        def unreachable() -> None:
            raise CloudUnreachable("the cloud is away")

        monkeypatch.setattr(app.session(), "living_cloud", unreachable)
        app.query_one(Fleet).poll()
        await until(pilot, lambda: "stale: the cloud is away" in note(app), "why")
        assert app.query_one(KeyedTable).cursor_key == str(world.ours)


async def test_an_orphan_is_destroyed_with_one_key_and_a_yes(world: World) -> None:
    app = SpotterApp(world.workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await mark(pilot, world.orphan)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        assert "Destroy orphan" in str(app.screen.query_one("#confirm-title", Static).render())
        await pilot.press("y")
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


async def test_jupyter_opened_from_the_screen_counts_as_use_of_the_box_until_the_console_ends(
    world: World, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.operations import browser, in_use, services

    class Opened:
        url = entry_url = "http://127.0.0.1:1/"
        closed = 0

        def close(self) -> None:
            self.closed += 1

    opened = Opened()
    monkeypatch.setattr(services, "open_jupyter", lambda *_, **__: opened)
    monkeypatch.setattr(browser, "open_in_browser", lambda _url: True)
    monkeypatch.setattr(in_use, "FIRST_BEAT_S", 0.05)
    box = world.workspace.local_cloud / "instances" / str(world.ours) / "root"
    heartbeat = box / "spotter" / "deadman" / "heartbeat"
    before = heartbeat.stat().st_mtime_ns
    app = SpotterApp(world.workspace)
    async with app.run_test(size=(120, 30)) as pilot:
        await mark(pilot, world.ours)
        await pilot.press("j")
        await until(pilot, lambda: any("is open in the browser" in line for line in said), "that it is open")
        await until(pilot, lambda: heartbeat.stat().st_mtime_ns > before, "the word that the box is in use")
    wait_for(lambda: opened.closed == 1, "the end of the tunnel")
    wait_for(lambda: not [each for each in threading.enumerate() if each.name == "in-use"], "the end of the use")
