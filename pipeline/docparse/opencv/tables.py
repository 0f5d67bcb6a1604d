"""Tables that no cells show: with a few rules, with stripes, or by the alignment of their text alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pipeline.docparse.opencv.geometry import area, gap, overlap, share_inside, union
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.words import Box

ALIGNED_PX = 8.0
CELL_GAP = 1.1
"""Between cells of a row lie at least so many letter heights."""
CELL_GAP_MOST_PX = 620.0
COLUMN_ROWS = 0.6
"""The first and the last column of a table without lines stand in so many of its rows."""
ROW_REACH = 5.5
"""From row to row are no more than so many letter heights."""
WIDEST_CELL_PX = 330.0
RUNNING_WIDTH_PX = 250.0
"""Lines so wide that follow one another closely are running text."""
STRIPE_HEIGHT_PX = (16.0, 110.0)
STRIPE_LEAST_WIDTH_PX = 120.0
FRAME_LEAST_PX = 26.0


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table without cells."""

    box: Box
    columns: tuple[float, ...]
    rows: tuple[float, ...]
    evidence: float
    """0 to 1: 1 with rules or stripes, less by alignment alone."""


def find_open_tables(
    rules: Sequence[Box], shapes: Sequence[Shape], lines: Sequence[TextLine], taken: Sequence[Box]
) -> list[OpenTable]:
    """Tables among lines of text, of which each belongs to one at most."""
    found: list[OpenTable] = []
    for box in [*_striped(shapes, lines), *_ruled(rules, lines, shapes, taken)]:
        if not any(overlap(box, other.box) > 0 for other in found):
            found.append(_made(box, lines, 1.0))
    free = [line for line in lines if not any(share_inside(line.box, table.box) > 0.5 for table in found)]
    found += [_made(box, free, 0.85) for box in _aligned(free)]
    return found


def _made(box: Box, lines: Sequence[TextLine], evidence: float) -> OpenTable:
    """The table with rules put between its columns and rows, where no text crosses."""
    inside = [line for line in lines if share_inside(line.box, box) > 0.6]
    height = median(line.height for line in inside) if inside else 10.0
    columns = _gaps([(line.box[0], line.box[2]) for line in inside], box[0], box[2], 0.8 * height)
    rows = _gaps([(line.box[1], line.box[3]) for line in inside], box[1], box[3], 0.55 * height)
    return OpenTable(box, columns, rows, evidence)


def _gaps(spans: Sequence[tuple[float, float]], first: float, last: float, least: float) -> tuple[float, ...]:
    """`first`, the middle of every gap of at least `least` between spans, `last`."""
    found = [first]
    reached: float | None = None
    for low, high in sorted(spans):
        if reached is not None and low - reached >= least:
            found.append((low + reached) / 2)
        reached = high if reached is None else max(reached, high)
    return (*found, last)


def rows_of(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Lines that stand level with one another, from the left, in rows from the top."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: line.middle):
        if rows and abs(rows[-1][0].middle - line.middle) <= 0.5 * min(rows[-1][0].height, line.height):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.box[0]) for row in rows]


def _tabular(lines: Sequence[TextLine], least: int = 2) -> bool:
    """Whether some row among lines has several cells."""
    return any(
        1 + sum(b.box[0] - a.box[2] >= CELL_GAP * min(a.height, b.height) for a, b in pairwise(row)) >= least
        for row in rows_of(lines)
    )


def _mostly_tabular(lines: Sequence[TextLine]) -> bool:
    """Whether most rows among lines have several cells; a wrapped cell leaves a row with one."""
    rows = rows_of(lines)
    return _tabular(lines) and sum(len(row) > 1 for row in rows) >= 0.45 * len(rows)


def _ruled(rules: Sequence[Box], lines: Sequence[TextLine], shapes: Sequence[Shape], taken: Sequence[Box]) -> list[Box]:
    """Between three rules or more of one extent, one under the other, with cells between each two."""
    found = []
    left_over = list(rules)
    while left_over:
        first = left_over.pop(0)
        same = [
            first,
            *(r for r in left_over if abs(r[0] - first[0]) <= ALIGNED_PX and abs(r[2] - first[2]) <= ALIGNED_PX),
        ]
        left_over = [rule for rule in left_over if rule not in same]
        chain = [same[0]]
        for upper, lower in pairwise(same):
            around = (first[0] - 4, upper[1], first[2] + 4, lower[3])
            between = [line for line in lines if share_inside(line.box, around) > 0.8]
            if lower[1] - upper[3] < 6:
                continue
            space = (first[0], upper[3], first[2], lower[1])
            empty = not any(overlap(space, box) > 0.3 * area(box) for box in taken) and not any(
                share_inside(shape.box, space) > 0.9
                and shape.height > FRAME_LEAST_PX
                and shape.width < 0.8 * (space[2] - space[0])
                for shape in shapes
            )
            if between and empty and _mostly_tabular(between):
                chain.append(lower)
                continue
            if len(chain) >= 3:
                found.append(union(chain))
            chain = [lower]
        if len(chain) >= 3:
            found.append(union(chain))
    return found


