"""The help page: drawn from the registry, in the order of nearness, searched, and readable on a small screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widgets import Button, Input, Static

from console import language
from console.actions.action import EVERYWHERE, TABLE, Action
from console.actions.registry import ACTIONS, actions_of
from console.models.help_page import HelpRow, HelpSection, searched
from console.models.keymap import resolve
from console.widgets.help import Help, help_sections
from tests.console.piloting import shown, until


class Pane(Button):
    BINDINGS = [Binding("x", "nothing", "Nudge the box"), Binding("ctrl+y", "nothing", "")]  # noqa: RUF012


Pane.__module__ = "console.widgets.pane"


class SomeView(Static):
    NAME = "fleet"
    table: object | None = None


class Shell(App[None]):
    """As much of the console as help needs."""

    CSS_PATH = str(Path("console/screens/shell.tcss").resolve())

    def __init__(self, *, table: bool = True) -> None:
        super().__init__()
        self.keymap = resolve(ACTIONS, {"everywhere.theme": "ctrl+t"})
        self.with_table = table

    def compose(self) -> ComposeResult:
        yield SomeView("fleet")
        yield Pane("pane")

    def on_mount(self) -> None:
        self.query_one(Pane).focus()

    def view_called(self, name: str) -> SomeView:
        view = self.screen_stack[0].query_one(SomeView)
        view.table = object() if self.with_table else None
        return view

    def refusal(self, action: Action) -> str:
        return "read-only [/x]" if action.id == "everywhere.pause" else ""

    def keys_of(self, action: Action) -> str:
        return ",".join(self.keymap.of(action.id))


@pytest.mark.parametrize("table", [True, False])
async def test_sections_stand_in_the_order_of_nearness(table: bool) -> None:
    app = Shell(table=table)
    async with app.run_test():
        sections = help_sections("fleet", app)  # type: ignore[arg-type]
        titles = [section.title for section in sections]
        wanted = ["this pane", "Fleet", "in lists", "everywhere"]
        assert titles == [
            title
            for title in wanted
            if (title != "in lists" or table) and (title != "Fleet" or actions_of("fleet"))
        ]  # fmt: skip
        assert [row.help for row in sections[0].rows] == ["Nudge the box"]


async def test_every_action_is_there_with_its_real_keys_and_twin() -> None:
    app = Shell()
    async with app.run_test():
        rows = {row.action_id: row for section in help_sections("fleet", app) for row in section.rows}  # type: ignore[arg-type]
        for name in ("fleet", TABLE, EVERYWHERE):
            for action in actions_of(name):
                assert (rows[action.id].help, rows[action.id].twin) == (action.help, action.command)
        assert (rows["everywhere.theme"].keys, rows["everywhere.theme"].users) == ("ctrl+t", True)
        assert (rows["everywhere.help"].keys, rows["everywhere.help"].users) == ("? f1", False)
        assert rows["everywhere.pause"].refusal == "read-only [/x]"


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_page_shows_keys_their_source_and_reasons(size: tuple[int, int]) -> None:
    app = Shell()
    async with app.run_test(size=size) as pilot:
        await app.push_screen(Help("fleet", app))  # type: ignore[arg-type]
        await until(pilot, lambda: "Nudge the box" in shown(app), "the pane's key")
        await pilot.press("slash", *"t theme")
        await until(pilot, lambda: "ctrl+t*" in shown(app), "the key of one's own")
        assert "[keymap]" in shown(app)
        await pilot.press("escape", "slash", *"p ask")
        await until(pilot, lambda: "✗ read-only [/x]" in shown(app), "the reason")


async def test_search_narrows_and_escape_steps_out_twice() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(Help("fleet", app))  # type: ignore[arg-type]
        await pilot.press("slash", *"r doctor")
        await until(pilot, lambda: "Settings and checks" in shown(app), "the action by its twin")
        assert "Nudge" not in shown(app)
        await pilot.press(*"zz")
        await until(pilot, lambda: "No key's help holds" in shown(app), "that nothing was found")
        await pilot.press("escape")
        assert isinstance(app.screen, Help)
        assert not app.screen.query_one(Input).display
        await until(pilot, lambda: "Nudge" in shown(app), "everything again")
        await pilot.press("escape")
        assert not isinstance(app.screen, Help)


async def test_the_last_line_can_be_reached_by_keys_on_a_small_screen() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(Help("fleet", app))  # type: ignore[arg-type]
        last = actions_of(EVERYWHERE)[-1]
        assert last.help not in shown(app)
        await pilot.press("G")
        await until(pilot, lambda: last.help in shown(app), "the last action")
        await pilot.press("q")
        assert not isinstance(app.screen, Help)


def test_a_search_looks_at_keys_help_twin_and_id() -> None:
    rows = (HelpRow("X", False, "Stop it", "spotter stop ID", "", "fleet.stop"), HelpRow("r", False, "Ask now", ""))
    sections = [HelpSection("fleet", rows)]
    for text in ("stop", "STOP it", "spotter", "fleet.s"):
        assert [row.keys for section in searched(sections, text) for row in section.rows] == ["X"]
    assert searched(sections, "nothing like it") == []
    assert searched(sections, "") == sections


async def test_the_page_calls_the_view_as_the_top_line_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_current", "ru")
    app = Shell()
    async with app.run_test(size=(100, 40)) as pilot:
        app.push_screen(Help("fleet", app))  # type: ignore[arg-type]
        await until(pilot, lambda: "Клавиши: Машины" in shown(app), "the title")
        assert "МАШИНЫ" in shown(app)
        assert "FLEET" not in shown(app)
