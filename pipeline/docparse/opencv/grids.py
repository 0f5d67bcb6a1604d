"""Grids of cells: tables, and canvases, whose few large cells hold lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pipeline.docparse.opencv.geometry import area, merge_close, overlap, share_inside, shared_span, union
from pipeline.docparse.opencv.shapes import BOX_FILL, Shape, holds
from pipeline.docparse.opencv.text import TextLine, held
from pipeline.docparse.words import Box

CELL_GAP_PX = 6.0
MIN_CELL_PX = 12.0
AT_RULE_PX = 6.0
LETTER_PX = 20.0
LETTERS_SHARE = 0.03
"""Letters of a cell that run together to boxes cover less of it, and are lower, than cells do."""
CELL_SOLIDITY = 0.6
NOTE_FILL = 0.82
"""A note covers so much of its box, though a round frame cuts a corner off it."""
BOARD_FILL = 0.35
"""Share of a frame that notes of any size and place fill."""
SPARSE_FILL = 0.18
"""The same for notes of one size in rows and columns."""
SIZE_SLACK = 0.12
"""Notes of one size differ by no more."""
MIN_COVER = 0.8
"""Share of its box that a grid's cells fill."""
CANVAS_LINES = 2.0
"""A canvas's cells hold at least so many lines of text on average, a table's hold fewer."""
CANVAS_CELL_PX = 120.0
CANVAS_PITCH = 3.0
"""A canvas's lines follow one another within so many letter heights; rows of a table stand further apart."""
MAX_CANVAS_CELLS = 20
MIN_COLUMN_GAP_PX = 8.0
MIN_ROW_GAP = 1.6
"""Rows stand at least so many letter heights apart where no rule separates them."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Adjacent cells in rows and columns."""

    box: Box
    cells: tuple[Shape, ...]
    columns: tuple[float, ...]
    """x of the column rules, outer ones included."""
    rows: tuple[float, ...]
    """y of the row rules, outer ones included."""
    cover: float
    """Share of the box that cells fill."""

    def rules_around(self, box: Box) -> bool:
        """Whether all four sides of a box lie at rules: a cell, though letters on its border spoil its outline."""
        return all(
            min(abs(side - rule) for rule in rules) <= AT_RULE_PX
            for side, rules in zip(box, (self.columns, self.rows) * 2, strict=True)
        )


def find_grids(shapes: Sequence[Shape]) -> list[Grid]:
    """Groups of at least four adjacent boxes in at least two rows and two columns, or of three full-width strips.

    Three tall boxes side by side count as well: a canvas may have a single row.
    """
    boxes = [shape for shape in shapes if _may_be_cell(shape)]
    leaves = [shape for shape in boxes if _holds_letters_at_most(shape, boxes)]
    grids = []
    for group in _adjacent(leaves, CELL_GAP_PX):
        cells = [leaves[index] for index in group]
        if len(cells) < 3:
            continue
        box = union([cell.box for cell in cells])
        columns = _rules([(cell.box[0], cell.box[2], cell.height) for cell in cells], box[3] - box[1], 10)
        rows = _rules([(cell.box[1], cell.box[3], cell.width) for cell in cells], box[2] - box[0], 10)
        cover = min(1.0, sum(area(cell.box) for cell in cells) / area(box))
        strips = len(columns) == 2 and len(rows) >= 4
        row = len(rows) == 2 and len(columns) >= 4 and min(cell.height for cell in cells) >= CANVAS_CELL_PX
        if cover >= MIN_COVER and (row or (len(rows) >= 3 and (len(columns) >= 3 or strips))):
            grids.append(Grid(box, tuple(cells), tuple(columns), tuple(rows), cover))
    return grids


def _holds_letters_at_most(shape: Shape, boxes: Sequence[Shape]) -> bool:
    """Whether no box stands in it but thick letters that look like one."""
    held_area = 0.0
    for other in boxes:
        if holds(shape, other):
            held_area += area(other.box)
            if other.height > LETTER_PX or held_area > LETTERS_SHARE * area(shape.box):
                return False
    return True


def _may_be_cell(shape: Shape) -> bool:
    """Whether it is a box, or one that letters on its border cut bays into."""
    bayed = shape.source == "lined" and shape.solidity >= CELL_SOLIDITY and shape.fill >= BOX_FILL * shape.solidity
    return shape.height >= MIN_CELL_PX and (shape.boxy or bayed)


def _adjacent(cells: Sequence[Shape], reach: float) -> list[list[int]]:
    group = list(range(len(cells)))

    def find(index: int) -> int:
        while group[index] != index:
            index = group[index]
        return index

    for i, a in enumerate(cells):
        for j in range(i):
            if _touch(a.box, cells[j].box, reach):
                group[find(i)] = find(j)
    found: dict[int, list[int]] = {}
    for index in range(len(cells)):
        found.setdefault(find(index), []).append(index)
    return list(found.values())


