"""A question before anything that costs money or loses data."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static


class Confirm(ModalScreen[bool]):
    """Asks; Cancel has the focus. With `typed`, the operator must type these characters to go on."""

    BINDINGS = [  # noqa: RUF012
        Binding("escape,n", "answer(False)", "Cancel", show=False),
        Binding("y", "agree", show=False),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, title: str, detail: str, verb: str, typed: str | None = None) -> None:
        super().__init__()
        self._title = title
        self._detail = detail
        self._verb = verb
        self._typed = typed

    def compose(self) -> ComposeResult:
        """Title, what is at stake, the field if any, the two answers."""
        with Vertical(id="confirm"):
            yield Static(self._title, id="confirm-title", markup=False)
            yield Static(self._detail, id="confirm-detail", markup=False)
            if self._typed:
                yield Input(placeholder=f"type {self._typed} to go on", id="confirm-typed")
            with Horizontal(id="confirm-answers"):
                yield Button("Cancel (n)", id="cancel")
                yield Button(
                    self._verb if self._typed else f"{self._verb} (y)",
                    id="go",
                    variant="error",
                    disabled=self._typed is not None,
                )

    def on_mount(self) -> None:
        """The less destructive answer is the one under the fingers."""
        self.query_one("#confirm-typed" if self._typed else "#cancel").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The answer opens once the right characters are typed."""
        self.query_one("#go", Button).disabled = event.value.strip() != self._typed

    def on_input_submitted(self) -> None:
        """Enter answers only when the characters are right."""
        if not self.query_one("#go", Button).disabled:
            self.dismiss(True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Either answer closes the question."""
        self.dismiss(event.button.id == "go")

    def action_agree(self) -> None:
        """Yes by key, where no characters have to be typed."""
        if self._typed is None:
            self.dismiss(True)

    def action_answer(self, value: bool) -> None:
        """Answer by key."""
        self.dismiss(value)
