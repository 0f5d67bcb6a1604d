"""Which lines of a log are on show: filter, context, window of time; and the way to the next hit, mark or error."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from console.models.log_buffer import LogBuffer
from console.models.log_hits import HitList, Hits
from console.models.log_query import LogQuery
from console.models.log_stamp import Level

CONTEXTS = (0, 3, 10)
"""Lines around a hit, in the order in which the key offers them."""
ALL, HEAD = 0, 1
WINDOWS_S = (0.0, 0.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)
"""By the digit that is pressed: everything at its end, everything at its beginning, then the last so many seconds."""
COMPACT = 10_000


class LogPane:
    """The view's state over one buffer. Not thread-safe: it belongs to the screen's loop."""

    def __init__(self, buffer: LogBuffer) -> None:
        self.buffer = buffer
        self.filtered = HitList(buffer)
        """What the filter keeps."""
        self.found = HitList(buffer)
        """What find points at."""
        self.context = 0
        self.highlight_only = False
        """The filter points at its hits and hides nothing."""
        self.window = ALL
        self._rows: list[int] | None = None
        self._start = 0
        self._seen = 0
        """Lines up to here have their rows."""
        self._reach = -1
        """Lines up to this number are on show because a hit stands shortly before them."""

    # What is on show

    def __len__(self) -> int:
        return len(self.buffer) if self._rows is None else len(self._rows) - self._start

    def at(self, row: int) -> int:
        """The number of the line in a row."""
        return self.buffer.first + row if self._rows is None else self._rows[self._start + row]

    def row_of(self, number: int) -> int:
        """The row of a line, or of the first shown one behind it; the last row when there is none."""
        last = max(0, len(self) - 1)
        if self._rows is None:
            return min(max(0, number - self.buffer.first), last)
        return min(max(0, bisect_left(self._rows, number, self._start) - self._start), last)

    def shows(self, number: int) -> bool:
        """Whether a line is on show."""
        return len(self) > 0 and self.at(self.row_of(number)) == number

    def numbers(self) -> list[int]:
        """All lines on show."""
        return list(range(self.buffer.first, self.buffer.end)) if self._rows is None else self._rows[self._start :]

    @property
    def hiding(self) -> bool:
        """Whether the filter hides lines now."""
        return bool(self.filtered.answers) and not self.highlight_only

    # What changes it

    def took(self, came: int) -> None:
        """`came` lines were drained into the buffer; call it after every drain."""
        first = self.buffer.first
        self.filtered.forget_before(first)
        self.found.forget_before(first)
        if self._rows is not None:
            self._start = bisect_left(self._rows, first, self._start)
            if self._start > COMPACT:
                del self._rows[: self._start]
                self._start = 0
        if not came:
            return
        if not self.found.searching:
            self.found.look()
        if not self.filtered.searching:
            hiding = self.hiding
            new = self.filtered.look()
            if hiding and not self.hiding:  # the search was given up
                self.arrange()
            self._extend(new)
            self._slide()

    def took_older(self) -> None:
        """Lines came before the first: look for the same again, by jobs where there is much to search."""
        self.filtered.ask_again()
        self.found.ask_again()
        if not self.filtered.searching:
            self.arrange()

    def set_filter(self, query: LogQuery) -> None:
        """Show what `query` keeps; when there is much to search, `filtered.job()` is to be run and taken."""
        self.filtered.ask(query)
        if not self.filtered.searching:
            self.arrange()

    def take_filtered(self, hits: Hits) -> bool:
        """Put the answer to a filter's job in force; False when something else was asked meanwhile."""
        if not self.filtered.take(hits):
            return False
        self.arrange()
        return True

    def set_view(
        self, *, context: int | None = None, highlight_only: bool | None = None, window: int | None = None
    ) -> None:
        """Change how the filter's answer is shown; None leaves a part as it is."""
        self.context = self.context if context is None else context
        self.highlight_only = self.highlight_only if highlight_only is None else highlight_only
        self.window = self.window if window is None else window
        self.arrange()

    def arrange(self) -> None:
        """Rows anew from hits, context, marks and window."""
        self._start, self._reach, self._seen = 0, -1, self.buffer.first
        self._rows = [] if self.hiding or self.window > HEAD else None
        if self.hiding:
            self._extend(sorted({*self.filtered.numbers, *self.buffer.marks}))
        else:
            self._extend([])
        self._slide()

    def _extend(self, hits: list[int]) -> None:
        """Rows for lines that have none yet: new hits, and what stands around them; all lines, if none are hidden."""
        rows, start, self._seen = self._rows, max(self._seen, self.buffer.first), self.buffer.end
        if rows is None:
            return
        if not self.hiding:
            rows.extend(range(start, self.buffer.end))
            return
        for hit in hits:
            self._reach_to(min(self._reach, hit - 1))
            last = rows[-1] if rows else -1
            rows.extend(range(max(last + 1, hit - self.context, self.buffer.first), hit + 1))
            self._reach = hit + self.context
        self._reach_to(min(self._reach, self.buffer.end - 1))

    def _reach_to(self, number: int) -> None:
        if self._rows:
            self._rows.extend(range(max(self._rows[-1] + 1, self.buffer.first), number + 1))

    def _slide(self) -> None:
        """Leave out what is older than the window, counted from the newest line: a log that fell silent stays."""
        rows = self._rows
        if rows is None or self.window <= HEAD or not len(self.buffer):
            return
        oldest = self.buffer.stamp(self.buffer.end - 1) - WINDOWS_S[self.window]
        while self._start < len(rows) and self.buffer.stamp(rows[self._start]) < oldest:
            self._start += 1

    # Ways through it

    def mark(self, number: int, now: float) -> bool:
        """Mark a line, or take its mark away; returns whether it is marked now."""
        if self.buffer.marks.pop(number, None) is not None:
            return False
        self.buffer.marks[number] = now
        return True

    def next_mark(self, number: int, step: int) -> int | None:
        """The marked line after (`step` 1) or before (-1) this one, round the end; None if there is none on show."""
        return self._next(sorted(self.buffer.marks), number, step)

    def next_hit(self, number: int, step: int) -> int | None:
        """The hit after (1) or before (-1) this line: of find, or else of the filter; None if there is none on show."""
        return self._next((self.found if self.found.answers else self.filtered).numbers, number, step)

    def next_error(self, number: int) -> int | None:
        """The next shown line that is an error, round the end; None if there is none."""
        return self._next(self.buffer.numbers_of(Level.ERROR), number, 1)

    def _next(self, numbers: list[int], number: int, step: int) -> int | None:
        """The next of some sorted numbers that is on show."""
        if step > 0:
            cut = bisect_right(numbers, number)
            ordered = (*range(cut, len(numbers)), *range(cut))
        else:
            cut = bisect_left(numbers, number)
            ordered = (*reversed(range(cut)), *reversed(range(cut, len(numbers))))
        return next((numbers[index] for index in ordered if self.shows(numbers[index])), None)

    def line_at(self, moment: float) -> int | None:
        """The first shown line written at this moment (Unix seconds) or later, else the last; None without lines."""
        for row in range(len(self)):
            if self.buffer.stamp(self.at(row)) >= moment:
                return self.at(row)
        return self.at(len(self) - 1) if len(self) else None
