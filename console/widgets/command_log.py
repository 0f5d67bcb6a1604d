"""`@`: what the console ran, newest first, as it is typed in a shell; and the calls to the cloud behind it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from console.errors import WrongInput
from console.language import _, ngettext
from console.models.command_log import CloudCall, Ran, read_calls
from console.spoken import brief
from console.widgets.copy_menu import copy_text
from console.widgets.dialog import Dialog
from console.widgets.options import Options
from console.words import visible

if TYPE_CHECKING:
    from console.app import SpotterApp

SHOWN = 500
LONGEST_LINE = 1_000
"""Characters that are drawn of a line; what is copied is whole."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the pane."""

    drawn: Text
    copied: str


def command_line(entry: Ran) -> LogLine:
    """A command: when, how it ended, how long it took, the line, what for. A sign stands beside every colour."""
    if entry.exit_code is not None:
        end, style = (f"✓ {entry.exit_code}", "green") if entry.exit_code == 0 else (f"✗ {entry.exit_code}", "bold red")
    else:
        end, style = ("…", "yellow") if entry.waited_for else ("·", "dim")
    took = brief(entry.seconds) if entry.seconds is not None else ""
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{_clock(entry.at)} ", style="dim")
    text.append(f"{end:<5}", style=style)
    text.append(f"{took:>8}  ", style="dim")
    text.append(visible(entry.line[:LONGEST_LINE]))
    text.append(f"  {visible(entry.note)}", style="dim")
    return LogLine(text, entry.line)


def call_line(call: CloudCall) -> LogLine:
    """A call to the cloud."""
    good = call.status.startswith("2")
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{_clock(call.at)} ", style="dim")
    text.append(f"{'✓' if good else '✗'} {visible(call.status)[:12]:<5}", style="green" if good else "bold red")
    text.append(f"{call.milliseconds:>6.0f}ms  ", style="dim")
    text.append(visible(call.line[:LONGEST_LINE]))
    return LogLine(text, call.line)


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


class CommandLogPane(Dialog[None]):
    """Commands; tab shows the calls to the cloud instead. Enter copies the line."""

    app: SpotterApp

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[LogLine] = []
        self._of_cloud = False

    def compose(self) -> ComposeResult:
        """Title, lines, what can be done."""
        with Vertical(id="command-log"):
            yield Static("", id="command-log-title", markup=False)
            yield Options(id="command-log-lines")
            yield Static(Text(_("enter copies · tab commands or calls · esc closes"), style="dim"))

    def on_mount(self) -> None:
        """The commands first; what still runs gets its end while the pane is open."""
        self._draw_commands()
        self.query_one(OptionList).focus()
        self.set_interval(1.0, self._look_again)

    def _look_again(self) -> None:
        if not self._of_cloud:
            lines = [command_line(entry) for entry in reversed(self.app.commands.entries)][:SHOWN]
            if [line.drawn for line in lines] != [line.drawn for line in self._lines]:
                self._draw_commands()

    def _draw_commands(self) -> None:
        entries = self.app.commands.entries
        title = ngettext("{n} command of this console", "{n} commands of this console", len(entries))
        self._draw([command_line(entry) for entry in reversed(entries)][:SHOWN], title.format(n=len(entries)))

    def _read_calls(self) -> tuple[list[CloudCall], bool]:
        """The calls, and whether there would be more lines if there had been more calls."""
        calls = read_calls(self.app.workspace.cloud_calls)
        try:
            return calls, self.app.session().notes_calls
        except WrongInput:  # settings that cannot be read are told where they are wanted
            return calls, True

    def _draw_calls(self, read: tuple[Sequence[CloudCall], bool]) -> None:
        if not self.is_attached or not self._of_cloud:
            return
        calls, noted = read
        title = ngettext("{n} call to the cloud", "the last {n} calls to the cloud", len(calls)).format(n=len(calls))
        if not noted:
            only = _("calls to the local cloud are not noted")
            title = f"{title} · {only}" if calls else only
        self._draw([call_line(call) for call in reversed(calls)][:SHOWN], title)

    def _draw(self, lines: list[LogLine], title: str) -> None:
        table = self.query_one(OptionList)
        at = table.highlighted
        moved = len(lines) - len(self._lines) if self._lines else 0
        self._lines = lines
        table.clear_options()
        table.add_options([Option(line.drawn) for line in lines])
        if lines:
            table.highlighted = 0 if at is None else min(len(lines) - 1, max(0, at + moved if at else 0))
        head = Text(title, style="bold")
        if self.app.commands.trouble:
            head.append(f"  ✗ {visible(self.app.commands.trouble)}", style="bold red")
        self.query_one("#command-log-title", Static).update(head)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Copy the line, whole, without its time and end."""
        event.stop()
        copy_text(self.app, self._lines[event.option_index].copied, self._lines[event.option_index].copied)

    def on_key(self, event: events.Key) -> None:
        """Moving as in every list, the other list, and the way out."""
        table = self.query_one(OptionList)
        keys = {
            "j": table.action_cursor_down,
            "k": table.action_cursor_up,
            "g": table.action_first,
            "G": table.action_last,
            "ctrl+d": table.action_page_down,
            "ctrl+u": table.action_page_up,
            "tab": self._other,
            "escape": self._close,
            "q": self._close,
            "at": self._close,
        }
        if event.key in keys:
            event.stop()
            event.prevent_default()
            keys[event.key]()

    def _close(self) -> None:
        self.dismiss(None)

    def _other(self) -> None:
        self._of_cloud = not self._of_cloud
        self._lines = []
        if self._of_cloud:
            self.app.in_background(self._read_calls, self._draw_calls)
        else:
            self._draw_commands()
