"""Charts: two axes that meet at the lower left, with numbers along both."""

from __future__ import annotations

from collections.abc import Sequence

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
        if len(beside) < LEAST_TICKS:
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
        if len(under) < 3:
            continue
        box = union([(x, top, right, bottom), *(line.box for line in beside), *(line.box for line in under)])
        if not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in found
        ):
            found.append(box)
    return found


def with_legend(chart: Box, legend: Box) -> bool:
    """Whether a legend stands in a chart or level with it, to its right."""
    level = chart[1] - 12 <= legend[1] and legend[3] <= chart[3] + 40
    return level and chart[0] <= legend[0] and legend[0] - chart[2] <= LEGEND_REACH_PX


def _level_end(band: np.ndarray, start: int) -> float:
    """x at which a level line that begins at `start` ends."""
    columns = np.flatnonzero(band[:, start:].any(axis=0))
    if not len(columns):
        return float(start)
    breaks = np.flatnonzero(np.diff(columns) > GAP_PX)
    last = columns[breaks[0]] if len(breaks) else columns[-1]
    return float(start + last + 1)
