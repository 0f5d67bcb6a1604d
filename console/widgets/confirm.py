"""A question before anything that costs money or loses data."""

from __future__ import annotations

import shlex

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, Input, Static

from console.actions.action import Question
from console.language import _, ngettext
from console.widgets.dialog import Dialog
from console.widgets.field import Field
from console.words import visible

COMMANDS_SHOWN = 3


class Confirm(Dialog[bool]):
    """Asks; Cancel has the focus, `y` is yes. Where characters must be typed, nothing else opens the way."""

    BINDINGS = [  # noqa: RUF012
        Binding("escape,n", "answer(False)", "Cancel", show=False),
        Binding("y", "agree", show=False),
        Binding("left,right", "app.focus_next", show=False),
    ]
    EARLY = Dialog.EARLY | {"answer"}  # by key it is always no

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        """Title, what is at stake, what will run, the field if any, the two answers."""
        question = self.question
        with Vertical(id="confirm"):
            yield Static(Text(visible(question.title)), id="confirm-title")
            with VerticalScroll(id="confirm-detail", can_focus=False):
                yield Static(Text(_lines(question.detail)))
                yield Static(_commands(question), id="confirm-commands")
            if question.typed:
                field = Field(id="confirm-typed")
                field.border_title = _("type {characters} to go on").format(characters=question.typed)
                yield field
            with Horizontal(id="confirm-answers"):
                yield Button(Text(_("Cancel (n)")), id="cancel")
                verb = question.verb if question.typed else f"{question.verb} (y)"
                yield Button(Text(verb), id="go", variant="error", disabled=bool(question.typed))

    def on_mount(self) -> None:
        """The less destructive answer is the one under the fingers; a no may come before any is drawn."""
        for answer in self.query("#confirm-typed" if self.question.typed else "#cancel"):
            answer.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """The answer opens once the right characters are typed."""
        self.query_one("#go", Button).disabled = event.value.strip() != self.question.typed
        event.input.border_subtitle = ""

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter answers only when the characters are right, and says so when they are not."""
        if self.query_one("#go", Button).disabled:
            event.input.border_subtitle = _("it is not that; nothing was done")
        else:
            self.dismiss(True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Either answer closes the question."""
        self.dismiss(event.button.id == "go")

    def action_agree(self) -> None:
        """Yes by key, where no characters have to be typed; not before the question can be read."""
        if not self.question.typed and self.is_mounted:
            self.dismiss(True)

    def action_answer(self, value: bool) -> None:
        """Answer by key."""
        self.dismiss(value)


def _lines(text: str) -> str:
    """Its lines are lines; whatever else in it could move the cursor is spelled out."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _commands(question: Question) -> Text:
    """The same thing as it is typed in a shell."""
    lines = [visible(shlex.join(("spotter", *command))) for command in question.commands[:COMMANDS_SHOWN]]
    more = len(question.commands) - len(lines)
    if more > 0:
        lines.append(ngettext("… and {n} more", "… and {n} more", more).format(n=more))
    return Text("\n".join(lines), style="dim")
