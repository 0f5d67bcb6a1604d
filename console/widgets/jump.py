"""Jump mode: letters on everything on screen that takes the keyboard and on every row; pressing them goes there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import Static

from console.language import _
from console.models.jump_letters import Target, lettered, pressed
from console.widgets.dialog import Dialog
from console.widgets.keyed_table import KeyedTable
from console.widgets.table_lines import TableLines

if TYPE_CHECKING:
    from console.app import SpotterApp

LEFT_OUT = frozenset({"command-field"})


@dataclass(frozen=True, slots=True)
class JumpGoal:
    """A widget, or a row of a table."""

    widget: Widget
    row: str | None = None

    def go(self) -> None:
        """Put the keyboard there, and the cursor on the row."""
        if not self.widget.is_attached:
            return
        if isinstance(self.widget, KeyedTable):
            if self.row is not None:
                self.widget.put_cursor(self.row)
            self.widget.focus_rows()
        else:
            self.widget.focus()


def jump_targets(app: SpotterApp) -> list[Target[JumpGoal]]:
    """What can be gone to on the screen below the overlay: rows in sight, and widgets that take the keyboard."""
    screen = app.screen_stack[0]
    found: list[Target[JumpGoal]] = []
    for widget in screen.focus_chain:
        region = widget.region.intersection(screen.region)
        if not region.area or widget.id in LEFT_OUT or widget.has_class("view"):  # a view is more than one place
            continue
        table = widget.parent
        if isinstance(widget, TableLines) and isinstance(table, KeyedTable):
            found += _rows(table, widget, region)
        else:
            found.append(Target(JumpGoal(widget), region.x, region.y))
    return found


def _rows(table: KeyedTable, lines: TableLines, region: Region) -> Iterator[Target[JumpGoal]]:
    first = round(lines.scroll_y)
    in_sight = table.rows[first : first + max(0, region.height - 1)]  # the heading takes a line
    if not in_sight:
        yield Target(JumpGoal(table), region.x, region.y)
    for line, row in enumerate(in_sight):
        yield Target(JumpGoal(table, row.key), region.x, region.y + 1 + line)


class JumpOverlay(Dialog[None]):
    """The screen below stays in sight; any key that is no letter of a goal closes the overlay."""

    app: SpotterApp

    def __init__(self, app: SpotterApp) -> None:
        super().__init__()
        self._goals = lettered(jump_targets(app))
        self._typed = ""

    def compose(self) -> ComposeResult:
        """One label a goal."""
        for letters, target in self._goals.items():
            label = Static(Text(letters, style="bold"), classes="jump-letter", markup=False)
            label.styles.offset = (target.x, target.y)
            yield label

    def on_mount(self) -> None:
        """Without anything to go to there is nothing to show."""
        if not self._goals:
            self.app.say(_("There is nothing here to jump to."))
            self.dismiss(None)

    def on_key(self, event: events.Key) -> None:
        """A letter, or the way out."""
        event.stop()
        event.prevent_default()
        try:
            chosen = pressed(self._typed + (event.character or event.key), list(self._goals))
        except KeyError:
            self.dismiss(None)
            return
        if chosen is None:
            self._typed += event.character or ""
            self._show_rest()
            return
        goal = self._goals[chosen].goal
        self.dismiss(None)
        goal.go()

    def _show_rest(self) -> None:
        """Only those that the letters typed so far begin."""
        for label, letters in zip(self.query(".jump-letter").results(Static), self._goals, strict=True):
            label.display = letters.startswith(self._typed)
            label.update(Text(letters.removeprefix(self._typed), style="bold"))

    def on_click(self) -> None:
        """A click means the mouse is at hand."""
        self.dismiss(None)
