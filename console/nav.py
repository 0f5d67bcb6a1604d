"""Where the operator was: views and what they showed, back and forward, as in a browser."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 50


@dataclass(frozen=True, slots=True)
class Place:
    """A view and what was asked of it: `runs` `state=failed`."""

    view: str
    argument: str = ""


class History:
    """Places in the order in which they were visited; going somewhere new forgets what lay ahead."""

    def __init__(self, start: Place) -> None:
        self._places = [start]
        self._at = 0
        self._last: Place | None = None

    @property
    def here(self) -> Place:
        """Where the operator is."""
        return self._places[self._at]

    def visit(self, place: Place) -> None:
        """Go somewhere."""
        if place == self.here:
            return
        self._last = self.here
        self._places = [*self._places[: self._at + 1], place][-LONGEST:]
        self._at = len(self._places) - 1

    def back(self) -> Place | None:
        """The place before this one; None at the beginning."""
        return self._step(-1)

    def forward(self) -> Place | None:
        """The place that `back` left; None at the end."""
        return self._step(1)

    def last(self) -> Place | None:
        """The place that was left last, whichever way: pressing it twice comes back."""
        if self._last is None:
            return None
        self.visit(self._last)
        return self.here

    def _step(self, by: int) -> Place | None:
        if not 0 <= self._at + by < len(self._places):
            return None
        self._last = self.here
        self._at += by
        return self.here