def _striped(shapes: Sequence[Shape], lines: Sequence[TextLine]) -> list[Box]:
    """Filled strips of one extent at even distance, with cells on them, and the rows between and after them."""
    strips = sorted(
        (
            shape
            for shape in shapes
            if shape.filled
            and shape.fill > 0.65
            and STRIPE_HEIGHT_PX[0] <= shape.height <= STRIPE_HEIGHT_PX[1]
            and shape.width >= STRIPE_LEAST_WIDTH_PX
            and shape.width >= 2.5 * shape.height
        ),
        key=lambda shape: shape.box[1],
    )
    found = []
    used: set[int] = set()
    for index, first in enumerate(strips):
        if index in used:
            continue
        chain = [first]
        for other in range(index + 1, len(strips)):
            strip, last = strips[other], chain[-1]
            aligned = abs(strip.box[0] - first.box[0]) <= ALIGNED_PX and abs(strip.box[2] - first.box[2]) <= ALIGNED_PX
            away = strip.box[1] - last.box[3]
            if aligned and -4 <= away <= 2.2 * max(strip.height, last.height) and _row_between(last, strip, lines):
                chain.append(strip)
                used.add(other)
        box = union([strip.box for strip in chain])
        within = [line for line in lines if share_inside(line.box, box) > 0.8]
        if len(chain) < 2 or not _tabular(within):
            continue
        pitch = median(strip.height for strip in chain)
        below = (box[0], box[3], box[2], box[3] + 1.4 * pitch)
        after = [line for line in lines if share_inside(line.box, below) > 0.7]
        if after and _tabular(after):
            first_row = rows_of(after)[0]
            box = union([box, *(line.box for line in first_row)])
        found.append(box)
    return found


def _row_between(upper: Shape, lower: Shape, lines: Sequence[TextLine]) -> bool:
    """Whether two strips touch, or what lies between them is a row of the table: text stands in it."""
    between = (upper.box[0], upper.box[3], upper.box[2], lower.box[1])
    return lower.box[1] - upper.box[3] < STRIPE_HEIGHT_PX[0] or any(
        share_inside(line.box, between) > 0.6 for line in lines
    )


def _aligned(lines: Sequence[TextLine]) -> list[Box]:
    """Rows of three cells or more that stand under one another: at least four rows."""
    cells = [line for line in lines if line.box[2] - line.box[0] <= WIDEST_CELL_PX and not _running(line, lines)]
    runs: list[list[TextLine]] = []
    for row in rows_of(cells):
        run = [row[0]]
        for a, b in pairwise(row):
            if CELL_GAP * min(a.height, b.height) <= b.box[0] - a.box[2] <= CELL_GAP_MOST_PX:
                run.append(b)
                continue
            runs.append(run)
            run = [b]
        runs.append(run)
    rows = sorted((run for run in runs if len(run) >= 2), key=lambda run: run[0].middle)
    chains: list[list[list[TextLine]]] = []
    for row in rows:
        home = max(chains, key=lambda chain: _shared(chain, row), default=None)
        if home is not None and _belongs(home, row):
            home.append(row)
        elif len(row) >= 3:
            chains.append([row])
    found = []
    for chain in chains:
        if sum(len(row) >= 3 for row in chain) < 3:
            continue
        # Where names stand at the left of a column and numbers at its right, a row may share little with the last.
        if sum(_shared(chain[:index], chain[index]) for index in range(1, len(chain))) < 2 * (len(chain) - 1):
            continue
        chain = _without_strays(chain)
        if len(chain) < 3:
            continue
        box = union([line.box for row in chain for line in row])
        # Wrapped lines, and rows with a cell or two left empty.
        near = [line for line in cells if line.box[0] >= box[0] - ALIGNED_PX and line.box[2] <= box[2] + ALIGNED_PX]
        for line in near:
            if gap(line.box, box) <= 1.0 * line.height:
                box = union([box, line.box])
        found.append(box)
    return found


def _without_strays(chain: Sequence[Sequence[TextLine]]) -> list[list[TextLine]]:
    """Rows without what stands far to a side of the table in few of them: labels of a drawing, another column's text.

    Outermost columns go while they stand in fewer than `COLUMN_ROWS` of the rows and three are left.
    """
    lines = sorted((line for row in chain for line in row), key=lambda line: line.box[0])
    columns: list[list[TextLine]] = []
    reached = 0.0
    for line in lines:
        if not columns or line.box[0] >= reached:
            columns.append([])
            reached = line.box[2]
        columns[-1].append(line)
        reached = max(reached, line.box[2])
    while len(columns) > 3 and min(len(columns[0]), len(columns[-1])) < COLUMN_ROWS * len(chain):
        columns.pop(0 if len(columns[0]) < len(columns[-1]) else -1)
    kept = {id(line) for column in columns for line in column}
    rows = [[line for line in row if id(line) in kept] for row in chain]
    return [row for row in rows if len(row) >= 2]


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


def _belongs(chain: Sequence[Sequence[TextLine]], row: Sequence[TextLine]) -> bool:
    """Whether a row shares two columns with a chain; it may share less, or have less, where it begins as the last."""
    shared, begins = _shared(chain, row), abs(row[0].box[0] - chain[-1][0].box[0]) <= ALIGNED_PX
    if len(row) < 3:
        return shared >= 2 and begins
    return shared >= 2 or (shared == 1 and begins and len(row) == len(chain[-1]))


def _shared(chain: Sequence[Sequence[TextLine]], row: Sequence[TextLine]) -> int:
    """How many cells of a row begin or end where one of a chain's does; 0 where it is far below the chain's last."""
    last = chain[-1]
    if row[0].middle - last[0].middle > ROW_REACH * median(line.height for line in last):
        return 0
    above = [line.box for upper in chain for line in upper]
    return sum(
        any(abs(line.box[0] - box[0]) <= ALIGNED_PX or abs(line.box[2] - box[2]) <= ALIGNED_PX for box in above)
        for line in row
    )
