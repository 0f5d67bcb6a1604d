"""The line behind `:`: what it means, how it is completed, what it remembers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Button, Input, Static

from console.models.command_line import (
    CommandHistory,
    Do,
    Go,
    Wrong,
    candidates,
    common_start,
    parse_command,
    read_history,
    write_history,
)
from console.widgets.command_line import HISTORY_FILE, CommandLine
from console.workspace import Workspace
from tests.console.piloting import shown, until

VIEWS = ("fleet", "offers", "runs", "run", "review", "log", "index")
ACTIONS = (
    "everywhere.fleet", "everywhere.log", "everywhere.theme", "everywhere.quit", "everywhere.read-only",
    "fleet.destroy", "fleet.shell", "runs.new", "index.new", "log.follow",
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("fleet", Go("fleet")),
        (":fleet", Go("fleet")),
        ("  offers gpu=4090 n=1 <0.6 ", Go("offers", "gpu=4090 n=1 <0.6")),
        ("off", Go("offers")),
        ("run 01K", Go("run", "01K")),
        ("rev", Go("review")),
        ("log", Go("log")),
        ("ps", Go("fleet")),
        ("search слой doc:x", Go("index", "слой doc:x")),
        ("fleet.destroy", Do("fleet.destroy")),
        ("fleet.d", Do("fleet.destroy")),
        ("destroy", Do("fleet.destroy")),
        ("the", Do("everywhere.theme")),
        ("q", Do("everywhere.quit")),
        ("ro", Do("everywhere.read-only")),
    ],
)
def test_a_line_is_a_view_or_an_action(line: str, meant: Go | Do) -> None:
    assert parse_command(line, VIEWS, ACTIONS) == meant


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "Type a view"),
        (":", "Type a view"),
        ("ru", "ru could be run, runs"),
        ("new", "new could be index.new, runs.new"),
        ("flete", "did you mean fleet"),
        ("zzzz", "no view or action called zzzz"),
        ("fleet.destroy 31245", "fleet.destroy takes no words"),
        ("[/x]", "no view or action called [/x]"),
    ],
)
def test_what_it_is_not_is_said_with_what_was_close(line: str, named: str) -> None:
    wrong = parse_command(line, VIEWS, ACTIONS)
    assert isinstance(wrong, Wrong)
    assert named in wrong.sentence


def words(start: str) -> list[str]:
    return [each for each in ("31245", "31299", "01KRUN") if each.startswith(start)]


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("fl", ["fleet", "fleet.destroy", "fleet.shell"]),
        ("des", ["fleet.destroy"]),
        ("run 31", ["run 31245", "run 31299"]),
        ("run 01KRUN", []),
        ("index слой 312", ["index слой 31245", "index слой 31299"]),
    ],
)
def test_a_line_is_completed(line: str, choices: list[str]) -> None:
    assert candidates(line, VIEWS, ACTIONS, words) == choices


def test_an_empty_line_offers_every_view_first() -> None:
    assert candidates("", VIEWS, ACTIONS, words)[: len(VIEWS)] == list(VIEWS)


def test_lines_agree_as_far_as_they_agree() -> None:
    assert [common_start(lines) for lines in ([], ["fleet"], ["fleet", "fleet.destroy"], ["a", "b"])] == [
        "",
        "fleet",
        "fleet",
        "",
    ]


def test_history_walks_back_and_forward_and_keeps_what_was_being_typed() -> None:
    history = CommandHistory(["a", "b"])
    assert [history.older("dra"), history.older("b"), history.older("a")] == ["b", "a", "a"]
    assert [history.newer("a"), history.newer("b"), history.newer("dra")] == ["b", "dra", "dra"]
    for number in range(30):
        history.add(f"line {number}")
    history.add("line 15")
    assert len(history.lines) == 20
    assert history.lines[-1] == "line 15"
    assert history.lines.count("line 15") == 1


@pytest.mark.parametrize("broken", ["", "{", '{"a": 1}', "[1, null]"])
def test_a_broken_history_file_is_an_empty_history(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "history.json"
    assert read_history(path) == []
    path.write_text(broken)
    assert read_history(path) == []
    write_history(tmp_path / "no workspace" / ".spotter" / "history.json", ["слой"])
    assert not (tmp_path / "no workspace").exists()
    (tmp_path / "spotter.toml").write_text("")
    path = tmp_path / ".spotter" / "history.json"
    write_history(path, ["слой"])
    assert read_history(path) == ["слой"]


class Shell(App[None]):
    """As much of the console as the line needs."""

    CSS_PATH = str(Path("console/screens/shell.tcss").resolve())

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.given: list[str] = []

    def compose(self) -> ComposeResult:
        yield Static("view")
        yield Button("somewhere", id="somewhere")
        yield CommandLine()

    def on_mount(self) -> None:
        self.query_one("#somewhere").focus()

    def complete(self, word: str) -> list[str]:
        return words(word)

    def in_background(self, ask: Callable[[], Any], then: Callable[[Any], None]) -> None:
        threading.Thread(target=lambda: self.call_from_thread(then, ask()), daemon=True).start()

    def on_command_line_given(self, event: CommandLine.Given) -> None:
        self.given.append(event.text)


@pytest.fixture
def app(tmp_path: Path) -> Shell:
    (tmp_path / ".spotter").mkdir()
    return Shell(Workspace(tmp_path))


async def test_what_is_typed_is_given_and_the_keyboard_goes_back(app: Shell, tmp_path: Path) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        line = app.query_one(CommandLine)
        assert not line.is_open
        line.open()
        await pilot.press(*"runs state", "enter")
        assert app.given == ["runs state"]
        assert not line.is_open
        assert app.focused is app.query_one("#somewhere")
        history = tmp_path / ".spotter" / HISTORY_FILE
        await until(pilot, lambda: history.exists() and json.loads(history.read_text()) == ["runs state"], "the file")


async def test_tab_completes_as_far_as_it_is_certain_then_takes_the_first(app: Shell) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        line, field = app.query_one(CommandLine), app.query_one("#command-field", Input)
        line.open()
        await pilot.press("o", "tab")
        assert field.value == "offers"
        line.open("run 3")
        await pilot.press("tab")
        assert field.value == "run 312"
        await pilot.press("tab")
        assert field.value == "run 31245"
        assert "31299" not in field.value


async def test_tab_walks_through_all_that_it_may_be_and_shift_tab_back(app: Shell) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        line, field = app.query_one(CommandLine), app.query_one("#command-field", Input)
        line.open("run 312")
        seen = []
        for key in ("tab", "tab", "tab", "shift+tab", "shift+tab"):
            await pilot.press(key)
            seen.append(field.value)
        assert seen == ["run 31245", "run 31299", "run 31245", "run 31299", "run 31245"]
        assert "31245  31299" in shown(app), "what there is to walk through stays"
        await pilot.press("shift+tab", "backspace", "tab")
        assert field.value == "run 31299", "what is typed is completed anew"
        line.open("fl")
        await pilot.press("shift+tab", "shift+tab")
        assert field.value.startswith("fleet.")


async def test_the_choices_stand_above_the_line(app: Shell) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        app.query_one(CommandLine).open("run 3")
        await until(pilot, lambda: "31245  31299" in shown(app), "the choices")


async def test_up_brings_back_what_was_given_in_an_earlier_session(app: Shell, tmp_path: Path) -> None:
    write_history(tmp_path / ".spotter" / HISTORY_FILE, ["offers gpu=4090", "fleet"])
    async with app.run_test(size=(80, 24)) as pilot:
        line, field = app.query_one(CommandLine), app.query_one("#command-field", Input)
        line.open("dra")
        await until(pilot, lambda: line._history is not None and bool(line._history.lines), "the history")
        await pilot.press("up", "up")
        assert field.value == "offers gpu=4090"
        await pilot.press("down", "down")
        assert field.value == "dra"


async def test_escape_closes_and_gives_nothing(app: Shell) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        line = app.query_one(CommandLine)
        line.open()
        await pilot.press(*"fleet", "escape")
        assert not line.is_open
        line.open()
        await pilot.press("enter")
        assert app.given == []
        assert app.focused is app.query_one("#somewhere")


async def test_a_line_that_nobody_types_in_closes(app: Shell) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        line = app.query_one(CommandLine)
        line.open("fl")
        await pilot.click("#somewhere")
        await until(pilot, lambda: not line.is_open, "the line gone")
        assert app.focused is app.query_one("#somewhere")
