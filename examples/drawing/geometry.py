"""Plane geometry in points: boxes, and where a line that leaves a shape meets its border."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in points, origin at the page's top left corner."""

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def at(cls, x: float, y: float, width: float, height: float) -> Box:
        """The box whose top left corner is (x, y)."""
        return cls(x, y, x + width, y + height)

    @classmethod
    def around(cls, points: Iterable[Point]) -> Box:
        """The smallest box that holds every point."""
        xs, ys = zip(*points, strict=True)
        return cls(min(xs), min(ys), max(xs), max(ys))

    @classmethod
    def union(cls, boxes: Iterable[Box]) -> Box:
        """The smallest box that holds every box."""
        return cls.around(corner for box in boxes for corner in ((box.x0, box.y0), (box.x1, box.y1)))

    @property
    def width(self) -> float:
        """Extent along x."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Extent along y."""
        return self.y1 - self.y0

    @property
    def centre(self) -> Point:
        """The middle point."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def grown(self, by: float, by_y: float | None = None) -> Box:
        """The box moved outwards on every side; negative values shrink it."""
        dy = by if by_y is None else by_y
        return Box(self.x0 - by, self.y0 - dy, self.x1 + by, self.y1 + dy)

    def side(self, name: str, share: float = 0.5) -> Point:
        """The point on one side (left, right, top, bottom), `share` of the way along it."""
        match name:
            case "left":
                return self.x0, self.y0 + share * self.height
            case "right":
                return self.x1, self.y0 + share * self.height
            case "top":
                return self.x0 + share * self.width, self.y0
            case "bottom":
                return self.x0 + share * self.width, self.y1
        raise ValueError(f"a box has no side {name!r}: use left, right, top or bottom")

    def turned(self, degrees: float, about: Point) -> Box:
        """The upright box around this one after turning it clockwise (as seen on the page) about a point."""
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

        def turn(x: float, y: float) -> Point:
            dx, dy = x - about[0], y - about[1]
            return about[0] + dx * cos - dy * sin, about[1] + dx * sin + dy * cos

        return Box.around(turn(x, y) for x in (self.x0, self.x1) for y in (self.y0, self.y1))


def border_point(box: Box, toward: Point, shape: str) -> Point:
    """Where the line from a shape's centre toward a point crosses its border; shape: box, ellipse or diamond."""
    cx, cy = box.centre
    dx, dy = toward[0] - cx, toward[1] - cy
    if dx == 0 and dy == 0:
        raise ValueError("a line needs two different ends: the point is the centre of the shape")
    half_w, half_h = box.width / 2, box.height / 2
    match shape:
        case "ellipse":
            scale = 1 / math.hypot(dx / half_w, dy / half_h)
        case "diamond":
            scale = 1 / (abs(dx) / half_w + abs(dy) / half_h)
        case "box":
            scale = 1 / max(abs(dx) / half_w, abs(dy) / half_h)
        case _:
            raise ValueError(f"unknown shape {shape!r}: use box, ellipse or diamond")
    return cx + dx * scale, cy + dy * scale


def moved_toward(start: Point, end: Point, by: float) -> Point:
    """A point `by` points further along the line from start to end."""
    length = math.dist(start, end)
    return start[0] + (end[0] - start[0]) / length * by, start[1] + (end[1] - start[1]) / length * by


def along(path: Sequence[Point], share: float) -> Point:
    """The point `share` (0..1) of the way along a polyline, measured by length."""
    left = share * sum(math.dist(a, b) for a, b in itertools.pairwise(path))
    for a, b in itertools.pairwise(path):
        step = math.dist(a, b)
        if left <= step:
            return moved_toward(a, b, left) if left else a
        left -= step
    return path[-1]


def quadratic(start: Point, control: Point, end: Point, steps: int = 24) -> list[Point]:
    """Points of the quadratic Bezier curve, both ends included."""
    points = []
    for step in range(steps + 1):
        t = step / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        points.append((a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]))
    return points
