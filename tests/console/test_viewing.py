"""The shell is drawn before the first view is loaded, and what is typed meanwhile is kept for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual import events
from textual.keys import _character_to_key
from textual.widgets import Input

from console.app import SpotterApp
from console.operations.runbook import Phase, Runbook, RunEntry
from console.screens.catalog import make_view
from console.screens.view import View
from console.widgets.command_line import CommandLine
from console.widgets.keyed_table import KeyedTable
from console.workspace import Workspace, create_workspace
from tests.console.piloting import shown, until


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place, _ = create_workspace(tmp_path)
    for number in range(3):
        run_id = f"01jrun{number:020}"
        Runbook(place).write(RunEntry(run_id=run_id, pipeline="docparse", plan_key="k", phase=Phase.DONE, created_at=1))
    return place


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], None]], None]:
    """Have something done when the first view is about to be loaded; it is told which."""

    def arrange(act: Callable[[str], None]) -> None:
        made: list[str] = []

        def make(name: str) -> View:
            if not made:
                act(name)
            made.append(name)
            return make_view(name)

        monkeypatch.setattr("console.viewing.make_view", make)

    return arrange


def press(app: SpotterApp, *keys: str) -> None:
    """As the terminal's driver does: whoever has the keyboard gets them, in their order."""
    for key in keys:
        name = _character_to_key(key) if len(key) == 1 else key
        app.post_message(events.Key(name, key if len(key) == 1 else None))


async def test_the_shell_says_where_one_is_and_what_keys_do_before_the_view_is_loaded(
    workspace: Workspace, meanwhile: Callable[[Callable[[str], None]], None]
) -> None:
    app, seen = SpotterApp(workspace, "runs", shell_first=True), []
    meanwhile(lambda name: seen.append((name, app.view.is_mounted, shown(app))))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.view.is_mounted, "the view")
        name, mounted, screen = seen[0]
        lines = screen.splitlines()
        assert (name, mounted) == ("runs", False)
        assert all(word in lines[0] for word in ("RUNS", "live"))
        assert all(word in lines[-1] for word in ("Cancel", "Quit"))
        assert not any(line.strip() for line in lines[1:-1]), "an empty pane between them"
        await until(pilot, lambda: app.query_one("#runs-table", KeyedTable).cursor_key, "its rows")


async def test_what_is_typed_before_the_view_is_there_is_done_by_it_in_its_order(
    workspace: Workspace, meanwhile: Callable[[Callable[[str], None]], None]
) -> None:
    app = SpotterApp(workspace, "index", shell_first=True)

    def act(_name: str) -> None:
        press(app, *"no")
        app.post_message(events.Paste("de\x1b["))
        press(app, *" 4")

    meanwhile(act)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.query_one("#query", Input).value.endswith(" 4"), "what was typed")
        assert app.query_one("#query", Input).value.startswith("node")
        assert app.view.NAME == "index", "a digit in a field is a letter"


@pytest.mark.parametrize("keys", [("4",), ("colon", *"runs", "enter")], ids=("digit", "line"))
async def test_keys_of_the_shell_wait_for_the_view_too(
    workspace: Workspace, meanwhile: Callable[[Callable[[str], None]], None], keys: tuple[str, ...]
) -> None:
    app = SpotterApp(workspace, shell_first=True)
    meanwhile(lambda _name: press(app, *keys))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.view.NAME == "runs" and app.view.is_mounted, "the runs")
        await until(pilot, lambda: app.focused and app.view in app.focused.ancestors_with_self, "the keyboard in them")
        assert not app.query_one(CommandLine).is_open


async def test_the_argument_and_the_way_back_are_those_of_the_first_view(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "runs", "state=failed", shell_first=True)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.view.is_mounted and app.view.argument == "state=failed", "the filter")
        await pilot.press("1")
        await until(pilot, lambda: app.view.NAME == "fleet", "the fleet")
        await pilot.press("escape")
        await until(pilot, lambda: app.view.NAME == "runs", "the runs")


async def test_a_view_brings_its_own_rules_of_style_when_it_is_first_made(workspace: Workspace) -> None:
    app = SpotterApp(workspace, live=False)
    async with app.run_test(size=(120, 30)) as pilot:
        assert not app.stylesheet.has_source(str(Path(make_view.__code__.co_filename).parent / "log.tcss"))
        app.go("log")
        await until(pilot, lambda: app.view.NAME == "log" and app.view.is_mounted, "the log")
        assert not app.query_one("#log-filter").display, "as log.tcss has it"


@pytest.mark.parametrize("here", [True, False], ids=("a view that is there", "a view that must be made"))
async def test_keys_that_come_in_one_go_with_the_one_that_goes_elsewhere_are_done_there(
    workspace: Workspace, here: bool
) -> None:
    app = SpotterApp(workspace, live=False)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.view.is_mounted and app.focused, "the fleet")
        if here:
            app.view_called("runs")
            await until(pilot, lambda: app.view_called("runs").is_mounted, "the runs, behind it")
        press(app, *"4n")  # on the fleet n shows offers, on runs it begins one
        await until(pilot, lambda: app.view.NAME == "form", "the form of a new run")
        assert "offers" not in app._views
        press(app, *"16node 1")
        await until(pilot, lambda: app.query_one("#query", Input).value == "node 1", "the query")
        assert app.view.NAME == "index"
