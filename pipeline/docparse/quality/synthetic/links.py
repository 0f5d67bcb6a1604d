"""Arrows between nodes: their way, their heads, and whether there is room for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.docparse.quality.synthetic.ink import Ink, Path, Point, Rect, text_width
from pipeline.docparse.quality.synthetic.nodes import Manner, Placed
from pipeline.docparse.quality.synthetic.outline import (
    at_share,
    border_point,
    bow,
    cut,
    length_of,
    moved,
    trembling,
)
from pipeline.docparse.quality.synthetic.running_text import set_lines
from pipeline.docparse.quality.synthetic.sketch import Sketch

MIN_LENGTH_PT = 16.0
CLEAR_PT = 7.0
"""An arrow keeps so far away from nodes that it doesn't join."""


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one arrow from outline to outline."""

    source: int
    target: int
    points: tuple[Point, ...]


def straight(a: Placed, b: Placed) -> list[Point]:
    """From outline to outline along the line between the centres."""
    return [border_point(a.points, a.centre, b.centre), border_point(b.points, b.centre, a.centre)]


def curved(a: Placed, b: Placed, bend: float) -> list[Point]:
    """An arc; `bend` is how far it bows, as a share of the distance, to the left or right."""
    (ax, ay), (bx, by) = a.centre, b.centre
    control = ((ax + bx) / 2 - bend * (by - ay), (ay + by) / 2 + bend * (bx - ax))
    start, end = border_point(a.points, a.centre, control), border_point(b.points, b.centre, control)
    return bow(start, control, end)


def elbow(a: Placed, b: Placed, bends: int) -> list[Point]:
    """With right angles: one bend, from a side to the top or bottom; or two, halfway."""
    (ax, ay), (bx, by) = a.centre, b.centre
    if bends == 1:
        corner = (bx, ay)
        return [border_point(a.points, a.centre, corner), corner, border_point(b.points, b.centre, corner)]
    if abs(by - ay) > abs(bx - ax):
        start, end = border_point(a.points, a.centre, (ax, by)), border_point(b.points, b.centre, (bx, ay))
        middle = (start[1] + end[1]) / 2
        return [start, (ax, middle), (bx, middle), end]
    start, end = border_point(a.points, a.centre, (bx, ay)), border_point(b.points, b.centre, (ax, by))
    middle = (start[0] + end[0]) / 2
    return [start, (middle, ay), (middle, by), end]


def fits(
    way: Sequence[Point], ends: tuple[int, int], nodes: Sequence[Placed], others: Sequence[Way], frame: Rect
) -> bool:
    """Whether an arrow can be drawn: long enough, clear of other nodes, not along another arrow."""
    if length_of(way) < MIN_LENGTH_PT:
        return False
    steps = max(8, round(length_of(way) / 3))
    points = [at_share(way, step / steps) for step in range(steps + 1)]
    for index, node in enumerate(nodes):
        by = CLEAR_PT if index not in ends else -3.0
        if any(_within(point, node.box, by) for point in points[2:-2]) and (
            index not in ends or node.form in ("box", "round")
        ):
            return False
    if not all(_within(point, frame, 0) for point in points):
        return False
    for other in others:
        count = max(8, round(length_of(other.points) / 3))
        drawn = [at_share(other.points, step / count) for step in range(count + 1)]
        close = sum(min(math.dist(point, there) for there in drawn) < 6 for point in points)
        near_end = min(math.dist(points[i], drawn[j]) for i in (0, -1) for j in (0, -1)) < 9
        if close > 0.25 * len(points) or close > 7 or near_end:
            return False
    return True


def _within(point: Point, box: Rect, by: float) -> bool:
    return box[0] - by <= point[0] <= box[2] + by and box[1] - by <= point[1] <= box[3] + by


def draw_arrow(
    sketch: Sketch, manner: Manner, way: Way, numbers: Sequence[int], parent: int | None, dashed: bool, both: bool
) -> list[Point]:
    """Draw one arrow; returns the way that its ink takes."""
    theme = sketch.theme
    gap = manner.gap_pt
    ink_way = cut(way.points, gap, gap) if gap > 0 else list(way.points)
    if gap < 0:
        ink_way[0], ink_way[-1] = moved(ink_way[0], ink_way[1], gap), moved(ink_way[-1], ink_way[-2], gap)
    back = manner.head_pt * (0.85 if manner.head != "open" else 0.15)
    shaft = cut(ink_way, back if both else 0.0, back)
    shaft = trembling(shaft, sketch.random, theme.tremble_pt * 0.7)
    dashes = "[4 3] 0" if dashed else None
    inks: list[Ink] = [Path(tuple(shaft), stroke=manner.arrow_colour, width=manner.arrow_pt, dashes=dashes)]
    inks.append(_head(manner, _direction(ink_way, manner.head_pt), ink_way[-1], theme.page))
    if both:
        backwards = list(reversed(ink_way))
        inks.append(_head(manner, _direction(backwards, manner.head_pt), backwards[-1], theme.page))
    sketch.add("arrow", inks, parent, start=numbers[way.source], end=numbers[way.target], both_ways=both)
    return ink_way


def _direction(way: Sequence[Point], back: float) -> float:
    behind = cut(way, 0.0, back)[-1]
    return math.atan2(way[-1][1] - behind[1], way[-1][0] - behind[0])


def _head(manner: Manner, angle: float, tip: Point, page: tuple[float, float, float]) -> Path:
    length, half = manner.head_pt, manner.head_pt * 0.45
    base = (tip[0] - length * math.cos(angle), tip[1] - length * math.sin(angle))
    dx, dy = -math.sin(angle) * half, math.cos(angle) * half
    wings = ((base[0] + dx, base[1] + dy), (base[0] - dx, base[1] - dy))
    if manner.head == "open":
        return Path((wings[0], tip, wings[1]), stroke=manner.arrow_colour, width=manner.arrow_pt)
    if manner.head == "hollow":
        return Path((tip, *wings), True, page, manner.arrow_colour, manner.arrow_pt * 0.8)
    return Path((tip, *wings), True, manner.arrow_colour)


def draw_label(
    sketch: Sketch,
    manner: Manner,
    way: Sequence[Point],
    nodes: Sequence[Placed],
    others: Sequence[Sequence[Point]],
    taken: list[Rect],
    parent: int | None,
) -> None:
    """Say something on an arrow where there is room: on a patch that interrupts it, or beside it."""
    theme, size = sketch.theme, 7.5
    text = sketch.phrases.verb()
    width, height = text_width(text, theme.face, size), 1.2 * size
    x, y = at_share(way, 0.5)
    level = abs(way[-1][0] - way[0][0]) > abs(way[-1][1] - way[0][1])
    beside = sketch.random.random() < 0.4
    if beside:
        x, y = (x, y - height / 2 - 4) if level else (x + width / 2 + 5, y)
    box = (x - width / 2 - 2, y - height / 2 - 0.5, x + width / 2 + 2, y + height / 2 + 0.5)
    need = width + 22 if level else height + 22
    if not beside and length_of(way) < need + 14:
        return
    reach = (box[0] - 5, box[1] - 5, box[2] + 5, box[3] + 5)
    if any(_meet(reach, node.box) for node in nodes) or any(_meet(reach, other) for other in taken):
        return
    for other in others:
        if other is way and not beside:
            continue
        count = max(4, round(length_of(other) / 4))
        by = 3.0 if other is way else 7.0
        if any(
            _within(at_share(other, step / count), box, by if other is not way else 1.0) for step in range(count + 1)
        ):
            return
    taken.append(reach)
    if not beside:
        corners = ((box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3]))
        sketch.add(None, [Path(corners, True, theme.page)], parent, hidden=True)
    inks, _ = set_lines([text], box[0], box[1] - 0.5, box[2] - box[0], theme.face, size, theme.ink, "centre")
    sketch.add("textbox", inks, parent, text=text)


def _meet(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
