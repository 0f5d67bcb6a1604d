"""The palette: what it offers, in which words, and that data in it is only text."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.command import CommandPalette
from textual.widgets import Static

from console import language
from console.actions.action import Action
from console.actions.registry import actions_of
from console.operations.known_names import KnownNames, documents, instance_ids, known_names, run_ids
from console.palette import Palette, action_choices, place_choices
from console.widgets.palette import PaletteScreen
from console.workspace import Workspace, create_workspace
from tests.console.piloting import shown, until


class SomeView(Static):
    NAME = "fleet"
    table = None


class Shell(App[None]):
    """As much of the console as the palette needs."""

    COMMANDS = {Palette}  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.went: list[tuple[str, str]] = []
        self.did: list[str] = []
        self.reason = ""

    def compose(self) -> ComposeResult:
        yield SomeView("fleet")

    @property
    def view(self) -> SomeView:
        return self.screen_stack[0].query_one(SomeView)

    def refusal(self, action: Action) -> str:
        return self.reason if action.id == "everywhere.theme" else ""

    def keys_of(self, action: Action) -> str:
        return action.keys

    def go(self, view: str, argument: str = "") -> None:
        self.went.append((view, argument))

    def action_do(self, action_id: str) -> None:
        self.did.append(action_id)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place, _ = create_workspace(tmp_path)
    (place.state / "runs").mkdir()
    for run_id in ("01aaa", "01bbb", "01[bold]"):
        (place.state / "runs" / f"{run_id}.json").write_text("{}")
    with sqlite3.connect(place.ledger) as ledger:
        ledger.execute("CREATE TABLE instances (instance_id INTEGER, opened_at REAL, closed_at REAL)")
        ledger.executemany("INSERT INTO instances VALUES (?, ?, ?)", [(31245, 1, None), (31299, 2, None), (7, 3, 4.0)])
    ledger.close()
    (place.data / "deep").mkdir()
    (place.data / "deep" / "книга.pdf").write_text("")
    (place.data / ".hidden").write_text("")
    return place


def test_names_come_from_files_of_this_machine_the_newest_first(workspace: Workspace) -> None:
    assert known_names(workspace) == KnownNames(
        ("01bbb", "01aaa", "01[bold]"), (31299, 31245), ("data/deep/книга.pdf",)
    )
    assert known_names(workspace).beginning("312") == ["31299", "31245"]
    assert known_names(workspace).beginning("DATA") == ["data/deep/книга.pdf"]


def test_a_workspace_without_anything_has_no_names(tmp_path: Path) -> None:
    empty = Workspace(tmp_path / "nothing")
    assert (run_ids(empty), instance_ids(empty), documents(empty)) == ((), (), ())
    assert not empty.root.exists()


def test_a_ledger_that_is_none_has_no_names(tmp_path: Path) -> None:
    broken, _ = create_workspace(tmp_path)
    broken.ledger.write_bytes(b"not a database" * 100)
    assert instance_ids(broken) == ()


async def test_what_can_be_done_here_and_everywhere_is_offered_with_its_keys(workspace: Workspace) -> None:
    app = Shell(workspace)
    async with app.run_test(size=(100, 40)):
        choices = action_choices(app)  # type: ignore[arg-type]
        titles = [choice.title for choice in choices]
        assert titles[: len(actions_of("fleet"))] == [action.label for action in actions_of("fleet")]
        assert next(choice.keys for choice in choices if choice.title == "Theme") == "T"
        assert "Filter" not in titles  # no list on this view
        places = place_choices(app, known_names(workspace))  # type: ignore[arg-type]
        assert [choice.title for choice in places][:3] == ["instance 31299", "instance 31245", "run 01bbb"]


async def test_letters_find_a_run_and_enter_goes_there(workspace: Workspace) -> None:
    app = Shell(workspace)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p", *"01bbb")
        await until(pilot, lambda: "run 01bbb" in shown(app), "the run")
        await pilot.press("enter")
        await until(pilot, lambda: app.went == [("run", "01bbb")], "the way there")


async def test_an_action_is_done_after_the_palette_closed(workspace: Workspace) -> None:
    app = Shell(workspace)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p", *"next theme")
        await until(pilot, lambda: "The next theme" in shown(app), "the action")
        await pilot.press("enter")
        await until(pilot, lambda: app.did == ["everywhere.theme"], "the action done")
        assert not isinstance(app.screen, CommandPalette)


async def test_data_that_looks_like_markup_is_shown_as_it_is(workspace: Workspace) -> None:
    app = Shell(workspace)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p", *"[bold]")
        await until(pilot, lambda: "run 01[bold]" in shown(app), "the run")


async def test_what_is_refused_says_why_and_stands_last(workspace: Workspace) -> None:
    app = Shell(workspace)
    app.reason = "not [/now]"
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("ctrl+p", *"theme")
        await until(pilot, lambda: "refused: not [/now]" in shown(app), "the reason")


async def test_texts_are_in_the_language_spoken(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.palette._", lambda text: f"«{text}»")
    app = Shell(workspace)
    async with app.run_test():
        assert "«Theme»" in [choice.title for choice in action_choices(app)]  # type: ignore[arg-type]
    assert language.language() == "en"


async def test_it_asks_in_the_language_that_is_spoken(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_current", "ru")
    app = Shell(workspace)
    async with app.run_test(size=(100, 40)) as pilot:
        app.push_screen(PaletteScreen())
        await until(pilot, lambda: "имя действия или что оно делает" in shown(app), "the question")
        assert "Search" not in shown(app)
