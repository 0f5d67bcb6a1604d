"""Tables that only the alignment of their text shows: rows of cells in columns, without a line or a stripe.

A table grows down from its first row along the left edge of its first column. A column is a span across the page that
no text leaves. Names at the left of a column and numbers at its right may leave room between them, but no row has both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pipeline.docparse.opencv.geometry import gap, overlap, union
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.words import Box

ALIGNED_PX = 8.0
CELL_GAP = 1.1
"""Between cells of a row lie at least so many letter heights; nearer ones are pieces of one cell."""
LEVEL = 0.3
"""Middles of a row's cells differ by no more of a letter height,"""
LEVEL_PIXELS = 0.5
"""or where no text layer tells them: of some cells all letters are low."""
COLUMN_ROWS = 0.6
"""The last column of a table without lines stands in so many of its rows."""
LEAST_COLUMNS = 3
LEAST_ROWS = 3
ROW_REACH = 5.5
"""From the last line of a row to the next row are no more than so many letter heights,"""
EVENNESS = 1.8
"""and no more than so many times what it is from row to row before,"""
EVEN_SLACK = 0.6
"""and so many letter heights."""
BRIDGE = 3.5
"""A row's first cell and the next that lie no more letter heights apart may have been read as one; a title that goes on
over the columns is none."""
WRAP_REACH = 2.2
"""A cell's lines follow one another within so many letter heights."""
SHARED_EDGES = 2.0
"""So many cells of a row, on average, begin or end where another of their column does."""
WIDEST_CELL_PX = 330.0
RUNNING_WIDTH_PX = 250.0
"""Lines so wide that follow one another closely are running text."""


@dataclass(slots=True)
class _Column:
    """A span that cells of a table fill, and the rows that have one in it."""

    low: float
    high: float
    cells: dict[int, Box]
    """Row → its cell."""

    def apart(self, other: _Column) -> bool:
        """Whether no row has a cell in both."""
        return self.cells.keys().isdisjoint(other.cells)

    def joined(self, other: _Column) -> _Column:
        return _Column(min(self.low, other.low), max(self.high, other.high), self.cells | other.cells)


def aligned_tables(lines: Sequence[TextLine]) -> list[Box]:
    """Boxes of tables among lines of text, the one with most cells first where two would share some."""
    cells = [line for line in lines if line.box[2] - line.box[0] <= WIDEST_CELL_PX and not _running(line, lines)]
    cells.sort(key=lambda line: line.middle)
    rows = [_row(line, cells) for line in cells]
    number = {id(line): index for index, line in enumerate(cells)}
    seen: set[int] = set()
    found: list[list[_Column]] = []
    for index, row in enumerate(rows):
        if index in seen or len(row) < LEAST_COLUMNS:
            continue
        chain = _Chain(row)
        chain.grow(rows[index + 1 :], cells)
        seen |= {number[id(row[0])] for row in chain.rows}
        columns = chain.columns()
        if columns is not None:
            found.append(columns)
    kept: list[list[_Column]] = []
    for columns in sorted(found, key=lambda one: -sum(len(column.cells) for column in one)):
        if not any(overlap(_box(columns), _box(other)) > 0 for other in kept):
            kept.append(columns)
    return [_with_wrapped(columns, cells) for columns in kept]


def _box(columns: Sequence[_Column]) -> Box:
    return union([cell for column in columns for cell in column.cells.values()])


def _row(first: TextLine, cells: Sequence[TextLine]) -> list[TextLine]:
    """A line and those level with it to its right, pieces of one cell as the first of them."""
    level = [
        line
        for line in cells
        if line.box[0] > first.box[0]
        and abs(line.middle - first.middle)
        <= (LEVEL if line.core is None else LEVEL_PIXELS) * min(line.height, first.height)
    ]
    return [first, *sorted(level, key=lambda line: line.box[0])]


class _Chain:
    """Rows under one another that begin at one left edge."""

    def __init__(self, first: Sequence[TextLine]) -> None:
        self.rows = [first]
        self._left = first[0].box[0]
        self._pitches: list[float] = []
        self._columns = _Columns()
        self._columns.add(0, first)

    def grow(self, rows: Sequence[Sequence[TextLine]], cells: Sequence[TextLine]) -> None:
        """Add rows, from the top, until one stands too far away, or two do not fit.

        One that does not fit may be of cells read as one whose columns were not yet known.
        """
        doubtful: Sequence[TextLine] | None = None
        for row in rows:
            first = row[0]
            if len(row) < 2 or abs(first.box[0] - self._left) > ALIGNED_PX or first is self.rows[-1][0]:
                continue
            space = first.middle - _wrapped_to(doubtful or self.rows[-1], cells)
            height = median(line.height for one in (*self.rows, row) for line in one)
            if space > ROW_REACH * height:
                return
            if self._pitches and space > EVENNESS * max(self._pitches) + EVEN_SLACK * height:
                return
            if self._columns.add(len(self.rows) + (doubtful is not None), row):
                self._pitches.append(first.middle - (doubtful or self.rows[-1])[0].middle)
                self.rows += [row] if doubtful is None else [doubtful, row]
                doubtful = None
            elif doubtful is None:
                doubtful = row
            else:
                return

    def columns(self) -> list[_Column] | None:
        """The columns of the table that the rows are, or None when they are none."""
        placed = _Columns()
        # Rows with most cells tell best where columns are.
        for number, row in sorted(enumerate(self.rows), key=lambda pair: -len(pair[1])):
            placed.add(number, row)
        columns = _wholes(placed.columns)
        while len(columns) > LEAST_COLUMNS and len(columns[-1].cells) < COLUMN_ROWS * len(self.rows):
            columns.pop()
        counts = [sum(row in column.cells for column in columns) for row in range(len(self.rows))]
        if sum(count >= LEAST_COLUMNS for count in counts) < LEAST_ROWS:
            return None
        shared = sum(
            any(
                other != row and (abs(cell[0] - box[0]) <= ALIGNED_PX or abs(cell[2] - box[2]) <= ALIGNED_PX)
                for other, box in column.cells.items()
            )
            for column in columns
            for row, cell in column.cells.items()
        )
        return columns if shared >= SHARED_EDGES * sum(count > 1 for count in counts) else None


