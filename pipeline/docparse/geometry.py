"""Boxes in page pixels: overlap, containment, distance; one by one, and all pairs at once. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.docparse.words import Box

if TYPE_CHECKING:
    import numpy

    Matrix = numpy.ndarray[Any, numpy.dtype[numpy.float64]]


def area(box: Box) -> float:
    """Square pixels."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def overlap(a: Box, b: Box) -> float:
    """Square pixels that two boxes share."""
    # Most pairs lie apart, and a page asks for thousands of them.
    if a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]:
        return 0.0
    return (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0 to 1."""
    shared = overlap(a, b)
    return shared / (area(a) + area(b) - shared) if shared else 0.0


def share_inside(inner: Box, outer: Box) -> float:
    """How much of `inner` lies in `outer`, 0 to 1."""
    shared = overlap(inner, outer)
    return shared / area(inner) if shared else 0.0


def grown(box: Box, by: float) -> Box:
    """The box moved outwards on every side."""
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def clipped(box: Box, width: float, height: float) -> Box:
    """What of the box lies on a page."""
    return max(0.0, box[0]), max(0.0, box[1]), min(float(width), box[2]), min(float(height), box[3])


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds all of `boxes`, of which there is at least one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def gap(a: Box, b: Box) -> float:
    """Distance between two boxes in pixels; zero when they touch or overlap."""
    dx = max(a[0] - b[2], b[0] - a[2], 0.0)
    dy = max(a[1] - b[3], b[1] - a[3], 0.0)
    return float((dx * dx + dy * dy) ** 0.5)


def distance(point: tuple[float, float], box: Box) -> float:
    """From a point to a box in pixels; zero inside."""
    return gap((point[0], point[1], point[0], point[1]), box)


def centre(box: Box) -> tuple[float, float]:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def overlaps(a: Sequence[Box], b: Sequence[Box]) -> Matrix:
    """Square pixels that every box of `a` shares with every box of `b`: (len(a), len(b))."""
    import numpy as np

    one, two = np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4)
    sides = np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2])
    shared: Matrix = np.clip(sides, 0, None).prod(axis=2)
    return shared


def areas(boxes: Sequence[Box]) -> Matrix:
    """Square pixels of every box: (len(boxes),)."""
    import numpy as np

    sides = np.asarray(boxes, np.float64).reshape(-1, 4)
    found: Matrix = np.clip(sides[:, 2:] - sides[:, :2], 0, None).prod(axis=1)
    return found


def ious(a: Sequence[Box], b: Sequence[Box]) -> Matrix:
    """Intersection over union of all pairs: (len(a), len(b)); 0 where nothing is shared."""
    shared = overlaps(a, b)
    return _ratio(shared, areas(a)[:, None] + areas(b)[None, :] - shared)


def io_mins(a: Sequence[Box], b: Sequence[Box]) -> Matrix:
    """Intersection over the smaller box's area of all pairs: 1 where one contains the other."""
    import numpy as np

    return _ratio(overlaps(a, b), np.minimum(areas(a)[:, None], areas(b)[None, :]))


def shares_inside(inner: Sequence[Box], outer: Sequence[Box]) -> Matrix:
    """How much of every box of `inner` lies in every box of `outer`: (len(inner), len(outer))."""
    import numpy as np

    shared = overlaps(inner, outer)
    return _ratio(shared, np.broadcast_to(areas(inner)[:, None], shared.shape))


def _ratio(shared: Matrix, whole: Matrix) -> Matrix:
    import numpy as np

    return np.divide(shared, whole, out=np.zeros_like(shared), where=(shared > 0) & (whole > 0))
