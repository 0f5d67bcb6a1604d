"""A line to type in that no paste can hold up: it takes as much as a person types, and says when that is not all."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widgets import Input

from console.language import _
from console.widgets.field import Field

LONGEST = 1_000
"""Characters. A terminal without bracketed paste sends a paste key by key, and every key costs the whole line anew."""
QUIET_S = 5.0


class TypedLine(Field):
    """Queries, filters, commands."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, max_length=LONGEST, **options)
        self._told = False

    def on_paste(self, event: events.Paste) -> None:
        """Put all of it in at once, on one line, as far as it fits: it is read once, not letter by letter."""
        event.stop()
        event.prevent_default()
        text, (start, end) = " ".join(event.text.splitlines()), sorted(self.selection)
        room = LONGEST - len(self.value) + (end - start)
        if text[:room]:
            self.replace(text[:room], start, end)
        if len(text) > room:
            self.restricted()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Of keys that came in one go only the last is news: whoever listens works through the line once for all."""
        if event.value != self.value:
            event.stop()

    def restricted(self) -> None:
        """Say once, not for every key, that more does not fit."""
        if self._told:
            return
        self._told = True
        self.set_timer(QUIET_S, self._forget)
        text = _("more than {n} characters do not fit here").format(n=LONGEST)
        self.notify(text, severity="warning", markup=False)

    def _forget(self) -> None:
        self._told = False
