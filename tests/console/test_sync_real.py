"""Sync and services on a real workspace: a box of the local cloud, compared, pushed to and asked, by keys alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from console.app import SpotterApp
from console.operations.session import Session, open_session
from console.operations.transfers import TransferNotes
from console.screens.services import Services
from console.screens.sync import Sync
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import KeyedTable
from console.workspace import Workspace, create_workspace
from tests.console.piloting import said, shown, until

pytestmark = pytest.mark.xdist_group("sync")  # they share one world


@dataclass(frozen=True)
class World:
    """A workspace with one box and one document."""

    workspace: Workspace
    session: Session
    instance: int


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    from console.operations.rent import rent

    workspace, _ = create_workspace(tmp_path_factory.mktemp("sync") / "папка")
    (workspace.data / "книга [x].txt").write_text("страница")
    session = open_session(workspace)
    try:
        yield World(workspace, session, rent(session).instance.id)
    finally:
        session.stop_local_cloud()


async def test_a_box_is_compared_first_then_pushed_to_and_in_step(world: World) -> None:
    app = SpotterApp(world.workspace, "sync")
    async with app.run_test(size=(120, 36)) as pilot:
        view = app.view
        assert isinstance(view, Sync)
        table = app.query_one(KeyedTable)
        data = f"{world.instance}/data"
        await until(pilot, lambda: table.put_cursor(data) and "1 to push" in shown(app), "what would travel")
        await until(pilot, lambda: "книга [x].txt" in said(app, "#sync-plan"), "its name")
        await pilot.press("U")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("y")
        await until(pilot, lambda: "the same on both sides" in said(app, "#sync-plan"), "that it is in step")
    note = TransferNotes(world.workspace).read(world.instance)
    assert note is not None
    assert (note.what, note.state) == ("push", "finished")
    assert note.last_ok_at is not None


async def test_what_was_made_on_the_box_is_fetched_by_one_command(world: World) -> None:
    there = world.workspace.local_cloud / "instances" / str(world.instance) / "root" / "spotter" / "workspace" / "data"
    for name in ("один.ipynb", "-два.ipynb"):
        (there / name).write_text("на машине")
    app = SpotterApp(world.workspace, "sync")
    async with app.run_test(size=(120, 36)) as pilot:
        table = app.query_one(KeyedTable)
        data = f"{world.instance}/data"
        await until(pilot, lambda: table.put_cursor(data) and "2 to fetch" in shown(app), "what is there only")
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("y")
        await until(pilot, lambda: "the same on both sides" in said(app, "#sync-plan"), "that it is in step")
    assert (world.workspace.data / "один.ipynb").read_text() == "на машине"
    assert (world.workspace.data / "-два.ipynb").read_text() == "на машине"


async def test_the_services_of_a_box_are_asked_for_and_jupyter_can_be_started(world: World) -> None:
    app = SpotterApp(world.workspace, "services")
    async with app.run_test(size=(120, 36)) as pilot:
        assert isinstance(app.view, Services)
        await until(pilot, lambda: "not started" in said(app, "#services-card"), "the answer of the box")
        await pilot.press("U")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        question = app.screen.question  # type: ignore[attr-defined]
        assert question.commands == (("jupyter", str(world.instance), "--start-only"),)
        await pilot.press("escape")


def test_nothing_under_way_cannot_be_stopped(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner

    from console.cli import app

    done = CliRunner().invoke(app, ["-C", str(world.workspace.root), "sync", str(world.instance), "--stop"])
    assert done.exit_code == 1
    assert "nothing is being sent" in capsys.readouterr().err + done.output
