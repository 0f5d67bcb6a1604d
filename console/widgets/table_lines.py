"""The lines of a keyed table, drawn one by one: only lines that look otherwise than before are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.language import _
from console.models.fitting import ELLIPSIS, GUTTER, Place, fit, fit_words, layout
from console.models.marks import Marks
from console.models.rows import Column, Row
from console.words import visible

MARK, PROBLEM, STALE = "●", "!", "~"
WORDS_TOP = 2
"""Words in the rows' place begin on this line: the header, and one free."""
LEAST_HEIGHT = 3
MOST_STRIPS = 2_000
"""Drawn lines that are kept for scrolling back."""


class TableLines(ScrollView, can_focus=True, inherit_bindings=False):
    """Header and rows; what they are, and where cursor and marks stand, belongs to the `KeyedTable` around it."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--cursor",
        "table--cursor-away",
        "table--marked",
        "table--stale",
        "table--sign",
    }
    DEFAULT_CSS = """
    TableLines {
        height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
        background: $background; color: $foreground;
        & > .table--header { background: $panel; color: $foreground; text-style: bold; }
        & > .table--cursor { background: $primary 35%; text-style: bold; }
        & > .table--cursor-away { background: $primary 15%; }
        & > .table--marked { background: $accent 18%; }
        & > .table--stale { text-style: dim; }
        & > .table--sign { color: $warning; text-style: bold; }
        &:nocolor > .table--cursor { text-style: reverse; }
        &:nocolor > .table--cursor-away { text-style: underline; }
    }
    """

    class Clicked(Message):
        """A row was clicked."""

        def __init__(self, place: int, event: events.Click) -> None:
            super().__init__()
            self.place, self.event = place, event

    class HeaderClicked(Message):
        """A column's heading was clicked."""

        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

    def __init__(self, columns: Sequence[Column], marks: Marks) -> None:
        super().__init__()
        self._columns = tuple(columns)
        self._marks = marks
        self._rows: Sequence[Row] = ()
        self._sort: tuple[int | None, bool] = (None, False)
        self._left_out: frozenset[int] = frozenset()
        self._places: tuple[Place, ...] = ()
        self._laid_for: tuple[int, int] = (0, 0)
        self._styles: dict[str, Style] = {}
        self._strips: dict[str, tuple[Row, tuple[object, ...], Strip]] = {}
        self._header: tuple[tuple[object, ...], Strip] | None = None
        self._drawn: dict[int, Strip] = {}
        self._cursor_was = 0
        self._words = ""
        self._wrapped: tuple[tuple[str, int], tuple[Strip, ...]] = (("", 0), ())

    # ---- what the table tells it ----

    def show(self, rows: Sequence[Row], sort: tuple[int | None, bool]) -> None:
        """Rows as they stand from the top down; the marks know their keys in the same order."""
        was_seen = self._sees(self._cursor_was)
        self._rows, self._sort = rows, sort
        self.virtual_size = Size(0, len(rows) + 1)
        if was_seen or not self._drawn:
            self.see_cursor()
        self._cursor_was = self._marks.place
        self.draw_changes()

    def say(self, words: str) -> None:
        """Lines of words in the rows' place; none are drawn where there are rows."""
        if words != self._words:
            self._words = words
            self.draw_changes()

    @property
    def has_room(self) -> bool:
        """Whether words fit under the header."""
        return self.size.height >= LEAST_HEIGHT

    def leave_out(self, columns: frozenset[int]) -> None:
        """Columns that are not drawn now, whatever room there is."""
        if columns != self._left_out:
            self._left_out = columns
            self._laid_for = (0, 0)
            self.draw_changes()

    def see_cursor(self) -> None:
        """Scroll as little as brings the cursor's row on screen."""
        place, height = self._marks.place, max(1, self.size.height - 1)
        top = round(self.scroll_y)
        if place < top:
            self.scroll_to(y=place, animate=False, force=True)
        elif place >= top + height:
            self.scroll_to(y=place - height + 1, animate=False, force=True)
        self._cursor_was = place

    def _sees(self, place: int) -> bool:
        top = round(self.scroll_y)
        return top <= place < top + max(1, self.size.height - 1)

    @property
    def page(self) -> int:
        """Rows that a page moves by."""
        return max(1, self.size.height - 2)

    def draw_changes(self) -> None:
        """Ask to be painted where a line looks otherwise than what was painted last."""
        if not self.size.height:
            return
        width = self.size.width
        regions = [Region(0, y, width, 1) for y in range(self.size.height) if self._drawn.get(y) is not self._line(y)]
        if regions:
            self.refresh(*regions)

    @property
    def shown_columns(self) -> tuple[int, ...]:
        """Indices of the columns on screen."""
        return tuple(place.index for place in self._laid_out())

    # ---- lines ----

    def render_line(self, y: int) -> Strip:
        """One line of the screen: the header, a row, or nothing."""
        strip = self._line(y)
        self._drawn[y] = strip
        return strip

    def _line(self, y: int) -> Strip:
        if y == 0:
            return self._header_line()
        place = round(self.scroll_y) + y - 1
        if not self._rows and 0 <= y - WORDS_TOP < len(words := self._word_lines()):
            return words[y - WORDS_TOP]
        if place >= len(self._rows):
            return self._blank()
        return self._row_line(self._rows[place])

    def _laid_out(self) -> tuple[Place, ...]:
        """The columns' places, anew where the width changed."""
        wanted = (self.scrollable_content_region.width, self.app.size.width)
        if wanted != self._laid_for:
            self._laid_for = wanted
            self._places = layout(self._columns, *wanted, self._left_out)
            self._strips.clear()
            self._header = None
        return self._places

    def _blank(self) -> Strip:
        key = "\n"  # no row has an empty look, and no key is a line end
        state = (self.size.width,)
        kept = self._strips.get(key)
        if kept is not None and kept[1] == state:
            return kept[2]
        strip = Strip.blank(self.size.width, self._style(""))
        self._strips[key] = (_NO_ROW, state, strip)
        return strip

    def _word_lines(self) -> tuple[Strip, ...]:
        """The words, wrapped; kept, for a line that is the same object is not painted again."""
        width = self.size.width
        if self._wrapped[0] != (self._words, width):
            style = self._style("")
            lines: list[Strip] = []
            for line in self._words.split("\n") if self._words else ():
                text = Text(visible(line))
                for part in text.wrap(self.app.console, max(1, width - 2 * GUTTER)) or [text]:
                    segments = [Segment(" " * GUTTER + part.plain, style)]
                    lines.append(Strip(segments).adjust_cell_length(width, style))
            self._wrapped = ((self._words, width), tuple(lines))
        return self._wrapped[1]

    def _header_line(self) -> Strip:
        places = self._laid_out()
        state = (self._sort, self._laid_for)
        if self._header is not None and self._header[0] == state:
            return self._header[1]
        style = self._style("table--header")
        by, reverse = self._sort
        parts = [" " * GUTTER]
        for place in places:
            column = self._columns[place.index]
            title = _(column.title)
            parts.append(" " * place.gap)
            if place.index == by:
                arrow = "↓" if reverse else "↑"
                title = fit_words(title, min(place.width - 1, len(title))) + arrow if place.width > 1 else arrow
            parts.append(fit_words(title, place.width, right=column.numeric))
        fitting = [
            index for index, column in enumerate(self._columns) if not column.min_screen and index not in self._left_out
        ]
        if len(places) < len(fitting):  # not even the columns for every screen have room
            parts = [fit_words("".join(parts), self._laid_for[0] - 1), ELLIPSIS]
        strip = Strip([Segment("".join(parts), style)]).adjust_cell_length(self.size.width, style)
        self._header = (state, strip)
        return strip

    def _row_line(self, row: Row) -> Strip:
        places = self._laid_out()
        at_cursor = row.key == self._marks.cursor
        marked = row.key in self._marks.marked
        state = (at_cursor and (2 if self.has_focus else 1), marked)
        kept = self._strips.get(row.key)
        if kept is not None and kept[1] == state and (kept[0] is row or kept[0].look == row.look):
            return kept[2]
        base = self._base(state, row)
        sign = base
        if marked or row.problem:
            look = self._style("table--sign")
            sign += Style(color=look.color, bold=look.bold)  # on the row's own ground
        last = STALE if row.stale else " "
        segments = [Segment((MARK if marked else " ") + (PROBLEM if row.problem else last) + " ", sign)]
        for place in places:
            if place.gap:
                segments.append(Segment(" " * place.gap, base))
            segments.extend(self._cell(row.cells[place.index], place, base))
        strip = Strip(segments).adjust_cell_length(self.size.width, base)
        if len(self._strips) > MOST_STRIPS:
            self._strips.clear()
        self._strips[row.key] = (row, state, strip)
        return strip

    def _cell(self, cell: Text, place: Place, base: Style) -> list[Segment]:
        fitted = fit(cell, place.width, right=self._columns[place.index].numeric)
        style = base + self.app.console.get_style(cell.style, default="") if cell.style else base
        if isinstance(fitted, str):
            return [Segment(fitted, style)]
        fitted.style = ""
        return list(Segment.apply_style(fitted.render(self.app.console), style))

    def _base(self, state: tuple[object, ...], row: Row) -> Style:
        """What all of a row is drawn on."""
        at_cursor, marked = state
        style = self._style("")
        if marked:
            style += self._style("table--marked")
        if at_cursor:
            style += self._style("table--cursor" if at_cursor == 2 else "table--cursor-away")
        return style + Style(dim=True) if row.stale else style

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = self.get_component_rich_style(name) if name else self.rich_style
        return self._styles[name]

    # ---- what the screen tells it ----

    def notify_style_update(self) -> None:
        """Another theme: everything looks otherwise."""
        super().notify_style_update()
        self._forget()

    def on_resize(self) -> None:
        """Another size: other columns fit."""
        self._forget()
        self.see_cursor()
        self.refresh()

    def on_focus(self) -> None:
        """The cursor is bright while keys go here."""
        self.draw_changes()

    def on_blur(self) -> None:
        """The cursor is dim while keys go elsewhere."""
        self.draw_changes()

    def _forget(self) -> None:
        self._styles.clear()
        self._strips.clear()
        self._drawn.clear()
        self._header = None
        self._wrapped = (("", 0), ())

    def on_click(self, event: events.Click) -> None:
        """Pass on which row or column was meant."""
        event.stop()
        if event.y == 0:
            start = GUTTER
            for place in self._laid_out():
                start += place.gap
                if start <= event.x < start + place.width:
                    self.post_message(self.HeaderClicked(place.index))
                start += place.width
            return
        place_at = round(self.scroll_y) + event.y - 1
        if 0 <= place_at < len(self._rows):
            self.post_message(self.Clicked(place_at, event))


_NO_ROW = Row("\n", ())
