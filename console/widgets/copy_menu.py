"""The copy menu: what of the row under the cursor can be copied, each by a key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from console.language import _
from console.widgets.dialog import Dialog
from console.widgets.options import Options
from console.words import visible

if TYPE_CHECKING:
    from console.app import SpotterApp
    from console.screens.view import Copyable

KEYS = "123456789abcdefhilmnoprstuvwxz"
"""One a line; j, k, g, y and q do here what they do elsewhere."""


def copy_text(app: SpotterApp, text: str, label: str) -> None:
    """Copy a text: by the terminal, which also works over SSH, and by this machine's own clipboard where it has one."""
    from console.operations.clipboard import copy_locally

    app.copy_to_clipboard(text)
    said = _("copied: {what}").format(what=visible(label))
    app.in_background(partial(copy_locally, text), lambda _there: app.say(said))


class CopyMenu(Dialog[None]):
    """A list with a key a line; enter or the key copies and closes."""

    app: SpotterApp

    def __init__(self, copies: Sequence[Copyable]) -> None:
        super().__init__()
        self._copies = tuple(copies)

    def compose(self) -> ComposeResult:
        """The list, or why there is none."""
        with Vertical(id="copy-menu"):
            yield Static(Text(_("Copy"), style="bold"))
            if self._copies:
                yield Options(*map(self._option, range(len(self._copies))), id="copy-list")
            else:
                yield Static(Text(_("There is nothing to copy here."), style="dim"))
            yield Static(Text(_("a key or enter copies · esc closes"), style="dim"))

    def _option(self, number: int) -> Option:
        copyable = self._copies[number]
        key = KEYS[number] if number < len(KEYS) else " "
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{key}  ", style="bold")
        line.append(visible(copyable.label))
        line.append(f"  {visible(copyable.text[:200])}", style="dim")
        return Option(line)

    def on_mount(self) -> None:
        """The keyboard is on the list."""
        for each in self.query(OptionList):
            each.focus()

    def on_key(self, event: events.Key) -> None:
        """A line's own key, the lists' keys, and the way out."""
        if not self.is_current:
            event.stop()
            return  # the key before closed it: this one is for nobody, not for a console that may be leaving
        if event.key in ("escape", "q", "y"):
            event.stop()
            self.dismiss(None)
            return
        for each in self.query(OptionList):
            moves = {
                "j": each.action_cursor_down,
                "k": each.action_cursor_up,
                "g": each.action_first,
                "G": each.action_last,
            }
            if event.key in moves:
                event.stop()
                moves[event.key]()
            elif event.character and event.character in KEYS[: len(self._copies)]:
                event.stop()
                self._copy(KEYS.index(event.character))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click on a line."""
        event.stop()
        self._copy(event.option_index)

    def _copy(self, number: int) -> None:
        chosen = self._copies[number]
        self.dismiss(None)
        copy_text(self.app, chosen.text, chosen.label)