def _touch(a: Box, b: Box, reach: float) -> bool:
    beside = shared_span(a[1], a[3], b[1], b[3]) > 0.6 and -2 * reach <= max(a[0], b[0]) - min(a[2], b[2]) <= reach
    above = shared_span(a[0], a[2], b[0], b[2]) > 0.6 and -2 * reach <= max(a[1], b[1]) - min(a[3], b[3]) <= reach
    return beside or above


def _rules(edges: Sequence[tuple[float, float, float]], extent: float, within: float) -> list[float]:
    """Positions where cells begin or end, kept when the cells there span a third of the grid's `extent` across."""
    positions = merge_close([edge for low, high, _ in edges for edge in (low, high)], within)
    kept = []
    for position in positions:
        support = sum(
            across for low, high, across in edges if min(abs(low - position), abs(high - position)) <= 1.5 * within
        )
        if support >= 0.33 * extent:
            kept.append(position)
    return kept


def is_canvas(grid: Grid, lines: Sequence[TextLine]) -> bool:
    """Whether a grid is a canvas: few large cells that hold lists, line close under line."""
    body = [cell for cell in grid.cells if cell.height > 0.5 * CANVAS_CELL_PX]
    if not body or len(body) > MAX_CANVAS_CELLS:
        return False
    inside = [held(lines, cell.box) for cell in body]
    tall = sum(cell.height for cell in body) / len(body)
    # A line without high letters seems lower than it is where no text layer tells its size; one of many tells less.
    height = median([line.height for cell in inside for line in cell] or [1.0])
    pitches = [(low.middle - high.middle) / max(low.height, height) for cell in inside for high, low in pairwise(cell)]
    pitches = [pitch for pitch in pitches if pitch > 0.5]
    return (
        sum(map(len, inside)) / len(inside) >= CANVAS_LINES
        and tall >= CANVAS_CELL_PX
        and bool(pitches)
        and median(pitches) <= CANVAS_PITCH
    )


def is_table(grid: Grid, lines: Sequence[TextLine]) -> bool:
    """Whether a grid says something in at least two columns and two rows."""
    inside = held(lines, grid.box)
    return len(grid.columns) > 2 and len(grid.rows) > 2 and len(inside) >= 4


def completed(grid: Grid, lines: Sequence[TextLine]) -> Grid:
    """A table with the rules that are not drawn: between columns of strips, and between rows told apart by shade only.

    A rule is put where no line of text crosses: between columns, and between rows that stand clearly apart.
    """
    inside = held(lines, grid.box, 0.8)
    columns, rows = list(grid.columns), list(grid.rows)
    columns = _between(columns, [(line.box[0], line.box[2]) for line in inside], MIN_COLUMN_GAP_PX)
    if inside:
        height = median(line.height for line in inside)
        rows = _between(rows, [(line.box[1], line.box[3]) for line in inside], MIN_ROW_GAP * height)
    return Grid(grid.box, grid.cells, tuple(columns), tuple(rows), grid.cover)


def _between(rules: Sequence[float], spans: Sequence[tuple[float, float]], least: float) -> list[float]:
    """Rules with one more in the middle of every gap of at least `least` that has spans on both sides and no rule."""
    found = list(rules)
    reached: float | None = None
    for low, high in sorted(spans):
        if reached is not None and low - reached >= least and not any(reached <= rule <= low for rule in rules):
            found.append((low + reached) / 2)
        reached = high if reached is None else max(reached, high)
    return sorted(found)


def crowd(shapes: Sequence[Shape], frame: Shape) -> list[Shape]:
    """The boxes right inside a frame, when at least three of them fill a good part of it: a board.

    They may fill less where they are notes of one size in rows and columns, of which some places are empty.
    """
    within = [s for s in shapes if s is not frame and s.fill >= NOTE_FILL and share_inside(s.box, frame.box) > 0.95]
    direct = [s for s in within if not any(holds(other, s) for other in within)]
    if len(direct) < 3:
        return []
    least = SPARSE_FILL if in_even_rows(direct) else BOARD_FILL
    return direct if filled_share(direct, frame) >= least else []


def filled_share(notes: Sequence[Shape], frame: Shape) -> float:
    """Share of a frame that notes fill."""
    return sum(overlap(note.box, frame.box) for note in notes) / area(frame.box)


def in_even_rows(notes: Sequence[Shape]) -> bool:
    """Whether at least three boxes of one size stand in at least two rows and two columns, a little out of line.

    Of three, each may stand in a column of its own.
    """
    wide, tall = median(note.width for note in notes), median(note.height for note in notes)
    if len(notes) < 3 or any(
        abs(note.width - wide) > SIZE_SLACK * wide or abs(note.height - tall) > SIZE_SLACK * tall for note in notes
    ):
        return False
    columns = merge_close([(note.box[0] + note.box[2]) / 2 for note in notes], 0.2 * wide)
    rows = merge_close([(note.box[1] + note.box[3]) / 2 for note in notes], 0.2 * tall)
    most = max(3, len(notes) - 1)
    return 2 <= len(columns) <= most and 2 <= len(rows) <= most
