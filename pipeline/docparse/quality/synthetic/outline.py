"""Outlines of shapes, ways of arrows between them, and the tremble of a hand, as points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from random import Random

from pipeline.docparse.quality.synthetic.ink import Point, Rect

FORMS = ("box", "round", "pill", "ellipse", "diamond", "slanted", "hexagon", "cylinder")


def outline(form: str, box: Rect) -> list[Point]:
    """Closed outline of a form that fills a box."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    cx, cy = (left + right) / 2, (top + bottom) / 2
    if form == "box":
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    if form in ("round", "pill"):
        radius = min(width, height) * (0.5 if form == "pill" else 0.18)
        return _round(box, radius)
    if form == "ellipse":
        return arc(cx, cy, width / 2, height / 2, 0, 360)
    if form == "diamond":
        return [(cx, top), (right, cy), (cx, bottom), (left, cy)]
    lean = min(0.25 * width, 0.35 * height)
    if form == "slanted":
        return [(left + lean, top), (right, top), (right - lean, bottom), (left, bottom)]
    if form == "hexagon":
        return [
            (left + lean, top),
            (right - lean, top),
            (right, cy),
            (right - lean, bottom),
            (left + lean, bottom),
            (left, cy),
        ]
    if form == "cylinder":
        lid = min(0.14 * height, 7.0)
        upper = arc(cx, top + lid, width / 2, lid, 180, 360)
        return [*upper, *arc(cx, bottom - lid, width / 2, lid, 0, 180)]
    raise ValueError(f"there is no form {form!r}: use {', '.join(FORMS)}")


def room(form: str, width: float) -> float:
    """Width that a line of text has in the middle of a form."""
    return width * {"diamond": 0.55, "ellipse": 0.72, "slanted": 0.66, "hexagon": 0.72}.get(form, 0.86)


def arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float, steps: int = 40) -> list[Point]:
    """Points of an elliptic arc, degrees clockwise from three o'clock."""
    turns = [math.radians(start + (end - start) * step / steps) for step in range(steps + 1)]
    return [(cx + rx * math.cos(turn), cy + ry * math.sin(turn)) for turn in turns]


def _round(box: Rect, radius: float) -> list[Point]:
    left, top, right, bottom = box
    corners = (
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
        (right - radius, top + radius, 270),
    )
    return [point for x, y, turn in corners for point in arc(x, y, radius, radius, turn, turn + 90, 8)]


def border_point(points: Sequence[Point], centre: Point, toward: Point) -> Point:
    """Where the ray from `centre` toward a point leaves a closed outline."""
    dx, dy = toward[0] - centre[0], toward[1] - centre[1]
    best: tuple[float, Point] | None = None
    for (ax, ay), (bx, by) in itertools.pairwise([*points, points[0]]):
        ex, ey = bx - ax, by - ay
        cross = dx * ey - dy * ex
        if abs(cross) < 1e-9:
            continue
        along = ((ax - centre[0]) * ey - (ay - centre[1]) * ex) / cross
        share = ((ax - centre[0]) * dy - (ay - centre[1]) * dx) / cross
        if along > 0 and -1e-6 <= share <= 1 + 1e-6 and (best is None or along > best[0]):
            best = along, (centre[0] + along * dx, centre[1] + along * dy)
    if best is None:
        raise ValueError("the point lies at the centre of the outline: a ray needs a direction")
    return best[1]


def moved(start: Point, end: Point, by: float) -> Point:
    """The point `by` further along the way from start to end."""
    length = math.dist(start, end) or 1.0
    return start[0] + (end[0] - start[0]) / length * by, start[1] + (end[1] - start[1]) / length * by


def bow(start: Point, control: Point, end: Point, steps: int = 24) -> list[Point]:
    """Points of the quadratic Bézier curve."""
    shares = [step / steps for step in range(steps + 1)]
    return [
        (
            (1 - t) ** 2 * start[0] + 2 * t * (1 - t) * control[0] + t * t * end[0],
            (1 - t) ** 2 * start[1] + 2 * t * (1 - t) * control[1] + t * t * end[1],
        )
        for t in shares
    ]


def length_of(way: Sequence[Point]) -> float:
    """Length of a polyline."""
    return sum(math.dist(a, b) for a, b in itertools.pairwise(way))


def cut(way: Sequence[Point], start: float, end: float) -> list[Point]:
    """The polyline without `start` of its beginning and `end` of its end."""
    return _shortened(list(reversed(_shortened(list(reversed(way)), end))), start)


def _shortened(way: list[Point], by: float) -> list[Point]:
    while len(way) > 2 and math.dist(way[0], way[1]) <= by:
        by -= math.dist(way[0], way[1])
        way = way[1:]
    return [moved(way[0], way[1], by), *way[1:]] if by > 0 else way


def at_share(way: Sequence[Point], share: float) -> Point:
    """The point at a share of the way, by length."""
    left = share * length_of(way)
    for a, b in itertools.pairwise(way):
        step = math.dist(a, b)
        if left <= step:
            return moved(a, b, left)
        left -= step
    return way[-1]


def trembling(points: Sequence[Point], random: Random, by: float, closed: bool = False) -> list[Point]:
    """The polyline as a hand would draw it: no further off than about `by`; a closed one still closes."""
    if by <= 0:
        return list(points)
    way = [*points, points[0]] if closed else list(points)
    drawn: list[Point] = []
    dx = dy = 0.0
    for a, b in itertools.pairwise(way):
        steps = max(1, round(math.dist(a, b) / 9))
        for step in range(steps):
            dx, dy = 0.6 * dx + random.uniform(-by, by) * 0.6, 0.6 * dy + random.uniform(-by, by) * 0.6
            share = step / steps
            drawn.append((a[0] + (b[0] - a[0]) * share + dx, a[1] + (b[1] - a[1]) * share + dy))
    if not closed:
        drawn[0] = way[0]
        drawn.append(way[-1])
    return drawn
