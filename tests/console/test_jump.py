"""Jump mode: which letters stand where, and where they lead."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.widgets import Button, Input

from console.models.jump_letters import ALPHABET, MOST, Target, lettered, letters, pressed
from console.models.rows import Column, Row
from console.widgets.jump import JumpOverlay, jump_targets
from console.widgets.keyed_table import KeyedTable
from tests.console.piloting import shown, until


@pytest.mark.parametrize("count", [0, 1, 5, 26, 27, 51, 52, 200, MOST])
def test_no_letters_are_the_beginning_of_others(count: int) -> None:
    made = letters(count)
    assert len(set(made)) == count
    singles = {each for each in made if len(each) == 1}
    assert not any(each[0] in singles for each in made if len(each) == 2)


def test_as_many_goals_as_can_be_have_one_letter() -> None:
    assert letters(26) == list(ALPHABET)
    assert sum(len(each) == 1 for each in letters(27)) == 25


def test_more_goals_than_letters_is_an_error() -> None:
    with pytest.raises(ValueError, match="more than"):
        letters(MOST + 1)


def test_goals_are_lettered_as_they_are_read_and_one_cell_has_one() -> None:
    targets = [Target("right", 9, 0), Target("below", 0, 5), Target("left", 0, 0), Target("hidden", 0, 5)]
    assert {key: target.goal for key, target in lettered(targets).items()} == {"a": "left", "s": "right", "d": "below"}


def test_letters_typed_come_to_a_goal_to_more_or_to_nothing() -> None:
    assert pressed("a", ["a", "mb"]) == "a"
    assert pressed("m", ["a", "mb"]) is None
    with pytest.raises(KeyError):
        pressed("mx", ["a", "mb"])


class Shell(App[None]):
    """A view with a list, a field and a button."""

    CSS_PATH = str(Path("console/screens/shell.tcss").resolve())

    def __init__(self, rows: int = 3) -> None:
        super().__init__()
        self.said: list[str] = []
        self.row_count = rows

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Input(id="field")
            yield Button("Go", id="button")
            yield KeyedTable([Column("Name", 10)], id="rows")

    def on_mount(self) -> None:
        rows = [Row(f"row{number}", (Text(f"row{number}"),)) for number in range(self.row_count)]
        self.query_one(KeyedTable).show(rows, "note")

    def say(self, text: str) -> None:
        self.said.append(text)


async def open_overlay(app: Shell) -> JumpOverlay:
    overlay = JumpOverlay(app)  # type: ignore[arg-type]
    await app.push_screen(overlay)
    return overlay


async def test_a_letter_goes_to_a_widget_or_to_a_row() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(KeyedTable)
        await until(pilot, lambda: len(jump_targets(app)) == 5, "field, button and three rows")  # type: ignore[arg-type]
        await open_overlay(app)
        await pilot.press("s")
        assert app.focused is app.query_one("#button")
        await open_overlay(app)
        await pilot.press("j")
        assert table.cursor_key == "row2"
        assert app.focused is not app.query_one("#button")


async def test_letters_stand_on_their_rows() -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(jump_targets(app)) == 5, "the goals")  # type: ignore[arg-type]
        lines = shown(app).splitlines()
        where = {name: at for at, line in enumerate(lines) for name in ("row0", "row2") if name in line}
        await open_overlay(app)
        await until(pilot, lambda: shown(app).splitlines()[where["row2"]].startswith("j"), "the letter on the last row")
        assert shown(app).splitlines()[where["row0"]].startswith("d")


async def test_with_many_rows_only_those_in_sight_are_lettered_and_pairs_work() -> None:
    app = Shell(rows=500)
    async with app.run_test(size=(80, 40)) as pilot:
        await until(pilot, lambda: len(jump_targets(app)) > 26, "the goals")  # type: ignore[arg-type]
        assert len(jump_targets(app)) < 45  # type: ignore[arg-type]
        overlay = await open_overlay(app)
        key, target = list(overlay._goals.items())[-1]
        assert len(key) == 2
        await pilot.press(*key)
        assert app.query_one(KeyedTable).cursor_key == target.goal.row


@pytest.mark.parametrize("key", ["escape", "Q", "ctrl+d", "1"])
async def test_any_other_key_only_closes(key: str) -> None:
    app = Shell()
    async with app.run_test(size=(80, 24)) as pilot:
        app.query_one("#field").focus()
        await open_overlay(app)
        await pilot.press(key)
        assert not isinstance(app.screen, JumpOverlay)
        assert app.focused is app.query_one("#field")
        assert app.query_one("#field", Input).value == ""
