"""Areas that arrows between nodes close in: they look like large shapes, and nothing stands in them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.docparse.opencv.geometry import area, overlap
from pipeline.docparse.opencv.shapes import Shape

LEAST_SIDE_PX = 24.0
"""Of a shape at a corner; an arrow's head is smaller."""
CUT_SHARE = (0.08, 0.7)
"""A shape at a corner has so much of its box in the area's; cells of a grid have none."""
LEAST_CORNERS = 2


def without_enclosed(shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes but for areas of bare paper at whose corners several smaller shapes stand half in, half out."""
    solid = [shape for shape in shapes if min(shape.width, shape.height) >= LEAST_SIDE_PX]
    return [shape for shape in shapes if not _is_enclosed(shape, solid)]


def _is_enclosed(shape: Shape, others: Sequence[Shape]) -> bool:
    if shape.filled or shape.source != "lined":
        return False
    low, high = CUT_SHARE
    corners = sum(
        low <= overlap(shape.inner, other.inner) / area(other.inner) <= high
        for other in others
        if other is not shape and area(other.box) < area(shape.box)
    )
    return corners >= LEAST_CORNERS
