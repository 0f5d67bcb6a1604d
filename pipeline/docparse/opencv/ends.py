"""Ends of lines: where each really stops, which shape is there, and whether it carries a head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels
from pipeline.docparse.opencv.skeleton import Graph, Pixel, Way, direction
from pipeline.docparse.opencv.unexplained import ring_of

CONTACT_PX = 25.0
"""An end so near to a shape ends at it: the outline's ring, and the gap that arrows keep."""
AHEAD_PX = 46
"""So does an end that points at a shape so far ahead: on a slanted way the same gap is longer."""
HEAD_RADIUS_PX = 11.0
HEAD_LENGTH_PX = 24
"""How far behind its tip a head may be widest."""
OTHERS_PX = 8
"""Other lines reach so far to their sides."""
BLOT_PX = 22
"""What is no longer than this and alone is no line."""
HEAD_SIDES_PX = 5.0
"""So much beyond the line's width, both sides together, doubles an end's `head`; the smallest heads have that much."""
HEAD_STEP = 4
"""Pixels of the graph over which a line is evened out."""
HEAD_POINTS = 4
"""So many points of a head lie as far out as it is said to reach, on each side."""
HEAD_RATIO = 1.6
"""An end with so much more ink than the bare line would have there carries a head."""
TIP_REACH_PX = 26
"""Thinning takes no more than so much off an end."""
HIDDEN_PX = 60
"""The longest piece of a line that another thing hides."""
TIP_GAP_PX = 3
HIDDEN_GAP_PX = 1
"""A line that something hides goes on there at once; behind a wider gap is a shape's outline."""
MOST_DASH_GAP_PX = 8
LEAST_APPROACH = 0.3
"""A line that comes to a shape gets so much nearer with each pixel."""
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
    """1 at a bare end; more the further it is wider than its line."""

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

    def away(self, pixels: Sequence[Pixel]) -> Pixels:
        """Distances to the nearest shape's inside (n,), in page pixels; a mended corner may lie off the page."""
        height, width = self._away.shape
        places = np.array(pixels)
        found: Pixels = self._away[places[:, 1].clip(0, height - 1), places[:, 0].clip(0, width - 1)]
        return found

    def ahead(self, pixel: Pixel, angle: float) -> int | None:
        """Index of the first shape that a pixel points at, or None."""
        height, width = self._labels.shape
        for step in range(AHEAD_PX // 2):
            x, y = round(pixel[0] + step * math.cos(angle)), round(pixel[1] + step * math.sin(angle))
            if not (0 <= x < width and 0 <= y < height):
                return None
            # A tip may be a pixel beside the way.
            here = int(self._labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max())
            if here:
                return here - 1
        return None


class Drawn:
    """The pixels of a graph's lines, in pixels of the working page: what they have drawn is no head of another."""

    def __init__(self, graph: Graph) -> None:
        self._number = {id(way): number for number, way in enumerate(graph.ways)}
        self._owner = np.repeat(np.arange(len(graph.ways)), [len(way.pixels) for way in graph.ways])
        self._places = 2 * np.array([place for way in graph.ways for place in way.pixels]).reshape(-1, 2)
        self._lines = np.array([2 * len(way.pixels) > BLOT_PX for way in graph.ways])

    def by_others(self, way: Way, part: Sequence[Way], at: tuple[float, float]) -> Pixels:
        """Places (n, 2) near a point that belong to other ways than `way`: of its own part, and lines of others.

        A blot that hangs together with no line may be the head itself, a dash further on.
        """
        counted = self._lines.copy()
        counted[[self._number[id(one)] for one in part]] = True
        counted[self._number[id(way)]] = False
        close = (abs(self._places - at) <= HEAD_LENGTH_PX + OTHERS_PX).all(axis=1)
        places = self._places[close]
        by_others: Pixels = places[counted[self._owner[close]]]
        return by_others


def end_of(
    graph: Graph, node: int, ways: Sequence[Way], near: Nearness, ink: Pixels, whole: Pixels, width: float, drawn: Drawn
) -> End:
    """The end of the line at a node of the graph that one of its part's `ways` reaches; `width` is the line's, `whole`
    all ink, `drawn` what all lines of the graph have drawn."""
    (way,) = graph.at(node)
    pixels = way.seen_from(node)
    outward = direction(pixels) + math.pi
    tip = _tip(ink, (2.0 * pixels[0][0], 2.0 * pixels[0][1]), outward)
    pixel = (round(tip[0] / 2), round(tip[1] / 2))
    shape, away = near.of(pixel)
    if shape is None:
        # Its last piece may have been taken out with a text, or a frame, that lies over it.
        hidden = _tip(whole, tip, outward, HIDDEN_PX, gap=HIDDEN_GAP_PX)
        shape, beyond = near.of((round(hidden[0] / 2), round(hidden[1] / 2)))
        if shape is not None:
            tip, away = hidden, beyond
        else:
            shape = near.ahead(pixel, outward)
    others = drawn.by_others(way, ways, tip)
    return End(node, tip, shape, away, 1 + _beside(ink, tip, pixels, others, width) / HEAD_SIDES_PX)


def _beside(ink: Pixels, tip: tuple[float, float], pixels: Sequence[Pixel], others: Pixels, width: float) -> float:
    """How far a head reaches to both sides of its line, in pixels beyond the line's width; 0 at a bare end.

    What other lines (`others`, places (n, 2)) have drawn there does not count, nor do a line's own bends.
    """
    x, y, reach = round(tip[0]), round(tip[1]), HEAD_LENGTH_PX
    left, top = max(0, x - reach), max(0, y - reach)
    ys, xs = np.nonzero(ink[top : y + reach + 1, left : x + reach + 1])
    points = np.stack([xs + left, ys + top], axis=1).astype(np.float64)
    axis = _axis(pixels)
    if not len(points) or len(axis) < 2:
        return 0.0
    ahead = axis[np.maximum(np.arange(len(axis)) - 1, 0)] - axis[np.minimum(np.arange(len(axis)) + 1, len(axis) - 1)]
    ahead /= np.maximum(1e-6, np.hypot(*ahead.T))[:, None]
    apart = points[:, None] - axis
    nearest = (apart**2).sum(axis=2).argmin(axis=1)
    off, way = apart[np.arange(len(points)), nearest], ahead[nearest]
    aside = way[:, 0] * off[:, 1] - way[:, 1] * off[:, 0]
    kept = (abs(aside) <= HEAD_RADIUS_PX) & (np.hypot(*(points - tip).T) <= reach) & (nearest < len(axis) - 1)
    lines = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    for column, row in others - (x - reach, y - reach):
        if 0 <= column < lines.shape[1] and 0 <= row < lines.shape[0]:
            cv2.circle(lines, (int(column), int(row)), math.ceil(width / 2) + 2, 1, -1)
    ys, xs = (points[:, 1] - y + reach).astype(int), (points[:, 0] - x + reach).astype(int)
    aside = np.sort(aside[kept & (lines[ys, xs] == 0)])
    if len(aside) < 2 * HEAD_POINTS:
        return 0.0
    return max(0.0, float(aside[-HEAD_POINTS] - aside[HEAD_POINTS - 1]) + 1 - width)


def _axis(pixels: Sequence[Pixel]) -> Pixels:
    """The middle of a line (n, 2) from its end inward, in pixels of the working page, evened out: thinning sways, most
    of all at the very end."""
    line = 2 * np.array(pixels[: HEAD_LENGTH_PX // 2 + 2 * HEAD_STEP], np.float64) + 0.5
    if len(line) <= 3 * HEAD_STEP:
        return line[[0, -1]] + (line[0] - line[-1]) / len(line) * np.array([[2.0], [0.0]]) if len(line) > 1 else line
    total = np.cumsum(np.vstack([np.zeros((1, 2)), line[HEAD_STEP // 2 :]]), axis=0)
    even = (total[HEAD_STEP:] - total[:-HEAD_STEP]) / HEAD_STEP
    onward = (even[0] - even[HEAD_STEP]) / HEAD_STEP
    return np.concatenate([even[0] + onward * np.arange(2 * HEAD_STEP, 0, -1)[:, None], even])


def _tip(
    ink: Pixels, start: tuple[float, float], angle: float, reach: int = TIP_REACH_PX, gap: int = TIP_GAP_PX
) -> tuple[float, float]:
    """The last inked point on the way outward: thinning ends before it does."""
    height, width = ink.shape
    tip, missed = start, 0
    for step in range(1, reach):
        x, y = round(start[0] + step * math.cos(angle)), round(start[1] + step * math.sin(angle))
        if not (0 < x < width - 1 and 0 < y < height - 1):
            break
        if ink[y - 1 : y + 2, x - 1 : x + 2].any():
            tip, missed = (float(x), float(y)), 0
            continue
        missed += 1
        if missed > gap:
            break
    return tip


def reaching(end: End, way: Pixels, shape: Shape, whole: Pixels, *, bare: bool) -> Pixels:
    """The point (0 or 1, 2) at which an end that was cut with the shape's outline met it, or stops before it in the
    `whole` ink; dashes in which a `bare` end goes on up to the outline are its own."""
    from_last = np.hypot(*(way[-1] - end.at)) < np.hypot(*(way[0] - end.at))
    inner = way[-8] if from_last and len(way) > 8 else way[min(7, len(way) - 1)]
    along = np.array(end.at) - inner
    length = float(np.hypot(*along))
    if length < 1:
        return np.zeros((0, 2))
    onward = along / length
    cut = end.away <= ring_of(shape) + 4
    if not cut and not bare:
        return np.zeros((0, 2))
    last, missed, nearest = np.array(end.at), 0, math.inf
    # On a slanted way it is further to the outline than straight across the gap.
    for step in range(round(SLANTED_REACH * end.away) + 1):
        x, y = np.array(end.at) + onward * step
        away = -cv2.pointPolygonTest(shape.contour, (float(x), float(y)), True)
        # What comes no nearer is the outline itself, at which the line only glances.
        if away > nearest - LEAST_APPROACH * step or (not cut and away <= ring_of(shape)):
            break
        nearest = away if step == 0 else nearest
        row, column = round(y), round(x)
        if not whole[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].any():
            missed += 1
            if cut or missed > MOST_DASH_GAP_PX:
                break
            continue
        last, missed = np.array([x, y]), 0
        if step >= end.away - 3 and away <= 3:
            break
    return last[None] if cut or (last != end.at).any() else np.zeros((0, 2))
