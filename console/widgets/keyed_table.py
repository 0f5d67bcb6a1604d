"""A table whose rows have keys: the cursor stays on its row when rows are added, removed, sorted or filtered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import DataTable, Input, Static


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a key that never changes, and its cells as they are drawn."""

    key: str
    cells: tuple[Text, ...]

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word occurs in some cell; `!word` asks that it occurs in none."""
        text = " ".join(cell.plain for cell in self.cells).casefold()
        return all((word[1:] not in text) if word.startswith("!") and len(word) > 1 else word in text for word in words)


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading and its width in cells; `min_screen` hides it on narrower screens."""

    title: str
    width: int
    min_screen: int = 0


class KeyedTable(Vertical):
    """A `DataTable` with a filter line and a note under it; `show` swaps all rows at once."""

    class Opened(Message):
        """Enter was pressed on a row."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._visible: tuple[int, ...] = ()
        self._rows: tuple[Row, ...] = ()
        self._drawn: dict[str, tuple[Text, ...]] = {}
        self._note = ""

    def compose(self) -> ComposeResult:
        """Table, filter (hidden until asked for), note."""
        yield DataTable(cursor_type="row", zebra_stripes=False)
        yield Input(placeholder="filter: words, !word to leave out", classes="filter")
        yield Static("", classes="note", markup=False)

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one(DataTable)

    def on_mount(self) -> None:
        """The filter stays out of the way until `/`."""
        self.query_one(".filter").display = False

    def on_resize(self) -> None:
        """Narrow screens show fewer columns."""
        visible = tuple(index for index, column in enumerate(self._columns) if self.app.size.width >= column.min_screen)
        if visible == self._visible:
            return
        key = self.cursor_key
        self._visible = visible
        self._table.clear(columns=True)
        self._drawn = {}
        for index in visible:
            column = self._columns[index]
            self._table.add_column(column.title, width=column.width, key=str(index))
        self._draw(key)

    @property
    def cursor_key(self) -> str | None:
        """Key of the row under the cursor."""
        table = self._table
        if not table.row_count:
            return None
        return table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value

    def show(self, rows: Sequence[Row], note: str) -> None:
        """Draw `rows` in their order, and `note` below; the cursor stays on its key."""
        self._rows, self._note = tuple(rows), note
        if self._visible:
            self._draw(self.cursor_key)

    def _draw(self, cursor: str | None) -> None:
        words = self.query_one(Input).value.casefold().split()
        rows = [row for row in self._rows if row.matches(words)]
        table = self._table
        cells = {row.key: tuple(row.cells[index] for index in self._visible) for row in rows}
        if list(cells) == list(self._drawn):
            for key, new in cells.items():
                for index, (cell, old) in enumerate(zip(new, self._drawn[key], strict=True)):
                    if cell != old:
                        table.update_cell(key, str(self._visible[index]), cell)
        else:
            with self.app.batch_update():
                table.clear()
                for key, new in cells.items():
                    table.add_row(*new, key=key)
            if cursor in cells:
                table.move_cursor(row=list(cells).index(cursor), scroll=True)
        self._drawn = cells
        shown = f"{len(rows)} of {len(self._rows)} · " if words else ""
        self.query_one(".note", Static).update(shown + self._note)

    def open_filter(self) -> None:
        """Show the filter line and go there."""
        field = self.query_one(Input)
        field.display = True
        field.focus()

    def close_filter(self) -> bool:
        """Clear and hide the filter; returns whether there was one."""
        field = self.query_one(Input)
        if not field.display:
            return False
        field.value = ""
        field.display = False
        self._table.focus()
        return True

    def on_input_changed(self) -> None:
        """Filter as it is typed."""
        self._draw(self.cursor_key)

    def on_input_submitted(self) -> None:
        """Enter goes back to the rows, filtered."""
        self._table.focus()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Pass the row's key on."""
        event.stop()
        if event.row_key.value is not None:
            self.post_message(self.Opened(event.row_key.value))

    def focus_rows(self) -> None:
        """Put the keyboard on the rows."""
        self._table.focus()
