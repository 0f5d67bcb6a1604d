"""The help page: what every key does in the view that was left, and everywhere."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from console.actions import EVERYWHERE, Action, actions_of

_KEY_NAMES = {"question_mark": "?", "slash": "/", "escape": "esc", "f1": "F1"}


def key_names(action: Action) -> str:
    """The keys as they stand on a keyboard."""
    return " ".join(_KEY_NAMES.get(key, key) for key in action.keys.split(","))


def help_table(view: str) -> Table:
    """The actions of `view` first, then those offered everywhere."""
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right", style="bold")
    table.add_column(ratio=3)
    table.add_column(ratio=2, style="dim")
    for name in (view, EVERYWHERE):
        rows = actions_of(name)
        if not rows:
            continue
        table.add_row("", Text(name.capitalize(), style="bold underline"), "")
        for action in rows:
            table.add_row(Text(key_names(action)), Text(action.help), Text(action.command))
        table.add_row("", "", "")
    return table


class Help(ModalScreen[None]):
    """Shown over any view; any of its keys closes it."""

    BINDINGS = [Binding("escape,question_mark,f1,q", "dismiss(None)", "Close", show=False)]  # noqa: RUF012

    def __init__(self, view: str) -> None:
        super().__init__()
        self._view = view

    def compose(self) -> ComposeResult:
        """One scrollable table."""
        with VerticalScroll(id="help"):
            yield Static(Text("Keys", style="bold"), id="help-title")
            yield Static(help_table(self._view))
            yield Static(Text("The right column is the same thing typed in a shell.  esc closes.", style="dim"))
