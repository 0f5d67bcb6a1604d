"""Arrows: thin lines that end in a head, followed from shape to shape through bends, crossings, gaps and labels.

What is left of the page's ink is closed over the gaps of dashes and over labels, thinned to a graph, cleared of the
spurs that heads leave, and each end of the graph is looked at: which shape is near, and is there a head. In a part with
several ends, heads are joined to bare ends along the ways that turn least; arrows may share part of their way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np

from pipeline.docparse.opencv.arrow import Arrow, Stop, around
from pipeline.docparse.opencv.behind import carried_behind
from pipeline.docparse.opencv.components import components
from pipeline.docparse.opencv.ends import (
    CONTACT_PX,
    HEAD_RADIUS_PX,
    HEAD_RATIO,
    HEAD_SIDES_PX,
    Drawn,
    End,
    Nearness,
    end_of,
    reaching,
)
from pipeline.docparse.opencv.geometry import gap, grown, union
from pipeline.docparse.opencv.interrupted import mended, parted
from pipeline.docparse.opencv.routes import meeting_of, pairs_of, route
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels
from pipeline.docparse.opencv.skeleton import Graph, Pixel, Way, direction, graph_of, thinned, turn
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.words import Box

DASH_GAP_PX = 9
SPUR_PX = 22.0
"""Ways of an open head are shorter."""
WING_LEAN = 1.3
"""Radians; they lie no further from the line."""
MIN_LENGTH_PX = 14.0
MIN_LOOSE_LENGTH_PX = 44.0
LABEL_REACH_PX = 15.0
LABEL_WIDEST_PX = 200.0
LABEL_LEAST_INK_PX = 8
OPPOSITE = 1.9
ALIGNED = 0.35
"""Radians."""
MOST_WAYS = 12
"""A part with more ends is a drawing of another kind."""
SHORT_PX = 36
"""Things so short that little is left of them when they are thinned are looked at as they are."""
SHORT_LEAST_INK_PX = 25
STRAIGHT = 0.9
HIDDEN_HEAD = 1.4
"""No head is seen at an end no wider than this."""
ALIKE_HEADS = 0.5
HEAD_WIDE_PX = 11.0
"""The width of a head where none is seen on a page."""
TWIN_PX = 14.0
"""Ends at one shape no further from one another are one that thinning has split."""
ROUND_TRIP_PX = 60.0
"""An arrow that leads back to where it starts is at least so long; less is a remnant of the shape."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What arrows are read from."""

    ink: Pixels
    """uint8: lines without text, shapes and frames, closed over labels."""
    whole: Pixels
    """uint8: all ink."""
    shapes: Sequence[Shape]
    drawn: Drawn


