"""A line of the shell that is drawn anew often and changes seldom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

if TYPE_CHECKING:
    from console.app import SpotterApp


class ShellLine(Static):
    """Subclasses say what stands on it at a width; only a change reaches the screen."""

    app: SpotterApp

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own name
        super().__init__("", id=id, markup=False)
        self._drawn = Text()

    def line(self, width: int) -> Text:
        """What stands there now, in at most `width` cells where that can be."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Something stands there from the first frame on."""
        self.draw()

    def on_resize(self) -> None:
        """More or less of it fits."""
        self.draw()

    def draw(self) -> None:
        """Draw what is known now."""
        if not self.app.can_tell:
            return  # the view is not laid out yet
        line = self.line(self.size.width or self.app.size.width - self.gutter.width)
        if line != self._drawn:
            self._drawn = line
            self.update(line, layout=False)  # one line stays one line: the screen below need not be measured anew
