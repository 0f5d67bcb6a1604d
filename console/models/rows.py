"""Rows of a list: keyed, with cells as they are drawn and values by which they are filtered and sorted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rich.text import Text

from console.models.filter import Field, Filter, folded, parse

Value = str | float
"""A number sorts and compares as a number."""

FIRST_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?")
LONGEST_CELL = 4_000
"""Characters of a cell that the filter looks through."""


@dataclass(frozen=True)
class Row:
    """One row: a key that never changes, its cells as they are drawn, and what stands behind them."""

    key: str
    cells: tuple[Text, ...]
    """One for each column, in their order."""
    values: Mapping[str, Value | None] = field(default_factory=dict, compare=False)
    """By column name, and by further names that the filter knows; a missing or None value sorts last."""
    stale: bool = False
    """What it shows is older than the rest."""
    problem: bool = False

    @cached_property
    def folded(self) -> str:
        """All its words as the filter compares them, a line for each cell."""
        return folded("\n".join([cell.plain[:LONGEST_CELL] for cell in self.cells]))

    @cached_property
    def look(self) -> tuple[object, ...]:
        """Everything that changes how it is drawn; `Text` itself compares without its style."""
        cells = tuple((cell.plain, str(cell.style), tuple(cell.spans) if cell.spans else ()) for cell in self.cells)
        return cells, self.stale, self.problem


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading and its width in cells."""

    title: str
    width: int
    min_screen: int = 0
    """Narrower screens leave it out; where the list itself is narrow, the columns of the widest go first."""
    name: str = ""
    """As the filter and the export call it; by default its title in small letters."""
    numeric: bool = False
    """Drawn to the right, and sorted by the number in its cells where rows give no value."""

    @property
    def called(self) -> str:
        """The name of the column for filter, sort and export."""
        return self.name or re.sub(r"[^\w/$%]+", "-", self.title.casefold()).strip("-")


def exported(row: Row, column: Column, index: int) -> str | float | int | None:
    """What csv and json say of a row in a column: its value, or the words of its cell; whole numbers as such."""
    name = column.called
    if name not in row.values and not column.numeric:
        return row.cells[index].plain.strip()
    value = _value(row, name, index, column.numeric)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _value(row: Row, name: str, index: int, numeric: bool) -> Value | None:
    """What a row has in a column: its value, or what its cell says; None when it says nothing."""
    if name in row.values:
        return row.values[name]
    plain = row.cells[index].plain.strip()
    if plain in ("", "–", "-"):
        return None
    if numeric:
        found = FIRST_NUMBER.search(plain)
        return float(found[0].replace(",", "")) if found else None
    try:
        return float(plain)
    except ValueError:
        return plain


def ordered(rows: Sequence[Row], columns: Sequence[Column], by: int | None, *, reverse: bool) -> list[Row]:
    """Rows by one column, numbers before words, what has no value last whichever way; equal ones keep their order.

    Args:
        rows: in the order that their view gave them.
        columns: of the rows.
        by: the column's index; None keeps the view's own order.
        reverse: turn the order round.
    """
    if by is None:
        return list(reversed(rows)) if reverse else list(rows)
    name, numeric = columns[by].called, columns[by].numeric
    numbers: list[tuple[float, Row]] = []
    words: list[tuple[str, Row]] = []
    nothing: list[Row] = []
    for row in rows:
        value = _value(row, name, by, numeric)
        if value is None or value == "" or value != value:  # the last is what "not a number" is not
            nothing.append(row)
        elif isinstance(value, str):
            words.append((folded(value), row))
        else:
            numbers.append((value, row))
    numbers.sort(key=_first_number, reverse=reverse)
    words.sort(key=_first_word, reverse=reverse)
    groups: list[list[Row]] = [[row for _, row in numbers], [row for _, row in words]]
    if reverse:
        groups.reverse()
    return [*groups[0], *groups[1], *nothing]


def _first_number(pair: tuple[float, Row]) -> float:
    return pair[0]


def _first_word(pair: tuple[str, Row]) -> str:
    return pair[0]


def names_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """The names of all that rows know, for `filter_of`."""
    return tuple({name: None for row in rows for name in row.values})


def filter_of(text: str, columns: Sequence[Column], further: Sequence[str] = ()) -> Filter[Row]:
    """What is typed on the filter line: by columns' names and titles, and by the `further` names of values.

    Raises:
        console.models.filter.FilterError: it cannot be understood.
    """
    known: dict[str, Field[Row]] = {}
    for index, column in enumerate(columns):
        known[column.called] = _field(column, index)
    for index, column in enumerate(columns):
        known.setdefault(folded(column.title), _field(column, index))
    for name in further:
        known.setdefault(name, _further_field(name))
    return parse(text, known, lambda row: row.folded)


def _field(column: Column, index: int) -> Field[Row]:
    name, numeric = column.called, column.numeric
    return Field(lambda row: _value(row, name, index, numeric), lambda row: folded(row.cells[index].plain.strip()))


def _further_field(name: str) -> Field[Row]:
    """Something that rows know and no column shows."""

    def text(row: Row) -> str:
        value = row.values.get(name)
        if value is None:
            return ""
        return folded(value) if isinstance(value, str) else f"{value:.12g}"

    return Field(lambda row: row.values.get(name), text)
