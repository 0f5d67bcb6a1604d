"""Legends: lines of text with a swatch in front of each, in a frame or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.docparse.opencv.geometry import area, share_inside, union
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.words import Box

SWATCH_WIDTH_PX = (8.0, 62.0)
SWATCH_HEIGHT_PX = 34.0
BESIDE_PX = (3.0, 30.0)
"""Between a swatch and its text."""
CLEAR_PX = 6
"""To the left of a swatch is nothing for so long."""
MAX_PAGE_SHARE = 0.25
WORD_SPACE = 0.6
"""What stands no more letter heights before text, in several parts, is a part of it."""
ALIGNED_PX = 7.0
ROW_PX = (16.0, 64.0)
"""From entry to entry in a column."""
ENTRY_GAP_PX = (8.0, 260.0)
"""From an entry's text to the next swatch in its row."""


@dataclass(frozen=True, slots=True)
class Legend:
    """A legend and what explains it."""

    box: Box
    swatches: tuple[Box, ...]
    framed: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    swatch: Box
    line: TextLine


def find_legends(sheet: Sheet, shapes: Sequence[Shape], lines: Sequence[TextLine]) -> list[Legend]:
    """Frames that hold two entries or more and little else, and loose groups of at least three."""
    ink = _without_text(sheet, lines)
    entries = [entry for line in lines if (entry := _entry(ink, line, shapes)) is not None]
    page = float(sheet.size[0] * sheet.size[1])
    legends = []
    for group in _groups(entries):
        box = union([side for entry in group for side in (entry.swatch, entry.line.box)])
        frame = _frame(box, shapes, lines, page)
        if frame is not None and len(group) >= 2:
            legends.append(Legend(frame, tuple(entry.swatch for entry in group), True))
        elif len(group) >= 3:
            legends.append(Legend(box, tuple(entry.swatch for entry in group), False))
    return _merged(legends)


def _without_text(sheet: Sheet, lines: Sequence[TextLine]) -> Pixels:
    """bool: ink of all kinds that is no text."""
    ink: Pixels = sheet.inked | sheet.solid
    for line in lines:
        left, top, right, bottom = (round(side) for side in line.box)
        ink[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = False
    return ink


def _entry(ink: Pixels, line: TextLine, shapes: Sequence[Shape]) -> _Entry | None:
    """The line with the swatch in front of it, or None."""
    if line.box[2] - line.box[0] > 420:
        return None
    left, y = round(line.box[0]), round((line.box[1] + line.box[3]) / 2)
    reach = round(SWATCH_WIDTH_PX[1] + BESIDE_PX[1])
    start = max(0, left - reach - CLEAR_PX)
    near = ink[max(0, y - 11) : y + 12, start:left]
    columns = np.flatnonzero(near.any(axis=0))
    if not len(columns):
        return None
    # From the text leftwards: a gap, the swatch, and nothing for a while; dashes of a line swatch stand close.
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > CLEAR_PX) + 1)
    # A torn letter's stem right before the text is no swatch.
    while len(runs) > 1 and len(runs[-1]) < 7 and left - start - runs[-1][-1] < 16:
        runs.pop()
    run = runs[-1]
    swatch_left, swatch_right = start + int(run[0]), start + int(run[-1]) + 1
    wide, gap = swatch_right - swatch_left, left - swatch_right
    if not (SWATCH_WIDTH_PX[0] <= wide <= SWATCH_WIDTH_PX[1] and BESIDE_PX[0] <= gap <= BESIDE_PX[1]):
        return None
    if swatch_left - CLEAR_PX < start + 1 and start > 0:
        return None
    rows = np.flatnonzero(ink[max(0, y - 30) : y + 31, swatch_left:swatch_right].any(axis=1)) + max(0, y - 30)
    runs_down = np.split(rows, np.flatnonzero(np.diff(rows) > 2) + 1)
    own = [run for run in runs_down if len(run) and run[0] - 8 <= y <= run[-1] + 8]
    if not own:
        return None
    top, bottom = int(min(run[0] for run in own)), int(max(run[-1] for run in own)) + 1
    if max(bottom - top - 6, wide - 20) < 0:
        return None
    if gap < WORD_SPACE * line.height and (np.diff(run) > 1).any():
        # A dash that marks an item, and a short word.
        return None
    if bottom - top > SWATCH_HEIGHT_PX or abs((top + bottom) / 2 - y) > 8:
        return None
    swatch = (float(swatch_left), float(top), float(swatch_right), float(bottom))
    if any(
        share_inside(swatch, other.box) > 0.9 and area(other.box) < 3 * area(swatch) and other.width > 80
        for other in shapes
    ):
        return None
    if any(
        share_inside(line.box, other.inner) > 0.8
        and swatch_left < other.inner[0] + 2
        and other.height > 1.5 * line.height
        for other in shapes
    ):
        # The swatch would be the outline of the node that the text stands in.
        return None
    return _Entry(swatch, line)


def _groups(entries: Sequence[_Entry]) -> list[list[_Entry]]:
    """Entries under one another with swatches in line, or beside one another."""
    group = list(range(len(entries)))

    def find(index: int) -> int:
        while group[index] != index:
            index = group[index]
        return index

    for i, a in enumerate(entries):
        for j, b in enumerate(entries):
            if i != j and (_under(a, b) or _beside(a, b)):
                group[find(j)] = find(i)
    found: dict[int, list[_Entry]] = {}
    for index, entry in enumerate(entries):
        found.setdefault(find(index), []).append(entry)
    return list(found.values())


def _middle(box: Box) -> float:
    return (box[1] + box[3]) / 2


def _under(a: _Entry, b: _Entry) -> bool:
    in_line = (
        abs(a.swatch[0] - b.swatch[0]) <= ALIGNED_PX
        or abs((a.swatch[0] + a.swatch[2]) - (b.swatch[0] + b.swatch[2])) <= 2 * ALIGNED_PX
    )
    return (
        in_line
        and abs(a.line.box[0] - b.line.box[0]) <= ALIGNED_PX
        and ROW_PX[0] <= _middle(b.swatch) - _middle(a.swatch) <= ROW_PX[1]
    )


def _beside(a: _Entry, b: _Entry) -> bool:
    gap = b.swatch[0] - a.line.box[2]
    return abs(_middle(a.line.box) - _middle(b.line.box)) <= 5 and ENTRY_GAP_PX[0] <= gap <= ENTRY_GAP_PX[1]


def _frame(box: Box, shapes: Sequence[Shape], lines: Sequence[TextLine], page: float) -> Box | None:
    """The smallest box around all entries, if it holds little besides."""
    around = [
        shape
        for shape in shapes
        if shape.solidity > 0.85
        and shape.fill > 0.8
        and share_inside(box, shape.box) > 0.98
        and area(shape.box) < min(MAX_PAGE_SHARE * page, 9 * area(box) + 6000)
    ]
    if not around:
        return None
    frame = min(around, key=lambda shape: area(shape.box)).box
    others = sum(share_inside(line.box, frame) > 0.8 and share_inside(line.box, box) < 0.5 for line in lines)
    return frame if others <= 2 else None


def _merged(legends: Sequence[Legend]) -> list[Legend]:
    """One legend for each frame, though its columns were seen apart."""
    found: list[Legend] = []
    for legend in sorted(legends, key=lambda one: -area(one.box)):
        home = next((i for i, other in enumerate(found) if share_inside(legend.box, other.box) > 0.8), None)
        if home is None:
            found.append(legend)
        else:
            found[home] = Legend(found[home].box, (*found[home].swatches, *legend.swatches), found[home].framed)
    return found