def find_arrows(ink: Pixels, shapes: Sequence[Shape], lines: Sequence[TextLine], whole: Pixels) -> list[Arrow]:
    """Arrows in ink (uint8) from which text, shapes and frames were taken out; `whole` is the ink with them."""
    if not ink.any():
        return []
    joined = _over_labels(ink, lines)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (DASH_GAP_PX, DASH_GAP_PX))
    closed = cv2.dilate(joined, kernel)
    half = (cv2.resize(closed * 255, (ink.shape[1] // 2, ink.shape[0] // 2), interpolation=cv2.INTER_AREA) > 90).astype(
        np.uint8
    )
    near = Nearness(shapes, half.shape)
    arrows, half = _short_ones(half, ink, near, shapes, whole)
    if not half.any():
        return arrows
    graph = graph_of(thinned(half))
    _pruned(graph, near)
    mended(graph, near, _label_boxes(lines))
    parted(graph, near)
    seen = Lines(joined, whole, shapes, Drawn(graph))
    for part in graph.parts():
        arrows += _arrows_of(graph, part, near, seen)
    return [_with_head(arrow, arrows) for arrow in carried_behind(arrows, shapes)]


def _short_ones(
    half: Pixels, ink: Pixels, near: Nearness, shapes: Sequence[Shape], whole: Pixels
) -> tuple[list[Arrow], Pixels]:
    """(arrows too short to be thinned, the mask without them, specks, blots and what is too large for a line)."""
    labels, stats = components(half, 8)
    w, h, ink_px = (stats[:, column].astype(np.float64) for column in (2, 3, 4))
    longest = np.maximum(w, h)
    kept = (longest >= MIN_LENGTH_PX / 2) & (ink_px <= 14 * (w + h) + 80)
    kept[0] = False
    arrows = []
    for index in np.flatnonzero(kept & (2 * longest <= SHORT_PX + DASH_GAP_PX)):
        left, top, wide, tall = (int(value) for value in stats[index, :4])
        part = (labels[top : top + tall, left : left + wide] == index).repeat(2, axis=0).repeat(2, axis=1)
        ys, xs = np.nonzero(ink[2 * top : 2 * (top + tall), 2 * left : 2 * (left + wide)] & part)
        short = _short(np.stack([xs + 2 * left, ys + 2 * top], axis=1).astype(np.float64), near, shapes, whole)
        if short is not None:
            arrows.append(short)
            kept[index] = False
    mask: Pixels = kept[labels].astype(np.uint8)
    return arrows, mask


def _short(points: Pixels, near: Nearness, shapes: Sequence[Shape], whole: Pixels) -> Arrow | None:
    """The arrow that inked points (n, 2) between two shapes make; its head is where most of them are."""
    if len(points) < SHORT_LEAST_INK_PX:
        return None
    middle = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - middle, full_matrices=False)
    along = (points - middle) @ axes[0]
    ends = []
    for place in (along.min(), along.max()):
        x, y = middle + place * axes[0]
        index, away = near.of((round(x / 2), round(y / 2)))
        ends.append(End(-1, (float(x), float(y)), index, away, float((abs(along - place) < 8).sum())))
    tail, head = sorted(ends, key=lambda end: end.head)
    if tail.shape is None or head.shape is None or tail.shape == head.shape:
        return None
    way = np.stack([middle, middle])
    # Of so little it is not sure which end carries the head.
    ways = [reaching(end, way, shapes[end.shape], whole, bare=True) for end in ends if end.shape is not None]
    parts = [points, *ways]
    onward = math.atan2(head.at[1] - tail.at[1], head.at[0] - tail.at[0])
    stops = Stop(tail.at, onward + math.pi), Stop(head.at, onward)
    return around(np.concatenate(parts), tail.shape, head.shape, False, stops, HEAD_RATIO)


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
        count, labels = cv2.connectedComponents(together, connectivity=8)
        coming = []
        for index in range(1, count):
            ys, xs = np.nonzero((labels == index) & (ring > 0))
            if len(xs) >= LABEL_LEAST_INK_PX:
                coming.append(np.stack([xs + left, ys + top], axis=1).astype(np.float64))
        middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        for a, b in combinations(coming, 2):
            if _goes_on(a, b, middle, alone=len(coming) == 2):
                near_a, near_b = _nearest(a, b.mean(axis=0)), _nearest(b, a.mean(axis=0))
                ends = [(round(float(x)), round(float(y))) for x, y in (near_a, near_b)]
                cv2.line(joined, ends[0], ends[1], 1, 3)
    return joined


def _goes_on(a: Pixels, b: Pixels, middle: Pixels, *, alone: bool) -> bool:
    """Whether lines (n, 2) that come to a label are one that goes on behind it: alone on opposite sides, or aligned."""
    one, two = a.mean(axis=0), b.mean(axis=0)
    opposite = turn(_angle(one - middle), _angle(two - middle)) >= OPPOSITE
    if alone and opposite:
        return True
    across = _angle(two - one)
    leans = [turn(_angle(_nearest(a, two) - one), across), turn(_angle(two - _nearest(b, one)), across)]
    return max(leans) <= ALIGNED and all(_is_thin(points) for points in (a, b))


def _angle(way: Pixels) -> float:
    return math.atan2(way[1], way[0])


def _nearest(points: Pixels, to: Pixels) -> Pixels:
    nearest: Pixels = points[((points - to) ** 2).sum(axis=1).argmin()]
    return nearest


def _is_thin(points: Pixels) -> bool:
    """Whether points lie along a line of an arrow's width, or are its head."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False) / len(points) ** 0.5
    return bool(spread[1] <= 4.0)


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


def _pruned(graph: Graph, near: Nearness) -> None:
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
        gone: list[Way] = []
        for _, way in sorted(spurs, key=lambda pair: pair[0]):
            root = way.end if len(graph.at(way.start)) == 1 else way.start
            if root not in roots:
                roots.add(root)
                gone += _wings(graph, root) or [way]
        graph.ways = [way for way in graph.ways if not any(way is other for other in gone)]
        graph.smooth()


def _wings(graph: Graph, root: int) -> list[Way]:
    """Both sides of an open head whose tip is a junction: two short ways that lean back along a third; else none."""
    *wings, stem = sorted(graph.at(root), key=lambda way: len(way.pixels))
    if len(wings) != 2 or 2 * len(wings[1].pixels) > SPUR_PX or stem.start == stem.end:
        return []
    back = direction(stem.seen_from(root))
    if any(
        len(graph.at(way.other(root))) != 1 or turn(direction(way.seen_from(root)), back) > WING_LEAN for way in wings
    ):
        return []
    return wings


def _leads(graph: Graph, way: object, root: int, near: Nearness, here: float) -> bool:
    """Whether another short way at the same junction leads nearer to a shape."""
    for other in graph.at(root):
        if other is way and 2 * len(other.pixels) <= SPUR_PX:
            end = other.other(root)
            return len(graph.at(end)) == 1 and near.of(graph.places[end])[1] < here
    return False


def _arrows_of(graph: Graph, part: Sequence[int], near: Nearness, seen: Lines) -> list[Arrow]:
    members = set(part)
    ways = [way for way in graph.ways if way.start in members]
    pixels = [pixel for way in ways for pixel in way.pixels]
    if len(pixels) * 2 < MIN_LENGTH_PX:
        return []
    width = _width(seen.ink, pixels)
    if width > 10:
        return []
    tips = [node for node in part if len(graph.at(node)) == 1]
    ends = [end_of(graph, node, ways, near, seen.ink, seen.whole, width, seen.drawn) for node in tips]
    if not 2 <= len(ends) <= MOST_WAYS:
        return []
    if len(ends) == 2:
        return _single(ways, ends[0], ends[1], seen, width)
    return _several(ways, ends, seen, width)


def _width(ink: Pixels, pixels: Sequence[Pixel]) -> float:
    """The width of a line at pixels of the graph."""
    places = 2 * np.array(pixels)
    low, high = (places.min(axis=0) - 8).clip(0), places.max(axis=0) + 9
    part = np.ascontiguousarray(ink[low[1] : high[1], low[0] : high[0]])
    # The graph is at half size: its pixels may lie beside the line's middle.
    thickness = cv2.dilate(cv2.distanceTransform(part, cv2.DIST_L2, 3), np.ones((5, 5), np.uint8))
    height, width = part.shape
    # Where ink fills all of it, nothing says how thick it is.
    core = thickness.clip(0, 100)[
        (places[:, 1] - low[1]).clip(0, height - 1), (places[:, 0] - low[0]).clip(0, width - 1)
    ]
    core = core[core > 0]
    return max(1.6, 2 * float(np.median(core)) - 0.7) if core.size else 2.0


def _single(ways: Sequence[Way], a: End, b: End, seen: Lines, width: float) -> list[Arrow]:
    tail, head = (a, b) if b.head >= a.head else (b, a)
    found = route(meeting_of(ways), tail.node, head.node)
    if found is None:
        return []
    _, pixels = found
    length = 2.0 * len(pixels)
    touching = tail.shape is not None or head.shape is not None
    if tail.shape is not None and head.shape is not None and tail.shape != head.shape:
        both = _both_headed(tail, head)
        return [_arrow(pixels, tail, head, both, seen, width)]
    if not head.headed or length < (MIN_LENGTH_PX if touching else MIN_LOOSE_LENGTH_PX):
        return []
    if tail.shape is not None and tail.shape == head.shape and length < ROUND_TRIP_PX:
        return []
    return [_arrow(pixels, tail, head, False, seen, width)]


def _both_headed(tail: End, head: End) -> bool:
    """Whether an arrow has two heads: as they are alike, less at its tail is what an outline left there."""
    return tail.headed and tail.head - 1 > ALIKE_HEADS * (head.head - 1)


def _several(ways: Sequence[Way], ends: Sequence[End], seen: Lines, width: float) -> list[Arrow]:
    touching: list[End] = []
    for end in sorted(ends, key=lambda end: -end.head):
        twin = any(end.shape == one.shape and math.dist(end.at, one.at) <= TWIN_PX for one in touching)
        if end.shape is not None and not twin:
            touching.append(end)
    if len(touching) < 2:
        return []
    return [
        _arrow(
            route.pixels,
            touching[tail],
            touching[head],
            _both_headed(touching[tail], touching[head]),
            seen,
            width,
            route.cost,
        )
        for tail, head, route in pairs_of(ways, touching)
    ]


def _arrow(
    pixels: Sequence[Pixel], tail: End, head: End, both: bool, seen: Lines, width: float, doubt: float = 0.0
) -> Arrow:
    """The arrow along a way: its width, the ink of its heads, and what was taken off at the shapes."""
    way = np.array(pixels, np.float64) * 2 + 0.5
    half = width / 2
    corners = [way + offset for offset in ((-half, -half), (half, half), (-half, half), (half, -half))]
    parts = [*corners]
    for end in (head, tail) if both else (head,):
        parts.append(_near(seen.ink, end.at, HEAD_RADIUS_PX + 3))
        # Thinning may have gone to one corner of a head cut at the outline: the other lies beside the line.
        inner = way[min(len(way), 5) - 1] if end is tail else way[-min(len(way), 5)]
        parts.append(_near(seen.ink, (float(inner[0]), float(inner[1])), HEAD_RADIUS_PX))
    for end in (tail, head):
        parts.append(_near(seen.ink, end.at, 4))
        if end.shape is not None:
            parts.append(reaching(end, way, seen.shapes[end.shape], seen.whole, bare=not end.headed))
    stops = Stop(tail.at, _outward(pixels)), Stop(head.at, _outward(pixels[::-1]))
    together = np.concatenate([part for part in parts if len(part)])
    return around(together, tail.shape, head.shape, both, stops, head.head, doubt)


def _with_head(arrow: Arrow, others: Sequence[Arrow]) -> Arrow:
    """An arrow between two shapes whose head is hidden by what lies over it, as wide as the other heads are."""
    if arrow.headed > HIDDEN_HEAD or arrow.start is None or arrow.end is None:
        return arrow
    seen = [1 + HEAD_SIDES_PX * (other.headed - 1) for other in others if other.headed > HEAD_RATIO]
    half, (x, y), angle = float(np.median(seen or [HEAD_WIDE_PX])) / 2, arrow.head.at, arrow.head.outward + math.pi / 2
    aside = np.array([[half * math.cos(angle), half * math.sin(angle)]])
    points = np.concatenate([arrow.points, np.array([[x, y]]) + aside, np.array([[x, y]]) - aside])
    ends = arrow.tail, arrow.head
    return around(points, arrow.start, arrow.end, arrow.both_ways, ends, arrow.headed, arrow.doubt)


def _outward(pixels: Sequence[Pixel]) -> float:
    """Angle in which a line leaves by its first pixel, but for what its very end does at an outline."""
    near, far = pixels[min(4, len(pixels) - 1)], pixels[min(18, len(pixels) - 1)]
    if math.dist(near, far) < STRAIGHT * (min(18, len(pixels) - 1) - 4):
        near, far = pixels[min(1, len(pixels) - 1)], pixels[min(8, len(pixels) - 1)]  # a corner is right behind it
    if near == far:
        near = pixels[0]
    return math.atan2(near[1] - far[1], near[0] - far[0])


def _near(ink: Pixels, at: tuple[float, float], radius: float) -> Pixels:
    """Inked points (n, 2) around a point."""
    x, y, reach = round(at[0]), round(at[1]), round(radius)
    left, top = max(0, x - reach), max(0, y - reach)
    ys, xs = np.nonzero(ink[top : y + reach + 1, left : x + reach + 1])
    points = np.stack([xs + left, ys + top], axis=1).astype(np.float64)
    near: Pixels = points[np.hypot(points[:, 0] - x, points[:, 1] - y) <= radius]
    return near
