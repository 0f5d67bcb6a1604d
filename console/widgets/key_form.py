"""A key typed hidden, and a second, explicit yes before it is written."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from console.language import _
from console.models.api_key import SecretWrong, checked_key
from console.widgets.dialog import Dialog
from console.widgets.field import Field


class KeyForm(Dialog[str | None]):
    """Answers with the key, or None. Enter in the field shows what will be written; Cancel has the focus then."""

    BINDINGS = [  # noqa: RUF012
        Binding("escape", "cancel", show=False),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, name: str, file: Path) -> None:
        super().__init__()
        self._variable = name
        self._file = file

    def compose(self) -> ComposeResult:
        """What it is for, the field, what is wrong with it, and the two answers."""
        with Vertical(id="key-form"):
            yield Static(Text(_("A vast.ai key"), style="bold"))
            yield Static(
                Text(
                    _(
                        "Make one at https://cloud.vast.ai/manage-keys/ and paste it here. It is not shown, goes into "
                        "{file}, which only you may read, and never into a log or a command line. "
                        "Nothing is rented by it."
                    ).format(file=self._file)
                )
            )
            yield Field(password=True, placeholder=self._variable, id="key-field")
            yield Static("", id="key-verdict", markup=False)
            with Horizontal(id="key-answers"):
                yield Button(Text(_("Cancel")), id="cancel")
                yield Button(Text(_("Write it")), id="go", variant="primary", disabled=True)

    def on_mount(self) -> None:
        """The keyboard is on the field."""
        self.query_one("#key-field").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Whatever is typed anew has to be agreed to anew."""
        event.stop()
        self.query_one("#go", Button).disabled = True
        self.query_one("#key-verdict", Static).update("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter asks; it does not write."""
        event.stop()
        verdict = self.query_one("#key-verdict", Static)
        try:
            key = checked_key(event.value)
        except SecretWrong as error:
            verdict.update(Text.assemble((f"✗ {error}", "red")))
            return
        verdict.update(
            Text(
                _("{name}, {n} characters, into {file}: write it?").format(
                    name=self._variable, n=len(key), file=self._file
                )
            )
        )
        self.query_one("#go", Button).disabled = False
        self.query_one("#cancel", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Only the second button writes."""
        event.stop()
        value = self.query_one("#key-field", Input).value
        self.dismiss(checked_key(value) if event.button.id == "go" else None)

    def action_cancel(self) -> None:
        """Nothing is written."""
        self.dismiss(None)
