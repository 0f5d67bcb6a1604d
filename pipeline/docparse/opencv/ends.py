"""Ends of lines: where each really stops, which shape is there, and whether it carries a head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels
from pipeline.docparse.opencv.skeleton import Graph, Pixel, direction
from pipeline.docparse.opencv.unexplained import ring_of

CONTACT_PX = 25.0
"""An end so near to a shape ends at it: the outline's ring, and the gap that arrows keep."""
AHEAD_PX = 46
"""So does an end that points at a shape so far ahead: on a slanted way the same gap is longer."""
HEAD_RADIUS_PX = 11.0
HEAD_RATIO = 1.4
"""An end with so much more ink than the bare line would have there carries a head."""
TIP_REACH_PX = 26
"""Thinning takes no more than so much off an end."""
TIP_GAP_PX = 3
SLANTED_REACH = 2.5
"""How much further than straight across a slanted way to a shape may be."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a line."""

    node: int
    """In the graph."""
    at: tuple[float, float]
    """Its tip, in pixels of the working page."""
    shape: int | None
    away: float
    """From the tip to the nearest shape's inside, in pixels."""
    head: float
    """Its ink over that of a bare end; 1 means that there is no head."""

    @property
    def headed(self) -> bool:
        """Whether it carries a head."""
        return self.head >= HEAD_RATIO


class Nearness:
    """Which shape is near a pixel of the graph."""

    def __init__(self, shapes: Sequence[Shape], size: tuple[int, ...]) -> None:
        self._labels = np.zeros(size, np.int32)
        covered = np.ones(size, np.uint8)
        for number, shape in enumerate(shapes, start=1):
            contour = shape.contour // 2
            cv2.drawContours(covered, [contour], -1, 0, -1)
            cv2.drawContours(self._labels, [contour], -1, number, -1)
        self._any = bool(shapes)
        self._away = cv2.distanceTransform(covered, cv2.DIST_L2, 3).clip(0, 1e4) * 2

    def of(self, pixel: Pixel) -> tuple[int | None, float]:
        """(index of the nearest shape within reach or None, distance to its inside in page pixels)."""
        height, width = self._labels.shape
        x, y = min(max(0, pixel[0]), width - 1), min(max(0, pixel[1]), height - 1)
        away = float(self._away[y, x]) if self._any else math.inf
        reach = round(CONTACT_PX / 2) + 3
        if away > CONTACT_PX + 6:
            return None, away
        left, top = max(0, x - reach), max(0, y - reach)
        window = self._labels[top : y + reach + 1, left : x + reach + 1]
        ys, xs = np.nonzero(window)
        if not len(xs):
            return None, away
        nearest = int(((xs + left - x) ** 2 + (ys + top - y) ** 2).argmin())
        index = int(window[ys[nearest], xs[nearest]]) - 1
        return (index if away <= CONTACT_PX else None), away

    def ahead(self, pixel: Pixel, angle: float) -> int | None:
        """Index of the first shape that a pixel points at, or None."""
        height, width = self._labels.shape
        for step in range(AHEAD_PX // 2):
            x, y = round(pixel[0] + step * math.cos(angle)), round(pixel[1] + step * math.sin(angle))
            if not (0 <= x < width and 0 <= y < height):
                return None
            if self._labels[y, x]:
                return int(self._labels[y, x]) - 1
        return None


def end_of(graph: Graph, node: int, near: Nearness, ink: Pixels, width: float) -> End:
    """The end of the line at a node of the graph that one way reaches; `width` is the line's, in pixels."""
    (way,) = graph.at(node)
    pixels = way.seen_from(node)
    outward = direction(pixels) + math.pi
    tip = _tip(ink, (2.0 * pixels[0][0], 2.0 * pixels[0][1]), outward)
    pixel = (round(tip[0] / 2), round(tip[1] / 2))
    shape, away = near.of(pixel)
    if shape is None:
        shape = near.ahead(pixel, outward)
    # The head's ink lies behind its tip.
    inward = pixels[min(len(pixels) - 1, 2)]
    x, y = 2 * inward[0], 2 * inward[1]
    radius = round(HEAD_RADIUS_PX)
    left, top = max(0, x - radius), max(0, y - radius)
    ys, xs = np.nonzero(ink[top : y + radius + 1, left : x + radius + 1])
    within = np.hypot(xs + left - x, ys + top - y) <= radius
    return End(node, tip, shape, away, float(within.sum()) / (1.55 * radius * width))


def _tip(ink: Pixels, start: tuple[float, float], angle: float) -> tuple[float, float]:
    """The last inked point on the way outward: thinning ends before it does."""
    height, width = ink.shape
    tip, missed = start, 0
    for step in range(1, TIP_REACH_PX):
        x, y = round(start[0] + step * math.cos(angle)), round(start[1] + step * math.sin(angle))
        if not (0 < x < width - 1 and 0 < y < height - 1):
            break
        if ink[y - 1 : y + 2, x - 1 : x + 2].any():
            tip, missed = (float(x), float(y)), 0
            continue
        missed += 1
        if missed > TIP_GAP_PX:
            break
    return tip


def reaching(end: End, way: Pixels, shape: Shape) -> Pixels:
    """The point (0 or 1, 2) at which an end that was cut with the shape's outline met it."""
    if end.away > ring_of(shape) + 4:
        return np.zeros((0, 2))
    from_last = np.hypot(*(way[-1] - end.at)) < np.hypot(*(way[0] - end.at))
    inner = way[-8] if from_last and len(way) > 8 else way[min(7, len(way) - 1)]
    along = np.array(end.at) - inner
    length = float(np.hypot(*along))
    if length < 1:
        return np.zeros((0, 2))
    onward = along / length
    # On a slanted way it is further to the outline than straight across the gap.
    for step in range(max(0, round(end.away) - 3), round(SLANTED_REACH * end.away) + 1):
        x, y = np.array(end.at) + onward * step
        if cv2.pointPolygonTest(shape.contour, (float(x), float(y)), True) >= -3:
            return np.array([[x, y]])
    return np.array([np.array(end.at) + onward * max(0.0, end.away - 3)])
