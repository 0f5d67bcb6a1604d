"""The panes of the index view: the query, the hits, the facets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.console import Group
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from console.language import N_, _
from console.models.hits import short
from console.models.index_query import Choice
from console.models.index_rows import Entry
from console.widgets.options import Options
from console.widgets.typed_line import TypedLine

_KINDS = {"doc": N_("Documents"), "type": N_("Types"), "tag": N_("Tags"), "run": N_("Runs")}


class Query(TypedLine):
    """The query line: every key that makes a character is one; the arrow down leads to the hits."""

    class Below(Message):
        """The hits are wanted."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("down,ctrl+n", "below", show=False)]

    def __init__(self) -> None:
        words = _('type to search: words, "a phrase", -not, type:… tag:… doc:… page:…')
        super().__init__(placeholder=words, id="query")

    def action_below(self) -> None:
        """Go to the hits."""
        self.post_message(self.Below())


class KeyedList(Options):
    """Entries of any height with the keys of lists; the mark never wraps round, and stays on its entry's key."""

    class Above(Message):
        """The mark would leave the list at its top."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "next", show=False),
        Binding("k,up", "previous", show=False),
        Binding("g", "first", show=False),
        Binding("G", "last", show=False),
        Binding("ctrl+d", "page_down", show=False),
        Binding("ctrl+u", "page_up", show=False),
    ]

    def __init__(self, id: str) -> None:  # noqa: A002
        super().__init__(id=id, markup=False)
        self._keys: list[str] = []

    def show(self, options: Sequence[Option]) -> None:
        """Swap all entries; each needs an id, which is its key."""
        marked = self.marked_key
        self._keys = [option.id or "" for option in options]
        with self.app.batch_update():
            self.clear_options()
            self.add_options(options)
        if marked in self._keys:
            self.highlighted = self._keys.index(marked)
        else:
            self.highlighted = next((at for at, option in enumerate(options) if not option.disabled), None)

    @property
    def marked_key(self) -> str | None:
        """Key of the entry under the mark."""
        at = self.highlighted
        return self._keys[at] if at is not None and at < len(self._keys) else None

    def mark(self, key: str) -> None:
        """Put the mark on an entry, where it is there."""
        if key in self._keys:
            self.highlighted = self._keys.index(key)

    def action_next(self) -> None:
        """The entry below; at the end it stays."""
        if any(not option.disabled for option in self.options[(self.highlighted or 0) + 1 :]):
            self.action_cursor_down()

    def action_previous(self) -> None:
        """The entry above; from the first one out of the list."""
        if any(not option.disabled for option in self.options[: self.highlighted or 0]):
            self.action_cursor_up()
        else:
            self.post_message(self.Above())


class HitList(KeyedList):
    """The hits."""

    def show_entries(self, entries: Sequence[Entry]) -> None:
        """Draw a list."""
        self.show(
            [
                Option(Group(*entry.lines), id=entry.key, disabled=entry.hit is None and not entry.opens)
                for entry in entries
            ]
        )


class FacetList(KeyedList):
    """What the query could be narrowed to, and by what it is narrowed."""

    class Chosen(Message):
        """A choice was made or taken back."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "select", show=False)]

    def __init__(self) -> None:
        super().__init__("facets")
        self._choices: dict[str, Choice] = {}

    def show_choices(self, choices: Sequence[Choice]) -> None:
        """Draw the choices under their kinds."""
        self._choices = {f"{choice.kind}:{choice.value}": choice for choice in choices}
        options: list[Option] = []
        kind = ""
        for key, choice in self._choices.items():
            if choice.kind != kind:
                kind = choice.kind
                options.append(Option(Text(_(_KINDS[kind]), style="bold"), id=f"kind {kind}", disabled=True))
            sign = ("✓ ", "bold green") if choice.chosen else ("  ", "")
            count = (f"{choice.count:>4} ", "dim")
            line = Text.assemble(sign, count, short(choice.value), no_wrap=True, overflow="ellipsis")
            options.append(Option(Group(line), id=key))
        self.show(options)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Hand the choice on."""
        event.stop()
        choice = self._choices.get(event.option_id or "")
        if choice is not None:
            self.post_message(self.Chosen(choice))
