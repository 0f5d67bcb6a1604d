"""Before the operator leaves machines that go on costing money: which, until when, and what can be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Static

from console.language import _
from console.widgets.dialog import Dialog

Leaving = Literal["stay", "guard", "stop", "leave"]


class Leave(Dialog[Leaving]):
    """Lists what goes on; staying has the focus."""

    BINDINGS = [  # noqa: RUF012
        Binding("escape,n", "answer('stay')", "Stay", show=False),
        Binding("a", "answer('guard')", show=False),
        Binding("X", "answer('stop')", show=False),
        Binding("q,y", "answer('leave')", show=False),
        Binding("right", "app.focus_next", show=False),
        Binding("left", "app.focus_previous", show=False),
    ]

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__()
        self._sentences = sentences

    def compose(self) -> ComposeResult:
        """What goes on, then the four ways."""
        with Vertical(id="confirm"):
            yield Static(Text(_("Leave? These go on without the console:")), id="confirm-title")
            with VerticalScroll(id="confirm-detail", can_focus=False):
                yield Static(Text("\n".join(self._sentences)))
            with Horizontal(id="confirm-answers"):
                yield Button(Text(_("Stay (n)")), id="stay")
                yield Button(Text(_("Guards (a)")), id="guard")
                yield Button(Text(_("Stop (X)")), id="stop", variant="warning")
                yield Button(Text(_("Leave (q)")), id="leave", variant="primary")

    def on_mount(self) -> None:
        """Staying loses nothing; the console may end before it is drawn."""
        for answer in self.query("#stay"):
            answer.focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Any of the four closes it."""
        self.action_answer(event.button.id or "stay")

    def action_answer(self, way: str) -> None:
        """Answer by key."""
        ways: tuple[Leaving, ...] = ("stay", "guard", "stop", "leave")
        self.dismiss(next(each for each in ways if each == way))
