"""Arrows that pass behind a shape on their way: seen as a line that stops there, and an arrow that starts there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipeline.docparse.opencv.arrow import Arrow, Stop, around
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.skeleton import turn

BARE_MOST = 1.5
"""A line that stops at a shape no wider than this (`End.head`) may go on behind it."""
OFF_MIDDLE = 0.12
"""It stops so far from the middle of the shape's side, as a share of the side."""
SLANT = 0.2
"""Sine of the largest angle that such lines make with the page's sides."""
STRAIGHT = 0.3
"""Radians by which lines that meet behind a shape may be off a right angle, or off one line."""
BESIDE_PX = 4.0
CORNER_PX = 12.0
"""A corner may lie so far outside of the shape: a dash's gap may be there."""


def carried_behind(arrows: Sequence[Arrow], shapes: Sequence[Shape]) -> list[Arrow]:
    """Arrows with those joined that pass behind a shape: a line stops at it without a head, another starts there."""
    kept = list(arrows)
    for line in arrows:
        if line.headed > BARE_MOST or line.start is None or line.end is None:
            continue
        for index, stop, start in ((line.end, line.head, line.start), (line.start, line.tail, line.end)):
            onward = next(
                (
                    (other, corner)
                    for other in kept
                    if other is not line and other.start == index and other.headed > line.headed and not other.both_ways
                    if (corner := _behind(stop, other.tail, shapes[index])) is not None
                ),
                None,
            )
            if onward is None:
                continue
            other, corner = onward
            tail = line.tail if stop is line.head else line.head
            points = np.concatenate([line.points, other.points, [corner]])
            kept = [one for one in kept if one is not line and one is not other]
            kept.append(
                around(points, start, other.end, False, (tail, other.head), other.headed, line.doubt + other.doubt)
            )
            break
    return kept


def _behind(a: Stop, b: Stop, shape: Shape) -> tuple[float, float] | None:
    """Where lines that stop at a shape would meet behind it: at a right angle, or in the middle of one line; else None.

    Both are level or upright there, as elbows are. A line that stops before a shape's middle may well end there.
    """
    left, top, right, bottom = shape.box
    ways = [np.array([math.cos(stop.outward), math.sin(stop.outward)]) for stop in (a, b)]
    if any(min(abs(way)) > SLANT for way in ways):
        return None
    if abs(ways[0][0]) > abs(ways[0][1]):
        off = abs(a.at[1] - (top + bottom) / 2) / shape.height
    else:
        off = abs(a.at[0] - (left + right) / 2) / shape.width
    if off < OFF_MIDDLE:
        return None
    apart = np.array(b.at) - np.array(a.at)
    between = turn(a.outward, b.outward)
    if math.pi - between <= STRAIGHT:
        across = abs(float(ways[0][0] * apart[1] - ways[0][1] * apart[0]))
        middle = np.array(a.at) + apart / 2
        return (float(middle[0]), float(middle[1])) if across <= BESIDE_PX else None
    if abs(between - math.pi / 2) > STRAIGHT:
        return None
    along = np.linalg.solve(np.stack([ways[0], -ways[1]], axis=1), apart)
    x, y = np.array(a.at) + along[0] * ways[0]
    inside = left - CORNER_PX <= x <= right + CORNER_PX and top - CORNER_PX <= y <= bottom + CORNER_PX
    return (float(x), float(y)) if inside and along.min() > -BESIDE_PX else None
