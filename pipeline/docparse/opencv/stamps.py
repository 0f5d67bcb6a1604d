"""Stamps: rings with a word across them. They are neither text of the page nor nodes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.docparse.opencv.geometry import grown
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.words import Box

RADIUS_PX = (30.0, 110.0)
LONG_SIDE = 0.12
"""Of an outline; sides of an arc are short."""
ROUND_PX = 2.0
"""An outline is off the circle by no more."""
ON_CIRCLE = 0.55
"""Share of an outline that lies on the circle; the word cuts off the rest."""
RING_PX = 14.0
"""From a stamp's inner ring to what belongs to it."""


def find_stamps(shapes: Sequence[Shape]) -> list[Box]:
    """Boxes of round outlines among shapes that no arrow reaches."""
    return [grown(circle, RING_PX) for shape in shapes if (circle := _circle(shape)) is not None]


def _circle(shape: Shape) -> Box | None:
    """The box of the circle that most of a bare shape's outline lies on, or None."""
    if shape.source != "lined" or max(shape.width, shape.height) > 2 * RADIUS_PX[1]:
        return None
    hull = cv2.convexHull(shape.contour)[:, 0, :].astype(np.float64)
    if len(hull) < 8:
        return None
    following = np.roll(hull, -1, axis=0)
    sides = np.hypot(*(following - hull).T)
    middles = (hull + following) / 2
    # A long side is where the word cuts; the rest must be one arc (Kåsa 1976).
    arc = sides < LONG_SIDE * sides.sum()
    points = middles[arc]
    terms = np.column_stack([2 * points, np.ones(len(points))])
    (x, y, rest), *_ = np.linalg.lstsq(terms, (points**2).sum(axis=1), rcond=None)
    radius = float(max(0.0, rest + x * x + y * y)) ** 0.5
    away = np.abs(np.hypot(middles[:, 0] - x, middles[:, 1] - y) - radius)
    on_it = sides[away <= ROUND_PX].sum() / max(1.0, sides.sum())
    if not RADIUS_PX[0] <= radius <= RADIUS_PX[1] or on_it < ON_CIRCLE:
        return None
    return float(x - radius), float(y - radius), float(x + radius), float(y + radius)
