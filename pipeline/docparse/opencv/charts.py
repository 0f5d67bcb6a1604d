"""Charts: two axes that meet at the lower left, with numbers along both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.docparse.opencv.geometry import union
from pipeline.docparse.opencv.sheet import Sheet
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.words import Box

LEAST_AXIS_PX = 110.0
LEAST_TICKS = 2
TICK_REACH_PX = 40.0
GAP_PX = 14
"""An axis may be interrupted for so long, by noise or a bar's edge."""
LEGEND_REACH_PX = 70.0
LEAST_MARKS = 3
"""Numbers too small to read count as ticks where at least so many stand beside an axis at even distances."""
MARK_HEIGHT_PX = (5, 26)
MARK_ALIGNED_PX = 5
MARK_EVENNESS = 0.12
"""Their distances are multiples of the least one, but for this share of it."""


def find_charts(sheet: Sheet, upright: Sequence[Box], lines: Sequence[TextLine]) -> list[Box]:
    """Boxes of charts with their tick labels."""
    ink = sheet.strokes | sheet.solid
    found: list[Box] = []
    for axis in upright:
        x, top, bottom = (axis[0] + axis[2]) / 2, axis[1], axis[3]
        if bottom - top < LEAST_AXIS_PX:
            continue
        beside = [
            line
            for line in lines
            if 0 <= x - line.box[2] <= TICK_REACH_PX and top - 16 <= line.middle <= bottom + 16 and line.letters <= 12
        ]
        left_ticks = [line.box for line in beside]
        if len(beside) < LEAST_TICKS:
            left_ticks = _ticks_beside(sheet, x, top, bottom)
            if len(left_ticks) < LEAST_MARKS:
                continue
        right = _level_end(ink[max(0, round(bottom) - 5) : round(bottom) + 6], round(x))
        if right - x < LEAST_AXIS_PX:
            continue
        under = [
            line
            for line in lines
            if bottom - 4 <= line.box[1] <= bottom + TICK_REACH_PX * 0.7
            and x - 20 <= line.box[0]
            and line.box[2] <= right + 40
        ]
        lower_ticks = [line.box for line in under]
        if len(under) < 3:
            lower_ticks = _ticks_under(sheet, x, right, bottom)
            if len(lower_ticks) < 3:
                continue
        box = union([(x, top, right, bottom), *left_ticks, *lower_ticks])
        if not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in found
        ):
            found.append(box)
    return found


def with_legend(chart: Box, legend: Box) -> bool:
    """Whether a legend stands in a chart or level with it, to its right."""
    level = chart[1] - 12 <= legend[1] and legend[3] <= chart[3] + 40
    return level and chart[0] <= legend[0] and legend[0] - chart[2] <= LEGEND_REACH_PX


def _ticks_beside(sheet: Sheet, x: float, top: float, bottom: float) -> list[Box]:
    """Marks of the size of numbers to the left of an axis, if they stand at even distances; else none."""
    start, first = max(0, round(x - TICK_REACH_PX - 4)), max(0, round(top) - 16)
    ink = sheet.faint[first : round(bottom) + 17, start : max(start, round(x) - 4)]
    marks = []
    for low, high in _runs(np.any(ink, axis=1), 2):
        columns = np.flatnonzero(ink[low:high].any(axis=0))
        if MARK_HEIGHT_PX[0] <= high - low <= MARK_HEIGHT_PX[1] and len(columns) >= 3:
            marks.append(
                (start + float(columns[0]), first + float(low), start + float(columns[-1]), first + float(high))
            )
    middles = np.array([(mark[1] + mark[3]) / 2 for mark in marks])
    edges = [mark[2] for mark in marks]
    if (
        len(middles) < LEAST_MARKS
        or max(edges) - min(edges) > MARK_ALIGNED_PX
        or min(mark[0] for mark in marks) < start + 2
    ):
        return []
    steps = np.diff(middles) / np.diff(middles).min()
    return marks if bool((np.abs(steps - np.round(steps)) <= MARK_EVENNESS * np.round(steps)).all()) else []


def _ticks_under(sheet: Sheet, left: float, right: float, bottom: float) -> list[Box]:
    """Words or numbers in a row under an axis."""
    start, first = max(0, round(left) - 20), round(bottom) + 4
    ink = sheet.faint[first : round(bottom + 0.7 * TICK_REACH_PX), start : round(right) + 40]
    rows = _runs(ink.any(axis=1), 1)
    if not rows:
        return []
    low, high = max(rows, key=lambda run: int(ink[run[0] : run[1]].sum()))
    if not MARK_HEIGHT_PX[0] <= high - low <= MARK_HEIGHT_PX[1]:
        return []
    return [
        (start + float(a), first + float(low), start + float(b), first + float(high))
        for a, b in _runs(ink[low:high].any(axis=0), GAP_PX)
        if b - a >= 6
    ]


def _runs(marked: Any, gap: int) -> list[tuple[int, int]]:
    """(first, after last) of stretches that are marked, those no more than `gap` apart taken together."""
    places = np.flatnonzero(marked)
    if not len(places):
        return []
    parts = np.split(places, np.flatnonzero(np.diff(places) > gap + 1) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]


def _level_end(band: np.ndarray, start: int) -> float:
    """x at which a level line that begins at `start` ends."""
    columns = np.flatnonzero(band[:, start:].any(axis=0))
    if not len(columns):
        return float(start)
    breaks = np.flatnonzero(np.diff(columns) > GAP_PX)
    last = columns[breaks[0]] if len(breaks) else columns[-1]
    return float(start + last + 1)
