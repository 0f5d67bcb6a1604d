"""Arrows: thin lines that end in a head, followed from shape to shape through bends, crossings, gaps and labels.

What is left of the page's ink is closed over the gaps of dashes and over labels, thinned to a graph, cleared of the
spurs that heads leave, and each end of the graph is looked at: which shape is near, and is there a head. In a part with
several ends, heads are joined to bare ends along the ways that turn least; arrows may share part of their way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.docparse.opencv.geometry import gap, grown, union
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels
from pipeline.docparse.opencv.skeleton import Graph, Pixel, direction, graph_of, thinned, turn
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.opencv.unexplained import ring_of
from pipeline.docparse.words import Box

DASH_GAP_PX = 9
CONTACT_PX = 25.0
"""An end so near to a shape ends at it: the outline's ring, and the gap that arrows keep."""
AHEAD_PX = 46
"""So does an end that points at a shape so far ahead: on a slanted way the same gap is longer."""
SPUR_PX = 22.0
"""Ways of an open head are shorter."""
HEAD_RADIUS_PX = 11.0
HEAD_RATIO = 1.4
"""An end with so much more ink than the bare line would have there carries a head."""
MIN_LENGTH_PX = 14.0
MIN_LOOSE_LENGTH_PX = 44.0
LABEL_REACH_PX = 15.0
LABEL_WIDEST_PX = 200.0
MOST_WAYS = 12
"""A part with more ends is a drawing of another kind."""
MOST_STEPS = 60


@dataclass(frozen=True, slots=True)
class Arrow:
    """One arrow; `start` and `end` are indices of the shapes that it joins."""

    box: Box
    points: Pixels
    """float (n, 2): outermost points of its ink, for boxes on a tilted page."""
    start: int | None
    end: int | None
    both_ways: bool
    headed: float
    """Ink at its head over ink at a bare end; 1 means that no head was seen."""


@dataclass(frozen=True, slots=True)
class _End:
    node: int
    at: tuple[float, float]
    shape: int | None
    away: float
    head: float


