"""A form that fits a small screen: one line a field, one place to type, what is wrong and what the field means below.

Keys only: up and down go from field to field, space or enter turns a switch or a choice, enter opens a value for typing
and takes it, esc leaves it as it was.
"""

from __future__ import annotations

from typing import Any, Protocol

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from console.models.parameter_form import FieldState, FormField, as_typed
from console.widgets.field import Field
from console.widgets.field_list import FieldList, field_doc
from console.words import visible


class Choices(Protocol):
    """What a form is about: lines, and what they say."""

    def states(self) -> list[FieldState]:
        """Every line with what it says now."""

    def set(self, field: FormField, value: Any) -> None:
        """Say something."""

    def reset(self, field: FormField) -> None:
        """Say the default again."""

    def read(self, field: FormField, text: str) -> Any:
        """What typed text says; ValueError when nothing."""

    def cycled(self, field: FormField, step: int) -> Any:
        """The next value of a switch or a choice."""

    def problem(self) -> str:
        """What is wrong, or nothing."""


class FieldForm(Vertical):
    """The lines of a form, the place to type, and what is to be known of the marked field."""

    class Changed(Message):
        """Something else is chosen now."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._choices: Choices | None = None
        self._edited: FormField | None = None
        self._value_before: Any = None
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Lines, field, words."""
        yield FieldList()
        yield Field(id="field-edit", compact=True, select_on_focus=False)
        yield Static("", id="field-doc", markup=False)

    def on_mount(self) -> None:
        """Nothing is typed yet."""
        self.query_one(Input).display = False

    @property
    def list(self) -> FieldList:
        """The lines."""
        return self.query_one(FieldList)

    @property
    def editing(self) -> bool:
        """Whether a value is being typed."""
        return self._edited is not None

    def load(self, choices: Choices) -> None:
        """Show a form from its beginning."""
        self._choices = choices
        self.close_edit()
        self.redraw()
        self.list.action_first()

    def redraw(self) -> None:
        """Draw what is chosen now."""
        if self._choices is not None:
            self.list.show(self._choices.states())

    def on_field_list_marked(self, event: FieldList.Marked) -> None:
        """Tell of the field under the cursor."""
        event.stop()
        self._tell()

    def _tell(self, problem: str | None = None) -> None:
        """Say what the marked field means, below what is wrong; without a word on that it stays as it is."""
        self._problem = self._problem if problem is None else problem
        text = field_doc(self.list.marked)
        if self._problem:
            text = Text.assemble((f"✗ {visible(self._problem)}\n", "bold red"), text)
        self.query_one("#field-doc", Static).update(text)

    def on_field_list_turned(self, event: FieldList.Turned) -> None:
        """Turn the marked switch or choice."""
        event.stop()
        marked = self.list.marked
        if marked is None or self._choices is None:
            return
        self._choices.set(marked.field, self._choices.cycled(marked.field, event.step))
        self._changed()

    def _changed(self) -> None:
        self.redraw()
        self._tell(self._choices.problem() if self._choices is not None else "")
        self.post_message(self.Changed())

    def on_field_list_edited(self, event: FieldList.Edited) -> None:
        """Open the place to type."""
        event.stop()
        marked = self.list.marked
        if marked is None:
            return
        self._edited = marked.field
        self._value_before = marked.value
        field = self.query_one(Input)
        field.border_title = marked.field.path
        field.value = "" if marked.value is None else _typed(marked)
        field.cursor_position = len(field.value)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Every key is checked by the model itself."""
        event.stop()
        if self._edited is not None:
            self._tell(self._try(event.value))
            self.redraw()
            self.post_message(self.Changed())

    def _try(self, text: str) -> str:
        """Say what is typed; what is wrong with it, in the model's own sentence."""
        field, choices = self._edited, self._choices
        if field is None or choices is None:
            return ""
        try:
            value = choices.read(field, text)
        except ValueError as error:
            return str(error)
        choices.set(field, value)
        return choices.problem()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, unless the model refuses it."""
        event.stop()
        problem = self._try(event.value)
        own = self._edited is not None and self._edited.path.removeprefix("run.") in problem
        if problem and (own or not self._parses(event.value)):
            self._tell(problem)
            return
        self.close_edit()
        self._changed()

    def _parses(self, text: str) -> bool:
        field, choices = self._edited, self._choices
        if field is None or choices is None:
            return True
        try:
            choices.read(field, text)
        except ValueError:
            return False
        return True

    def close_edit(self, *, undo: bool = False) -> bool:
        """Leave the place to type; with `undo` the value is as it was. Returns whether it was open."""
        field = self._edited
        if field is None:
            return False
        if undo and self._choices is not None:
            self._choices.set(field, self._value_before)
        self._edited = None
        self.query_one(Input).display = False
        self.list.focus()
        if undo:
            self._changed()
        return True

    def reset_marked(self) -> None:
        """Give the marked field its default again."""
        if self.list.marked is not None and self._choices is not None:
            self._choices.reset(self.list.marked.field)
            self._changed()


def _typed(state: FieldState) -> str:
    return state.value if state.field.kind == "text" else as_typed(state.value)
