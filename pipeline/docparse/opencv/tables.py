"""Tables that no cells show: with a few rules, with stripes, or by the alignment of their text alone (`aligned`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pipeline.docparse.opencv.aligned import ALIGNED_PX, CELL_GAP, aligned_tables
from pipeline.docparse.opencv.geometry import area, overlap, share_inside, union
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.words import Box

LEAST_RULES = 3
RULE_REACH = 3.0
"""From a rule to the text of its row are no more than so many letter heights."""
STRIPE_HEIGHT_PX = (16.0, 110.0)
STRIPE_LEAST_WIDTH_PX = 120.0
FRAME_LEAST_PX = 26.0
AT_RULE_PX = 3.0
CELL_RULES = 1.6
"""A cell's rules are so many times as long as it is wide."""


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
    found += [_made(box, free, 0.85) for box in aligned_tables(free)]
    return found


def between_rules(shape: Shape, rules: Sequence[Box]) -> bool:
    """Whether a shape is a cell: it reaches from one rule to another, and both go on to its sides."""
    left, top, right, bottom = shape.box
    over = [
        rule
        for rule in rules
        if rule[2] - rule[0] >= CELL_RULES * shape.width
        and rule[0] <= left + ALIGNED_PX
        and rule[2] >= right - ALIGNED_PX
    ]
    return all(any(rule[1] - AT_RULE_PX <= side <= rule[3] + AT_RULE_PX for rule in over) for side in (top, bottom))


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
    groups: list[list[Box]] = []
    left_over = list(rules)
    while left_over:
        first = left_over[0]
        groups.append(
            [r for r in left_over if abs(r[0] - first[0]) <= ALIGNED_PX and abs(r[2] - first[2]) <= ALIGNED_PX]
        )
        left_over = [rule for rule in left_over if rule not in groups[-1]]
    found = []
    for same in groups:
        others = [group for group in groups if group is not same and len(group) >= LEAST_RULES]
        chain = [same[0]]
        for upper, lower in pairwise(same):
            if lower[1] - upper[3] < 6:
                continue
            space = (same[0][0], upper[3], same[0][2], lower[1])
            around = (space[0] - 4, upper[1], space[2] + 4, lower[3])
            between = [line for line in lines if share_inside(line.box, around) > 0.8]
            empty = (
                not any(overlap(space, box) > 0.3 * area(box) for box in taken)
                and not any(_drawn_between(shape, space) for shape in shapes)
                and not any(sum(overlap(rule, space) > 0 for rule in group) >= LEAST_RULES for group in others)
            )
            if between and empty and _mostly_tabular(between) and _close(between, space):
                chain.append(lower)
                continue
            if len(chain) >= LEAST_RULES:
                found.append(union(chain))
            chain = [lower]
        if len(chain) >= LEAST_RULES:
            found.append(union(chain))
    return found


def _drawn_between(shape: Shape, space: Box) -> bool:
    """Whether a shape stands between two rules on its own; one that reaches from rule to rule is a cell."""
    cell = shape.box[1] <= space[1] + AT_RULE_PX and shape.box[3] >= space[3] - AT_RULE_PX
    return (
        share_inside(shape.box, space) > 0.9
        and shape.height > FRAME_LEAST_PX
        and shape.width < 0.8 * (space[2] - space[0])
        and not cell
    )


def _close(lines: Sequence[TextLine], space: Box) -> bool:
    """Whether lines begin right under the upper of two rules and end right over the lower."""
    most = RULE_REACH * median(line.height for line in lines)
    return (
        min(line.box[1] for line in lines) - space[1] <= most and space[3] - max(line.box[3] for line in lines) <= most
    )


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
            if aligned and -4 <= away <= 2.2 * min(strip.height, last.height) and _row_between(last, strip, lines):
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