def find_arrows(ink: Pixels, shapes: Sequence[Shape], lines: Sequence[TextLine]) -> list[Arrow]:
    """Arrows in ink (uint8) from which text, shapes and frames were taken out."""
    if not ink.any():
        return []
    joined = _over_labels(ink, lines)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (DASH_GAP_PX, DASH_GAP_PX))
    closed = cv2.dilate(joined, kernel)
    half = (cv2.resize(closed * 255, (ink.shape[1] // 2, ink.shape[0] // 2), interpolation=cv2.INTER_AREA) > 90).astype(
        np.uint8
    )
    half = _long_enough(half)
    if not half.any():
        return []
    graph = graph_of(thinned(half))
    near = _Nearness(shapes, half.shape)
    _pruned(graph, near)
    thickness = _thickness(joined)
    arrows: list[Arrow] = []
    for part in graph.parts():
        arrows += _arrows_of(graph, part, near, ink, thickness, shapes)
    return arrows


def _thickness(ink: Pixels) -> Pixels:
    """Distance of inked pixels to their line's edge."""
    x, y, w, h = cv2.boundingRect(ink)
    whole = np.zeros(ink.shape, np.float32)
    part = np.pad(ink[y : y + h, x : x + w], 1)
    whole[y : y + h, x : x + w] = cv2.distanceTransform(part, cv2.DIST_L2, 3)[1:-1, 1:-1]
    return whole


def _over_labels(ink: Pixels, lines: Sequence[TextLine]) -> Pixels:
    """The ink with a stroke over each label that interrupts an arrow: one that lines reach from two sides."""
    joined = ink.copy()
    for box in _label_boxes(lines):
        left, top, right, bottom = (round(side) for side in grown(box, LABEL_REACH_PX))
        left, top = max(0, left), max(0, top)
        ring = ink[top:bottom, left:right].copy()
        inner = [round(side) for side in grown(box, 1)]
        ring[max(0, inner[1] - top) : inner[3] - top, max(0, inner[0] - left) : inner[2] - left] = 0
        together = cv2.dilate(ring, np.ones((7, 7), np.uint8))
        count, labels, _, _ = cv2.connectedComponentsWithStats(together, connectivity=8)
        seen = []
        for index in range(1, count):
            ys, xs = np.nonzero((labels == index) & (ring > 0))
            if len(xs) >= 8:
                seen.append((float(xs.mean()) + left, float(ys.mean()) + top))
        if len(seen) != 2:
            continue
        a, b = seen
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if turn(math.atan2(a[1] - y, a[0] - x), math.atan2(b[1] - y, b[0] - x)) < 1.9:
            continue
        cv2.line(joined, (round(a[0]), round(a[1])), (round(b[0]), round(b[1])), 1, 3)
    return joined


def _label_boxes(lines: Sequence[TextLine]) -> list[Box]:
    """Short texts, with lines right under one another taken together."""
    boxes: list[Box] = []
    for line in sorted(lines, key=lambda line: line.box[1]):
        if line.box[2] - line.box[0] > LABEL_WIDEST_PX:
            continue
        for index, box in enumerate(boxes):
            if gap(box, line.box) <= 8 and abs((box[0] + box[2]) - (line.box[0] + line.box[2])) <= 30:
                boxes[index] = union([box, line.box])
                break
        else:
            boxes.append(line.box)
    return boxes


def _long_enough(half: Pixels) -> Pixels:
    """The mask without specks, blots and what is too large to be an arrow's line."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(half, connectivity=8)
    w, h, ink = (stats[:, column].astype(np.float64) for column in (2, 3, 4))
    longest = np.maximum(w, h)
    kept = (longest >= MIN_LENGTH_PX / 2) & (ink <= 9 * (w + h) + 80)
    kept[0] = False
    mask: Pixels = kept[labels].astype(np.uint8)
    return mask


class _Nearness:
    """Which shape is near a pixel."""

    def __init__(self, shapes: Sequence[Shape], size: tuple[int, ...]) -> None:
        self._labels = np.zeros(size, np.int32)
        self._rings = [ring_of(shape) for shape in shapes]
        covered = np.ones(size, np.uint8)
        for number, shape in enumerate(shapes, start=1):
            contour = shape.contour // 2
            cv2.drawContours(covered, [contour], -1, 0, -1)
            cv2.drawContours(self._labels, [contour], -1, number, -1)
        self._any = bool(shapes)
        self._away = cv2.distanceTransform(covered, cv2.DIST_L2, 3).clip(0, 1e4) * 2

    def of(self, pixel: Pixel) -> tuple[int | None, float]:
        """(index of the nearest shape within reach or None, distance to its inside in page pixels)."""
        x, y = pixel
        height, width = self._labels.shape
        away = float(self._away[min(y, height - 1), min(x, width - 1)]) if self._any else math.inf
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


def _pruned(graph: Graph, near: _Nearness) -> None:
    """Take away spurs: short ways from a junction to an end, but not the one that leads on to a shape."""
    for _ in range(4):
        spurs = []
        for way in graph.ways:
            ends = [node for node in (way.start, way.end) if len(graph.at(node)) == 1]
            if len(ends) != 1 or 2 * len(way.pixels) > SPUR_PX:
                continue
            root = way.other(ends[0])
            here, there = near.of(graph.places[ends[0]])[1], near.of(graph.places[root])[1]
            leads_on = here < there - 2 and here <= CONTACT_PX
            longer = sorted((len(other.pixels) for other in graph.at(root) if other is not way), reverse=True)
            if len(longer) >= 2 and not (
                leads_on and all(other is way or not _leads(graph, other, root, near, here) for other in graph.at(root))
            ):
                spurs.append((len(way.pixels), way))
        if not spurs:
            return
        roots: set[int] = set()
        gone = []
        for _, way in sorted(spurs, key=lambda pair: pair[0]):
            root = way.end if len(graph.at(way.start)) == 1 else way.start
            if root not in roots:
                roots.add(root)
                gone.append(way)
        graph.ways = [way for way in graph.ways if not any(way is other for other in gone)]
        graph.smooth()


def _leads(graph: Graph, way: object, root: int, near: _Nearness, here: float) -> bool:
    """Whether another short way at the same junction leads nearer to a shape."""
    for other in graph.at(root):
        if other is way and 2 * len(other.pixels) <= SPUR_PX:
            end = other.other(root)
            return len(graph.at(end)) == 1 and near.of(graph.places[end])[1] < here
    return False


def _arrows_of(
    graph: Graph, part: Sequence[int], near: _Nearness, ink: Pixels, thickness: Pixels, shapes: Sequence[Shape]
) -> list[Arrow]:
    ways = [way for way in graph.ways if way.start in set(part)]
    pixels = [pixel for way in ways for pixel in way.pixels]
    if len(pixels) * 2 < MIN_LENGTH_PX:
        return []
    xs, ys = np.array([p[0] for p in pixels]) * 2, np.array([p[1] for p in pixels]) * 2
    core = thickness[ys.clip(0, ink.shape[0] - 1), xs.clip(0, ink.shape[1] - 1)]
    width = max(1.6, 2 * float(np.median(core[core > 0])) - 0.7) if (core > 0).any() else 2.0
    if width > 10:
        return []
    ends = [_end(graph, node, near, ink, width) for node in part if len(graph.at(node)) == 1]
    if not 2 <= len(ends) <= MOST_WAYS:
        return []
    if len(ends) == 2:
        return _single(graph, ends[0], ends[1], ink, width, shapes)
    return _several(graph, ends, ink, width, shapes)


def _end(graph: Graph, node: int, near: _Nearness, ink: Pixels, width: float) -> _End:
    pixel = graph.places[node]
    shape, away = near.of(pixel)
    (way,) = graph.at(node)
    if shape is None:
        shape = near.ahead(pixel, direction(way.seen_from(node)) + math.pi)
    # The head's ink lies behind its tip, where thinning ends a little early.
    inward = way.seen_from(node)[min(len(way.pixels) - 1, 2)]
    x, y = 2 * inward[0], 2 * inward[1]
    radius = round(HEAD_RADIUS_PX)
    left, top = max(0, x - radius), max(0, y - radius)
    window = ink[top : y + radius + 1, left : x + radius + 1]
    gy, gx = np.nonzero(window)
    within = np.hypot(gx + left - x, gy + top - y) <= radius
    head = float(within.sum()) / (1.55 * radius * width)
    return _End(node, (2.0 * pixel[0], 2.0 * pixel[1]), shape, away, head)


def _single(graph: Graph, a: _End, b: _End, ink: Pixels, width: float, shapes: Sequence[Shape]) -> list[Arrow]:
    tail, head = (a, b) if b.head >= a.head else (b, a)
    route = _route(graph, tail.node, head.node)
    if route is None:
        return []
    _, pixels = route
    length = 2.0 * len(pixels)
    joined = tail.shape is not None and head.shape is not None and tail.shape != head.shape
    if joined:
        both = tail.head >= HEAD_RATIO and tail.head > 0.8 * head.head
        return [_arrow(pixels, tail, head, both, ink, width, shapes)]
    if head.head < HEAD_RATIO or length < (
        MIN_LENGTH_PX if head.shape is not None or tail.shape is not None else MIN_LOOSE_LENGTH_PX
    ):
        return []
    return [_arrow(pixels, tail, head, False, ink, width, shapes)]


def _several(graph: Graph, ends: Sequence[_End], ink: Pixels, width: float, shapes: Sequence[Shape]) -> list[Arrow]:
    touching = [end for end in ends if end.shape is not None]
    if len(touching) < 2:
        return []
    heads = [end for end in touching if end.head >= HEAD_RATIO]
    bare = [end for end in touching if end.head < HEAD_RATIO]
    if not heads or not bare:
        # All alike: the least and the most inked are told apart, so that every end belongs to an arrow.
        ranked = sorted(touching, key=lambda end: end.head)
        bare, heads = ranked[:1], ranked[1:]
    routes = {}
    for head in heads:
        for tail in bare:
            route = _route(graph, tail.node, head.node)
            if route is not None and tail.shape != head.shape:
                routes[head.node, tail.node] = route
    order = sorted(routes, key=lambda pair: routes[pair][0])
    by_node = {end.node: end for end in touching}
    chosen: list[tuple[int, int]] = []
    for once in (True, False):
        for pair in order:
            head_free = all(pair[0] != other[0] for other in chosen)
            tail_free = all(pair[1] != other[1] for other in chosen)
            if (head_free and tail_free) if once else (head_free or tail_free):
                chosen.append(pair)
    return [_arrow(routes[pair][1], by_node[pair[1]], by_node[pair[0]], False, ink, width, shapes) for pair in chosen]


def _route(graph: Graph, start: int, end: int) -> tuple[float, list[Pixel]] | None:
    """(cost, pixels) of the way from one node to another that turns least at junctions; None when there is none."""
    import heapq

    (first,) = graph.at(start)
    queue: list[tuple[float, int, int, float, list[Pixel]]] = []
    count = 0
    other = first.other(start)
    pixels = first.seen_from(start)
    heapq.heappush(queue, (0.002 * len(pixels), count, other, direction(pixels[::-1]) + math.pi, pixels))
    seen: dict[tuple[int, int], float] = {}
    for _ in range(MOST_STEPS):
        if not queue:
            return None
        cost, _, node, heading, pixels = heapq.heappop(queue)
        if node == end:
            return cost, pixels
        for index, way in enumerate(graph.ways):
            if node not in (way.start, way.end):
                continue
            onward = way.seen_from(node)
            bend = turn(heading, direction(onward))
            if bend > 2.6:
                continue
            total = cost + bend + 0.002 * len(onward)
            if seen.get((node, index), math.inf) <= total:
                continue
            seen[node, index] = total
            count += 1
            heapq.heappush(
                queue, (total, count, way.other(node), direction(onward[::-1]) + math.pi, pixels + onward[1:])
            )
    return None


def _arrow(
    pixels: Sequence[Pixel], tail: _End, head: _End, both: bool, ink: Pixels, width: float, shapes: Sequence[Shape]
) -> Arrow:
    """The arrow along a way: the way's width, the ink of its heads, and what was taken off at the shapes."""
    way = np.array(pixels, np.float64) * 2 + 0.5
    half = width / 2
    corners = [way + offset for offset in ((-half, -half), (half, half), (-half, half), (half, -half))]
    parts = [*corners]
    for end in (head, tail) if both else (head,):
        parts.append(_near(ink, end.at, HEAD_RADIUS_PX + 3))
    for end in (tail, head):
        parts.append(_near(ink, end.at, 4))
        if end.shape is not None:
            parts.append(_reaching(end, way, shapes[end.shape]))
    points = np.concatenate([part for part in parts if len(part)])
    low, high = points.min(axis=0), points.max(axis=0)
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    box = (float(low[0]), float(low[1]), float(high[0]) + 1, float(high[1]) + 1)
    return Arrow(box, hull, tail.shape, head.shape, both, head.head)


def _reaching(end: _End, way: Pixels, shape: Shape) -> Pixels:
    """The point at which an end that was cut with the shape's outline met it; none where it stopped before."""
    taken = ring_of(shape)
    if end.away > taken + 4:
        return np.zeros((0, 2))
    inner = (
        way[-8]
        if np.hypot(*(way[-1] - end.at)) < np.hypot(*(way[0] - end.at)) and len(way) > 8
        else way[min(7, len(way) - 1)]
    )
    along = np.array(end.at) - inner
    length = float(np.hypot(*along))
    if length < 1:
        return np.zeros((0, 2))
    return np.array([np.array(end.at) + along / length * max(0.0, end.away - 3)])


def _near(ink: Pixels, at: tuple[float, float], radius: float) -> Pixels:
    """Inked points (n, 2) around a point."""
    x, y, reach = round(at[0]), round(at[1]), round(radius)
    left, top = max(0, x - reach), max(0, y - reach)
    ys, xs = np.nonzero(ink[top : y + reach + 1, left : x + reach + 1])
    points = np.stack([xs + left, ys + top], axis=1).astype(np.float64)
    near: Pixels = points[np.hypot(points[:, 0] - x, points[:, 1] - y) <= radius]
    return near
