"""The line behind `:`: a view's or an action's name, completed as it is typed, with what was typed before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static

from console.actions.registry import ACTIONS
from console.language import _
from console.models.command_line import CommandHistory, candidates, common_start, read_history, write_history
from console.screens.catalog import CLASSES
from console.widgets.typed_line import TypedLine
from console.words import visible

if TYPE_CHECKING:
    from console.app import SpotterApp

HISTORY_FILE = "command-history.json"
ACTION_IDS = tuple(action.id for action in ACTIONS)


class CommandLine(Vertical):
    """Hidden until `open`; tab completes and walks on, up and down walk through the lines before, esc closes."""

    app: SpotterApp

    class Given(Message):
        """A line was given with enter."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(id="command-line")
        self._history: CommandHistory | None = None
        self._came_from: Widget | None = None
        self._offered: list[str] = []
        """What tab walks through; of use while the line is the one of them that it was put at."""
        self._at = 0
        self.display = False

    def compose(self) -> ComposeResult:
        """What the line may become, and the line."""
        yield Static("", id="command-hints", markup=False)
        with Horizontal(id="command-row"):
            yield Static(":", id="command-sign", markup=False)
            yield TypedLine(
                placeholder=_("view or action; tab completes, up for the lines before"),
                suggester=_Ghost(self),
                id="command-field",
                select_on_focus=False,
            )

    @property
    def _field(self) -> Input:
        return self.query_one("#command-field", Input)

    @property
    def is_open(self) -> bool:
        """Whether it is on screen."""
        return bool(self.display)

    def open(self, text: str = "") -> None:
        """Show the line with `text` in it, and put the keyboard there; notes in the corner would lie over it."""
        self.app.clear_notifications()
        self._came_from = self.screen.focused
        self.display = True
        self._field.value = text
        self._field.cursor_position = len(text)
        self.screen.set_focus(self._field)  # now: what is typed meanwhile is meant for it
        self._hint()
        if self._history is None:
            self._history = CommandHistory()
            path = self.app.workspace.state / HISTORY_FILE
            self.app.in_background(lambda: read_history(path), self._remember_all)

    def close(self) -> None:
        """Hide the line; the keyboard goes back to where it was."""
        if not self.display:
            return
        self.display = False
        came_from, self._came_from = self._came_from, None
        if came_from is not None and came_from.is_attached and came_from.focusable:
            came_from.focus()
        else:
            self.screen.set_focus(None)

    def choices(self) -> list[str]:
        """Lines that what is typed may become."""
        return candidates(self._field.value, tuple(CLASSES), ACTION_IDS, self.app.complete)

    def _remember_all(self, lines: Sequence[str]) -> None:
        typed = self._history.lines if self._history is not None else ()
        self._history = CommandHistory(lines)
        for line in typed:
            self._history.add(line)

    def _hint(self) -> None:
        width = max(10, self.app.size.width - 4)
        hints = Text(no_wrap=True, overflow="ellipsis", style="dim")
        walking = self.walking
        choices, marked = (self._offered, self._at) if walking else (self.choices(), 0)
        words = [visible(line.rpartition(" ")[2]) for line in choices]
        first = 0
        while sum(len(word) + 2 for word in words[first : marked + 1]) > width - 1 and first < marked:
            first += 1  # the one that tab stands at is in sight
        for number, word in enumerate(words[first:], start=first):
            if hints.cell_len + len(word) + 2 > width:
                hints.append("…")
                break
            hints.append(word, style="bold" if number == marked and self._field.value else "")
            hints.append("  ")
        self.query_one("#command-hints", Static).update(hints)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say what it may become."""
        event.stop()
        if self.display:
            self._hint()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter gives the line; an empty one only closes."""
        event.stop()
        line = event.value.strip()
        self.close()
        if not line:
            return
        if self._history is not None:
            self._history.add(line)
            lines, path = self._history.lines, self.app.workspace.state / HISTORY_FILE
            self.app.in_background(lambda: write_history(path, lines), lambda _done: None)
        self.post_message(self.Given(line))

    def on_key(self, event: events.Key) -> None:
        """Keys that a field leaves alone."""
        if event.key not in ("escape", "tab", "shift+tab", "up", "down"):
            return
        event.stop()
        event.prevent_default()
        match event.key:
            case "escape":
                self.close()
            case "tab":
                self._complete(1)
            case "shift+tab":
                self._complete(-1)
            case "up" if self._history is not None:
                self._put(self._history.older(self._field.value))
            case "down" if self._history is not None:
                self._put(self._history.newer(self._field.value))

    def on_descendant_blur(self) -> None:
        """A line that nobody types in is in the way."""
        self.call_after_refresh(self._close_unless_typed_in)

    def _close_unless_typed_in(self) -> None:
        if self.is_attached and self.display and self.screen.is_current and not self.has_focus_within:
            self._came_from = self.screen.focused
            self.close()

    @property
    def walking(self) -> bool:
        """Whether tab put there what stands there now."""
        return self._at < len(self._offered) and self._offered[self._at] == self._field.value

    def _complete(self, step: int) -> None:
        """As far as all choices agree; where they agree no further, one of them after another, or back (-1)."""
        typed = self._field.value
        if self.walking:
            self._at = (self._at + step) % len(self._offered)
            self._put(self._offered[self._at])
            return
        choices = [line for line in self.choices() if line.startswith(typed)] or self.choices()
        if not choices:
            return
        further = common_start(choices)
        if len(further) > len(typed):
            self._put(further)
            return
        self._offered, self._at = choices, 0 if step > 0 else len(choices) - 1
        if choices[self._at] == typed:
            self._at = (self._at + step) % len(choices)
        self._put(choices[self._at])

    def _put(self, line: str) -> None:
        self._field.value = line
        self._field.cursor_position = len(line)


class _Ghost(Suggester):
    """The likeliest line, dim behind the cursor; the right arrow takes it."""

    def __init__(self, line: CommandLine) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._line = line

    async def get_suggestion(self, value: str) -> str | None:
        """The first choice that goes on from what is typed; none while tab walks through them."""
        if self._line.walking:
            return None
        return next((each for each in self._line.choices() if value and each.startswith(value) and each != value), None)
