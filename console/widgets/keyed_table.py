"""A table whose rows have keys: the cursor and the marks stay on their rows when rows are added, removed or sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from console.actions.action import TABLE
from console.actions.registry import actions_of
from console.language import _
from console.models.filter import FilterError
from console.models.marks import Marks
from console.models.rows import Column, Row, exported, filter_of, names_of, ordered
from console.models.table_note import note_words
from console.widgets.table_lines import TableLines
from console.widgets.typed_line import TypedLine

if TYPE_CHECKING:
    from console.screens.view import Listing

__all__ = ["Column", "KeyedTable", "Row"]


class KeyedTable(Vertical):
    """Rows under a header, a filter line, and a note that says what is shown; `show` swaps all rows at once.

    Filter, order, marks and cursor are the table's own and survive every `show`. `targets` is what an action is about.
    """

    DEFAULT_CSS = """
    KeyedTable {
        height: 1fr;
        & > .filter { display: none; }
        & > .note { text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """
    BINDINGS = [  # noqa: RUF012
        # straight to this table: a view may have several, and the one with the keyboard is meant
        Binding(action.keys, action.name, action.label, show=False, id=action.id)
        for action in actions_of(TABLE)
    ]

    class Opened(Message):
        """Enter was pressed on a row, or it was clicked twice."""

        def __init__(self, table: KeyedTable, key: str) -> None:
            super().__init__()
            self.table, self.key = table, key

        @property
        def control(self) -> KeyedTable:
            """The table, for `on` selectors."""
            return self.table

    class Highlighted(Message):
        """The cursor stands on another row's key now; None where there is no row."""

        def __init__(self, table: KeyedTable, key: str | None) -> None:
            super().__init__()
            self.table, self.key = table, key

        @property
        def control(self) -> KeyedTable:
            """The table, for `on` selectors."""
            return self.table

    class Marked(Message):
        """Other rows are marked now."""

        def __init__(self, table: KeyedTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> KeyedTable:
            """The table, for `on` selectors."""
            return self.table

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._rows: tuple[Row, ...] = ()
        self._shown: tuple[Row, ...] = ()
        self._names: tuple[str, ...] | None = None
        """What the rows know beyond the columns; gathered when a filter is first typed over them."""
        self._marks = Marks()
        self._lines = TableLines(self._columns, self._marks)
        self._field = TypedLine(placeholder=_("filter: words, !word, ~fuzzy, column:value, column>5"), classes="filter")
        self._note_line = Static("", classes="note", markup=False)
        self._note = ""
        self._empty = ""
        """What is said in the rows' place while there is none; empty: the note."""
        self._complaint = ""
        """Why the filter cannot be understood; all rows stay then."""
        self._sort_by: int | None = None
        self._reverse = False
        self._only_problems = False
        self._told: str | None = None

    def compose(self) -> ComposeResult:
        """Rows, filter (hidden until asked for), note."""
        yield self._lines
        yield self._field
        yield self._note_line

    # ---- what views use ----

    def show(self, rows: Sequence[Row], note: str, empty: str = "") -> None:
        """Draw `rows`, in their order where the operator chose none, and `note` below; cursor and marks stay.

        `empty`: lines in the rows' place while there is none, with the keys that help; without it the note goes there.
        """
        self._rows, self._note, self._empty = tuple(rows), note, empty
        self._names = None
        self._draw()

    def leave_out(self, *names: str) -> None:
        """Draw the list without these columns, which have nothing to say now; filter and export still know them."""
        self._lines.leave_out(frozenset(index for index, column in enumerate(self._columns) if column.called in names))

    def put_note(self, note: str) -> None:
        """Another note under the same rows: an age that grows."""
        if note != self._note:
            self._note = note
            self._draw_note()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows on screen, filtered and sorted."""
        return self._shown

    @property
    def cursor_key(self) -> str | None:
        """Key of the row under the cursor."""
        return self._marks.cursor

    @property
    def marked(self) -> frozenset[str]:
        """Keys of all marked rows, hidden ones too."""
        return frozenset(self._marks.marked)

    def targets(self) -> tuple[str, ...]:
        """What an action is about: the marked rows on screen from the top down, or else the one under the cursor."""
        return self._marks.targets()

    def put_cursor(self, key: str) -> bool:
        """Put the cursor on a row; returns whether it is on screen."""
        place = self._marks.place_of(key)
        if place is None:
            return False
        self._go(place)
        return True

    def listing(self, name: str) -> Listing:
        """The rows on screen as data, every column, also those that the screen is too narrow for."""
        from console.screens.view import Listing

        return Listing(
            name,
            tuple(column.called for column in self._columns),
            tuple(
                tuple(exported(row, column, index) for index, column in enumerate(self._columns)) for row in self._shown
            ),
        )

    @property
    def only_problems(self) -> bool:
        """Whether rows without a problem are hidden."""
        return self._only_problems

    @only_problems.setter
    def only_problems(self, only: bool) -> None:
        self._only_problems = only
        self._draw()

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """Names of the columns that the screen has room for."""
        return tuple(self._columns[index].called for index in self._lines.shown_columns)

    @property
    def note(self) -> str:
        """The line under the table, as it is drawn."""
        return str(self._note_line.render())

    def focus_rows(self) -> None:
        """Put the keyboard on the rows."""
        self._lines.focus()

    def open_filter(self) -> None:
        """Show the filter line and go there."""
        self._field.display = True
        self._field.focus()

    def set_filter(self, text: str) -> None:
        """Filter by `text`, as if it had been typed; the empty text shows all rows."""
        self._field.display = bool(text)
        self._field.value = text
        self._draw()

    @property
    def filter_text(self) -> str:
        """What is typed on the filter line."""
        return self._field.value

    def step_out(self) -> bool:
        """Undo the innermost of what narrows or marks: filter line, marks, problems; returns whether there was one."""
        if self._field.has_focus or (self._field.value and not self._marks.marked):
            self.set_filter("")
            self.focus_rows()
        elif self._marks.clear():
            self._marks_changed()
        elif self._only_problems:
            self.only_problems = False
        else:
            return False
        return True

    # ---- actions ----

    def action_table_down(self) -> None:
        """The next row."""
        self._go(self._marks.place + 1)

    def action_table_up(self) -> None:
        """The row before."""
        self._go(self._marks.place - 1)

    def action_table_top(self) -> None:
        """The first row."""
        self._go(0)

    def action_table_bottom(self) -> None:
        """The last row."""
        self._go(len(self._shown) - 1)

    def action_table_page_down(self) -> None:
        """A page of rows down."""
        self._go(self._marks.place + self._lines.page)

    def action_table_page_up(self) -> None:
        """A page of rows up."""
        self._go(self._marks.place - self._lines.page)

    def action_table_open(self) -> None:
        """Open the row under the cursor."""
        if self.cursor_key is not None:
            self.post_message(self.Opened(self, self.cursor_key))

    def action_table_filter(self) -> None:
        """Type a filter."""
        self.open_filter()

    def action_table_mark(self) -> None:
        """Mark the row under the cursor, or unmark it."""
        self._marks.toggle()
        self._marks_changed()

    def action_table_range(self) -> None:
        """Mark from the last mark to the cursor."""
        self._marks.mark_range()
        self._marks_changed()

    def action_table_problems(self) -> None:
        """Only rows with a problem, or all again."""
        self.only_problems = not self.only_problems

    def action_table_sort_left(self) -> None:
        """Sort by the column to the left; beyond the first, as the view orders them."""
        self._sort_step(-1)

    def action_table_sort_right(self) -> None:
        """Sort by the column to the right; beyond the last, as the view orders them."""
        self._sort_step(1)

    def action_table_reverse(self) -> None:
        """Turn the order round."""
        self._reverse = not self._reverse
        self._draw()

    # ---- inside ----

    def _go(self, place: int) -> None:
        self._marks.go(place)
        self._lines.see_cursor()
        self._lines.draw_changes()
        self._tell_cursor()

    def _tell_cursor(self) -> None:
        if self._told != self._marks.cursor:
            self._told = self._marks.cursor
            self.post_message(self.Highlighted(self, self._told))

    def _marks_changed(self) -> None:
        self._lines.draw_changes()
        self._draw_note()
        self.post_message(self.Marked(self))

    def _sort_step(self, by: int) -> None:
        shown: list[int | None] = [None, *self._lines.shown_columns]
        at = shown.index(self._sort_by) if self._sort_by in shown else 0
        self._sort_by, self._reverse = shown[(at + by) % len(shown)], False
        self._draw()

    def _draw(self) -> None:
        """Filter, sort and hand the rows to the lines."""
        kept: Sequence[Row] = self._rows
        self._complaint = ""
        if text := self._field.value.strip():
            try:
                if self._names is None:
                    self._names = names_of(self._rows)
                kept = filter_of(text, self._columns, self._names).kept(kept)
            except FilterError as error:
                self._complaint = str(error)
        if self._only_problems:
            kept = [row for row in kept if row.problem]
        if self._sort_by is not None or self._reverse:
            kept = ordered(kept, self._columns, self._sort_by, reverse=self._reverse)
        self._shown = tuple(kept)
        narrowed = len(self._shown) != len(self._rows)
        had = len(self._marks.marked)
        self._marks.keep([row.key for row in kept], frozenset(row.key for row in self._rows) if narrowed else None)
        self._lines.show(self._shown, (self._sort_by, self._reverse))
        self._draw_note()
        self._tell_cursor()
        if len(self._marks.marked) != had:
            self.post_message(self.Marked(self))

    def on_resize(self) -> None:
        """Rows may have room for words now, or none any more."""
        self.call_after_refresh(self._draw_note)

    def _instead(self) -> str:
        """What is said in the rows' place."""
        if self._shown:
            return ""
        return _("No row is left: esc shows all again.") if self._rows else self._empty or self._note

    def _draw_note(self) -> None:
        self._lines.say(instead := self._instead())
        if self._complaint:
            self._say(self._complaint)
            return
        told_above = self._note == instead and self._lines.has_room  # once is enough
        self._say(
            note_words(
                self._rows, self._shown, self._marks.marked,
                filtered=bool(self._field.value.strip()), only_problems=self._only_problems,
                sort_by=None if self._sort_by is None else _(self._columns[self._sort_by].title), reverse=self._reverse,
                note="" if told_above else self._note,
            )
        )  # fmt: skip

    def _say(self, note: str) -> None:
        """The line under the rows is one line high whatever it says: nothing else need be measured anew."""
        self._note_line.update(note, layout=False)

    # ---- what the widgets inside say ----

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter as it is typed."""
        event.stop()
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes back to the rows, filtered."""
        event.stop()
        self._field.display = bool(self._field.value)
        self.focus_rows()

    def on_table_lines_clicked(self, event: TableLines.Clicked) -> None:
        """A click moves the cursor, a second opens; with ctrl it marks, with shift from the last mark to here."""
        event.stop()
        self._click(event.place, event.event)

    def _click(self, place: int, click: events.Click) -> None:
        self._go(place)
        if click.ctrl:
            self.action_table_mark()
        elif click.shift:
            self.action_table_range()
        elif click.chain >= 2:
            self.action_table_open()

    def on_table_lines_header_clicked(self, event: TableLines.HeaderClicked) -> None:
        """A click on a heading sorts by it, another turns the order round."""
        event.stop()
        if self._sort_by == event.column:
            self._reverse = not self._reverse
        else:
            self._sort_by, self._reverse = event.column, False
        self._draw()
