"""The answer to the query: claims with their citations, or the best passages; each opens its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from console.language import _
from console.models.index_answer import AnswerEntry, Source, entries, foot, plain
from console.screens.index_list import KeyedList
from console.widgets.dialog import Dialog
from console.words import visible

if TYPE_CHECKING:
    from console.app import SpotterApp


class AnswerPane(Dialog[None]):
    """Waits for an answer, shows it; esc closes it, and an answer that comes later is dropped."""

    app: SpotterApp
    BINDINGS = [  # noqa: RUF012
        Binding("escape,q", "dismiss(None)", show=False),
        Binding("y", "copy", show=False),
    ]

    def __init__(self, question: str, opens: Callable[[Source], None]) -> None:
        super().__init__()
        self._question = question
        self._opens = opens
        self._told: Mapping[str, Any] | None = None
        self._entries: list[AnswerEntry] = []

    def compose(self) -> ComposeResult:
        """Question, answer, what happened."""
        with Vertical(id="answer"):
            yield Static(Text(visible(self._question[:400]), style="bold"), id="answer-question", markup=False)
            yield KeyedList("answer-entries")
            yield Static(_("looking for it … esc gives up"), id="answer-note", markup=False)
            yield Static(Text(_("enter opens the page · y copies · esc closes"), style="dim"), markup=False)

    def on_mount(self) -> None:
        """Keys go to the list; an answer that came before the pane was there is shown."""
        for each in self.query(KeyedList):
            each.focus()
        if self._told is not None:
            self._draw(self._told)

    def show(self, told: Mapping[str, Any]) -> None:
        """Show an answer."""
        self._told = told
        if self.is_mounted:
            self._draw(told)

    def _draw(self, told: Mapping[str, Any]) -> None:
        self._entries = entries(told)
        options = [
            Option(entry.text, id=str(at), disabled=entry.source is None) for at, entry in enumerate(self._entries)
        ]
        for each in self.query(KeyedList):  # there is none any more while the console leaves
            each.show(options)
        for note in self.query("#answer-note").results(Static):
            note.update(foot(told))

    def fail(self, reason: str) -> None:
        """Say why there is no answer."""
        for note in self.query("#answer-note").results(Static):
            note.update(Text(visible(reason), style="bold"))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open the page of what is marked."""
        event.stop()
        source = self._entries[event.option_index].source
        if source is not None:
            self._opens(source)

    def action_copy(self) -> None:
        """Copy the whole answer."""
        if self._told is not None:
            self.app.copy_to_clipboard(plain(self._told))
            self.app.say(_("copied"))
