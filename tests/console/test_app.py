"""The app with its real views, driven by keys: every view opens, in both languages, at every size; ways in and out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console import language
from console.app import SpotterApp
from console.operations.runbook import Phase, Runbook, RunEntry
from console.screens.catalog import CLASSES
from console.widgets.confirm import Confirm
from console.widgets.help import Help
from console.widgets.keyed_table import KeyedTable
from console.workspace import Workspace, create_workspace
from tests.console.piloting import shown, until

RUN = "01jtestrun0000000000000000"
SIZES = ((80, 24), (40, 12))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    place, _ = create_workspace(tmp_path_factory.mktemp("app"))
    Runbook(place).write(
        RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.DONE, state="succeeded", created_at=1.0)
    )
    return place


@pytest.fixture
def russian() -> Iterator[None]:
    language.use("ru")
    yield
    language.use("en")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
async def test_every_view_opens_on_a_workspace_that_has_next_to_nothing(
    workspace: Workspace, size: tuple[int, int]
) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=size) as pilot:
        for name in CLASSES:
            app.go(name)
            await until(pilot, lambda name=name: name == app.view.NAME and app.view.is_mounted, name)
            await pilot.press("down", "up", "v", "v")
            assert app.screen is app.screen_stack[0], f"{name} asks something unasked"


async def test_every_view_names_itself_in_russian(workspace: Workspace, russian: None) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        for name in CLASSES:
            app.go(name)
            title = language.gettext(app.view.TITLE).upper()
            assert not title.isascii(), f"{name} has no Russian title"
            await until(pilot, lambda title=title: title in shown(app).splitlines()[0], f"{title} on the top line")


async def test_keys_switch_views_and_escape_comes_back(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        assert app.view.NAME == "runs"
        await until(pilot, lambda: app.query_one("#runs-table", KeyedTable).cursor_key == RUN, "the run")
        await pilot.press("enter")
        await until(pilot, lambda: app.view.NAME == "run", "the run's view")
        await pilot.press("escape")
        await until(pilot, lambda: app.view.NAME == "runs", "the list")
        await pilot.press("escape")
        await until(pilot, lambda: app.view.NAME == "fleet", "the fleet")


async def test_a_typed_line_goes_to_a_view_and_says_what_is_wrong_with_it(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.press("colon", *"runs", "enter")
        await until(pilot, lambda: app.view.NAME == "runs", "the runs")
        await pilot.press("colon", *"rnus", "enter")
        await until(pilot, lambda: "did you mean runs" in shown(app), "the hint")
        assert app.view.NAME == "runs"


async def test_help_opens_over_any_view_and_escape_closes_only_it(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help), "the page of keys")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Help), "its end")
        assert app.view.NAME == "fleet"


async def test_a_destroy_with_nothing_marked_asks_nothing(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("D")
        assert not isinstance(app.screen, Confirm)


async def test_the_next_theme_is_kept(workspace: Workspace) -> None:
    app = SpotterApp(workspace)
    async with app.run_test() as pilot:
        before = app.theme
        await pilot.press("T")
        await until(pilot, lambda: app.theme != before, "another theme")
        chosen = app.theme
        state = Path(workspace.state / "console.json")
        await until(pilot, lambda: state.exists() and chosen in state.read_text(), "the choice on disk")