class _Columns:
    """Spans that the cells of rows fill."""

    def __init__(self) -> None:
        self.columns: list[_Column] = []

    def add(self, number: int, row: Sequence[TextLine]) -> bool:
        """Put a row's cells into columns; False when it has no two that fit.

        From the first cell that would stand in two columns at once on, what stands in the row is none of the table's.
        """
        columns = list(self.columns)
        fitting = 0
        for cell in _cells(row):
            pieces = _pieces(number, cell, columns, median(line.height for line in row))
            if not pieces:
                break
            for piece in pieces:
                home = [column for column in columns if column.low < piece[2] and piece[0] < column.high]
                own = _Column(piece[0], piece[2], {number: piece})
                for column in home:
                    own = own.joined(column)
                columns = [*(column for column in columns if column not in home), own]
            fitting += len(pieces)
        if fitting < 2:
            return False
        self.columns = columns
        return True


def _pieces(number: int, cell: Box, columns: Sequence[_Column], height: float) -> list[Box]:
    """The cell, or the cells that it is, read as one: a number right before the next column's name. Or none."""
    home = sorted(
        (column for column in columns if column.low < cell[2] and cell[0] < column.high), key=lambda one: one.low
    )
    if any(number in column.cells for column in home):
        return []
    cuts = []
    wholes = _wholes(columns) if len(home) > 1 else []
    leftmost = min((column.low for column in columns), default=cell[0])
    for left, right in pairwise(home):
        if any(whole.low <= left.low and right.high <= whole.high for whole in wholes):
            continue
        if left.low == leftmost and right.low - left.high > BRIDGE * height:
            return []
        cuts.append((left.high, right.low))
    starts, ends = [cell[0], *(cut[1] for cut in cuts)], [*(cut[0] for cut in cuts), cell[2]]
    return [(start, cell[1], end, cell[3]) for start, end in zip(starts, ends, strict=True) if start < end]


def _wrapped_to(row: Sequence[TextLine], cells: Sequence[TextLine]) -> float:
    """Middle of the last line of a row's cells, of which some may have several, one under the other."""
    last = list(row)
    for line in cells:
        for index, upper in enumerate(last):
            if abs(line.box[0] - upper.box[0]) <= ALIGNED_PX and (
                0.8 * line.height < line.middle - upper.middle <= WRAP_REACH * line.height
            ):
                last[index] = line
    return max(line.middle for line in last)


def _wholes(columns: Sequence[_Column]) -> list[_Column]:
    """Columns, from the left, with those joined that are one: names at its left, numbers at its right, never both."""
    wholes: list[_Column] = []
    for column in sorted(columns, key=lambda column: column.low):
        if len(wholes) > 1 and wholes[-1].apart(column):
            wholes[-1] = wholes[-1].joined(column)
        else:
            wholes.append(column)
    return wholes


def _cells(row: Sequence[TextLine]) -> list[Box]:
    """A row's cells from the left, of which near ones are pieces of one."""
    cells = [row[0].box]
    for a, b in pairwise(row):
        if b.box[0] - cells[-1][2] < CELL_GAP * min(a.height, b.height):
            cells[-1] = union([cells[-1], b.box])
        else:
            cells.append(b.box)
    return cells


def _with_wrapped(columns: Sequence[_Column], cells: Sequence[TextLine]) -> Box:
    """The box of a table's columns with wrapped lines, and rows with a cell or two left empty."""
    box = _box(columns)
    for line in cells:
        in_column = any(
            abs(line.box[0] - column.low) <= ALIGNED_PX or abs(line.box[2] - column.high) <= ALIGNED_PX
            for column in columns
        )
        inside = line.box[0] >= box[0] - ALIGNED_PX and line.box[2] <= box[2] + ALIGNED_PX
        if in_column and inside and gap(line.box, box) <= 1.0 * line.height:
            box = union([box, line.box])
    return box


def _running(line: TextLine, lines: Sequence[TextLine]) -> bool:
    """Whether a line is one of several wide ones right under one another."""
    if line.box[2] - line.box[0] < RUNNING_WIDTH_PX:
        return False
    return any(
        other is not line
        and other.box[2] - other.box[0] >= 0.5 * RUNNING_WIDTH_PX
        and abs(other.box[0] - line.box[0]) <= 40
        and 0 < abs(other.middle - line.middle) <= 2.6 * line.height
        for other in lines
    )
