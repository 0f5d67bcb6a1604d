"""A picture that follows what is marked: drawn in a thread a moment after the mark rests, and remembered."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from rich.text import Text
from textual.timer import Timer
from textual.widgets import Static

from console.language import _
from console.widgets.picture import Picture, Shot, draw

if TYPE_CHECKING:
    from console.app import SpotterApp

REST_S = 0.13
"""A held key passes many rows; only where it rests is a picture drawn."""
KEPT = 48
"""Drawn pictures that are kept; one of 60 × 40 cells takes some hundred kilobytes."""
SMALLEST = 4
"""Cells a side, below which nothing could be told."""
Key = tuple[Shot, int, int]


class Preview(Static):
    """One picture in the room that it has. It is shown whole, and shrinks to what it needs."""

    app: SpotterApp

    def __init__(self, *, id: str | None = None, rest_s: float = REST_S) -> None:  # noqa: A002
        super().__init__("", id=id, markup=False, classes="picture")
        self.shown = True
        """Whether pictures are drawn at all; off, their place says what would be there."""
        self.shot: Shot | None = None
        self._rest_s = rest_s
        self._room = (0, 0)
        self._words = ""
        self._timer: Timer | None = None
        self._number = 0
        self._kept: OrderedDict[Key, Picture] = OrderedDict()

    def look_at(self, shot: Shot | None, columns: int, lines: int, words: str = "") -> None:
        """Show a shot in at most so many cells; `words` stand where there is none."""
        self.shot, self._room, self._words = shot, (columns, lines), words
        self._number += 1
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if shot is None or columns < SMALLEST or lines < SMALLEST:
            self._say(words)
        elif not self.shown:
            self._say(_("Pictures are off: i shows them, o opens {name}.").format(name=shot.path.name))
        elif self.app.no_color:
            self._say(_("Pictures need colour: o opens {name}.").format(name=shot.path.name))
        elif (known := self._kept.get((shot, columns, lines))) is not None:
            self._kept.move_to_end((shot, columns, lines))
            self._show(known)
        else:
            self._timer = self.set_timer(self._rest_s, self._ask)

    def toggle(self) -> bool:
        """Pictures on or off; returns which."""
        self.shown = not self.shown
        self.look_at(self.shot, *self._room, self._words)
        return self.shown

    def forget(self) -> None:
        """Draw anew what is asked for from now on: files may have changed."""
        self._kept.clear()

    def _ask(self) -> None:
        shot, (columns, lines), number = self.shot, self._room, self._number
        if shot is None:
            return

        def work() -> Picture | str:
            try:
                return draw(shot, columns, lines)
            except OSError as error:
                return str(error)

        def done(answer: Picture | str) -> None:
            if isinstance(answer, Picture):
                self._kept[shot, columns, lines] = answer
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            if number != self._number or not self.is_attached:
                return  # the mark has moved on meanwhile
            if isinstance(answer, Picture):
                self._show(answer)
            else:
                self._say(_("The picture cannot be shown: {reason}").format(reason=answer))

        self.app.in_background(work, done)

    def _show(self, picture: Picture) -> None:
        self.styles.width, self.styles.height = picture.columns, picture.lines
        self.update(picture.drawn)

    def _say(self, words: str) -> None:
        self.styles.width, self.styles.height = "1fr", "auto"
        self.update(Text(words, style="dim"))
