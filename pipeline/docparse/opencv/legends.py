"""Legends: swatches with text to their right, mostly in a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.docparse.opencv.geometry import area, grown, share_inside, shared_span, union
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.words import Box

SWATCH_MAX_WIDTH_PX = 60.0
SWATCH_MAX_HEIGHT_PX = 34.0
SWATCH_MIN_WIDTH_PX = 10.0
REACH_PX = 34.0
"""How far to the right of a swatch its text begins, at most."""
MAX_PAGE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Legend:
    """A legend and what explains it."""

    box: Box
    swatches: tuple[Shape, ...]
    framed: bool


def find_legends(
    shapes: Sequence[Shape], lines: Sequence[TextLine], cells: Sequence[Shape], size: tuple[int, int], scale: float
) -> list[Legend]:
    """Frames that hold two swatches or more, and loose groups of at least three."""
    known = {id(cell) for cell in cells}
    swatches = [
        (shape, line)
        for shape in shapes
        if id(shape) not in known
        and (line := _explained(shape, lines, scale)) is not None
        and not any(share_inside(other.box, shape.box) > 0.5 for other in lines)
    ]
    legends: list[Legend] = []
    taken: set[int] = set()
    frames = [
        s for s in shapes if s.form == "box" and id(s) not in known and area(s.box) < MAX_PAGE_SHARE * size[0] * size[1]
    ]
    for frame in sorted(frames, key=lambda shape: area(shape.box)):
        held = [shape for shape, _ in swatches if id(shape) not in taken and _inside(shape.box, frame.box)]
        if len(held) >= 2 and frame.box not in {shape.box for shape in held}:
            taken |= {id(shape) for shape in held}
            legends.append(Legend(frame.box, tuple(held), True))
    legends += _loose([(shape, line) for shape, line in swatches if id(shape) not in taken], scale)
    return legends


def _explained(shape: Shape, lines: Sequence[TextLine], scale: float) -> TextLine | None:
    """The text beside a swatch, or None when the shape is none."""
    if not SWATCH_MIN_WIDTH_PX * scale <= shape.width <= SWATCH_MAX_WIDTH_PX * scale:
        return None
    if shape.height > SWATCH_MAX_HEIGHT_PX * scale:
        return None
    beside = [
        line
        for line in lines
        if -0.2 * shape.width <= line.box[0] - shape.box[2] <= REACH_PX * scale
        and shared_span(line.box[1], line.box[3], shape.box[1], shape.box[3]) > 0.6
        and not share_inside(shape.box, grown(line.box, 1)) > 0.5
        and line.letters > 1
    ]
    return min(beside, key=lambda line: line.box[0]) if beside else None


def _inside(inner: Box, outer: Box) -> bool:
    return share_inside(inner, outer) > 0.95 and area(inner) < 0.5 * area(outer)


def _loose(swatches: Sequence[tuple[Shape, TextLine]], scale: float) -> list[Legend]:
    """Swatches of one size, one under or beside another, without a frame."""
    groups: list[list[tuple[Shape, TextLine]]] = []
    for shape, line in sorted(swatches, key=lambda pair: (pair[0].box[1], pair[0].box[0])):
        for group in groups:
            last = group[-1][0]
            alike = abs(last.width - shape.width) <= 4 * scale and abs(last.height - shape.height) <= 4 * scale
            under = abs(last.box[0] - shape.box[0]) <= 4 * scale and 0 < shape.box[1] - last.box[3] < 2.5 * shape.height
            if alike and under:
                group.append((shape, line))
                break
        else:
            groups.append([(shape, line)])
    return [
        Legend(
            union([box for shape, line in group for box in (shape.box, line.box)]), tuple(s for s, _ in group), False
        )
        for group in groups
        if len(group) >= 3
    ]
