"""Which lines of a log are in sight on a screen of some rows: following the end, or standing where the operator went.

It scrolls by lines and never asks for the height of a line that is out of sight, so wrapping a hundred thousand lines
costs what wrapping forty does.
"""

from __future__ import annotations

from rich.cells import cell_len, chop_cells

from console.models.log_pane import LogPane


class Sight:
    """A window onto a pane's lines. Lines are told by their numbers, so it stands still while others come and go."""

    def __init__(self, pane: LogPane) -> None:
        self.pane = pane
        self.height = 0
        """Rows of the screen."""
        self.room = 1
        """Cells for the text of a line."""
        self.wrap = False
        self.following = True
        self.cursor = 0
        """Number of the line under the cursor; while following, the newest."""
        self.rows: list[tuple[int, int]] = []
        """For each row in sight: a line's number, and which of its wrapped rows."""
        self.thumb = (0, 0)
        """Rows in which the mark of the scroll bar begins and ends; (0, 0) when all is in sight."""
        self._top, self._top_part = 0, 0

    def parts(self, text: str) -> list[str]:
        """A line's text as it is wrapped."""
        if text.isascii():
            return [text[at : at + self.room] for at in range(0, len(text), self.room)] or [""]
        return chop_cells(text, self.room) or [""]

    def _height_of(self, number: int) -> int:
        if not self.wrap:
            return 1
        text = self.pane.buffer.text(number)
        if text.isascii():
            return -(-len(text) // self.room) or 1
        return len(self.parts(text)) if cell_len(text) > self.room else 1

    def arrange(self) -> bool:
        """Find out what is in sight; returns whether that is something else than before."""
        pane, before = self.pane, (self.rows, self.thumb)
        count = len(pane)
        if not count or not self.height:
            self.rows, self.thumb = [], (0, 0)
            if not count:
                self.cursor = pane.buffer.end
            else:  # without room for a line the cursor is still on one: keys ask what it says
                self.cursor = pane.at(count - 1 if self.following else pane.row_of(self.cursor))
            return before != (self.rows, self.thumb)
        if self.following:
            self.cursor = pane.at(count - 1)
            self.rows = self._up_from(count - 1, self.height)
        else:
            self.cursor = pane.at(pane.row_of(self.cursor))
            if not pane.shows(self._top):
                self._top, self._top_part = pane.at(pane.row_of(self._top)), 0
            self.rows = self._down_from(pane.row_of(self._top), self._top_part, self.height)
            if len(self.rows) < self.height:
                self.rows = self._up_from(count - 1, self.height)
        self._top, self._top_part = self.rows[0]
        self.thumb = self._thumb(pane.row_of(self._top), count)
        return before != (self.rows, self.thumb)

    def _down_from(self, row: int, skip: int, height: int) -> list[tuple[int, int]]:
        rows: list[tuple[int, int]] = []
        for index in range(row, len(self.pane)):
            number = self.pane.at(index)
            rows += [(number, part) for part in range(skip, self._height_of(number))]
            skip = 0
            if len(rows) >= height:
                break
        return rows[:height]

    def _up_from(self, row: int, height: int) -> list[tuple[int, int]]:
        rows: list[tuple[int, int]] = []
        for index in range(row, -1, -1):
            number = self.pane.at(index)
            rows += [(number, part) for part in reversed(range(self._height_of(number)))]
            if len(rows) >= height:
                break
        return rows[:height][::-1]

    def _thumb(self, row: int, count: int) -> tuple[int, int]:
        if count <= self.height and len(self.rows) <= count:
            return (0, 0)
        length = max(1, self.height * self.height // max(count, self.height + 1))
        start = round(row / max(1, count - self.height) * (self.height - length)) if not self.following else self.height
        start = max(0, min(start, self.height - length))
        return start, start + length

    def move_to(self, number: int) -> bool:
        """Put the cursor on a line, scrolling as far as it takes; returns whether other lines are in sight now."""
        pane = self.pane
        if not len(pane):
            return False
        row = pane.row_of(number)
        self.cursor = pane.at(row)
        if (self.cursor, 0) not in self.rows:
            first = pane.row_of(self.rows[0][0]) if self.rows else 0
            last = pane.row_of(self.rows[-1][0]) if self.rows else 0
            if row == first - 1:
                self._top, self._top_part = self.cursor, 0
            else:
                height = self.height if row == last + 1 else max(1, self.height // 2)
                self._top, self._top_part = self._up_from(row, height)[0]
                self._top_part *= self._top != self.cursor  # a line that is taller than that begins at the top
        return self.arrange()

    def scroll(self, lines: int) -> bool:
        """See what is further down or up; the cursor stays. Returns whether other lines are in sight now."""
        pane = self.pane
        if not len(pane):
            return False
        row = min(max(0, pane.row_of(self._top) + lines), len(pane) - 1)
        self._top, self._top_part = pane.at(row), 0
        return self.arrange()

    @property
    def at_end(self) -> bool:
        """Whether the newest line is in sight."""
        return not self.rows or self.rows[-1][0] == self.pane.at(len(self.pane) - 1)
