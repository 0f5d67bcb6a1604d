"""Closed shapes: areas of one colour, or framed by a line, that are rectangles, ellipses or diamonds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from pipeline.docparse.opencv.geometry import area, grown
from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.words import Box

Form = Literal["box", "ellipse", "diamond"]

MIN_SIDE_PX = 9
MIN_AREA_PX = 130
MAX_PAGE_SHARE = 0.92
BORDER_PX = 2.5
"""How far a shape's visible edge lies outside of its flat inside."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One closed shape."""

    box: Box
    form: Form
    fit: float
    """How well the outline fits the form, 0 to 1."""
    colour: tuple[int, int, int]
    """Median blue, green, red of its inside."""
    contour: Pixels
    """int32 (n, 1, 2): outline of its inside in page pixels."""

    @property
    def width(self) -> float:
        """Pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Pixels."""
        return self.box[3] - self.box[1]


def find_shapes(sheet: Sheet) -> list[Shape]:
    """All closed shapes of a page, swatches and table cells included, largest first."""
    width, height = sheet.size
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        sheet.flat.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    least_side, least_area = MIN_SIDE_PX * sheet.scale * 0.8, MIN_AREA_PX * sheet.scale**2 * 0.6
    shapes = []
    for index in range(1, len(stats)):
        x, y, w, h, count = (int(value) for value in stats[index])
        if w < least_side or h < least_side or count < least_area or w * h > MAX_PAGE_SHARE * width * height:
            continue
        if count < 0.25 * w * h and count < 0.5 * least_area * 8:
            continue
        region = labels[y : y + h, x : x + w] == index
        shape = _shape(region, x, y, sheet)
        if shape is not None:
            shapes.append(shape)
    return sorted(shapes, key=lambda shape: -area(shape.box))


def _shape(region: Pixels, x: int, y: int, sheet: Sheet) -> Shape | None:
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))
    contour = max(contours, key=cv2.contourArea)
    form, fit = classify(contour)
    if form is None:
        return None
    h, w = region.shape
    patch = sheet.colour[y : y + h, x : x + w][region]
    colour = tuple(int(value) for value in np.median(patch[:: max(1, len(patch) // 400)], axis=0))
    left, top, bw, bh = cv2.boundingRect(contour)
    box = grown((left, top, left + bw, top + bh), BORDER_PX * sheet.scale)
    width, height = sheet.size
    box = (max(0.0, box[0]), max(0.0, box[1]), min(float(width), box[2]), min(float(height), box[3]))
    return Shape(box, form, fit, colour, contour)  # type: ignore[arg-type]


BOX_FILL = 0.90
ELLIPSE_FILL = np.pi / 4
DIAMOND_FILL = 0.5
FILL_TOLERANCE = 0.06
MIN_SOLIDITY = 0.93


def classify(contour: Pixels) -> tuple[Form | None, float]:
    """(form, fit) of an outline by how much of its bounding box it fills; None when it is none of the three.

    A box fills its bounding box (0.90 allows for round corners and a tilt of a degree), an ellipse π/4 of it, a diamond
    half. An outline with bays is none of them.
    """
    filled = float(cv2.contourArea(contour))
    _, _, w, h = cv2.boundingRect(contour)
    if filled <= 0 or filled / max(1.0, float(cv2.contourArea(cv2.convexHull(contour)))) < MIN_SOLIDITY:
        return None, 0.0
    fill = filled / max(1, (w - 1) * (h - 1))
    if fill >= BOX_FILL:
        return "box", min(1.0, fill)
    (_, _), (side_a, side_b), _ = cv2.minAreaRect(contour)
    if filled / max(1.0, side_a * side_b) >= BOX_FILL + 0.03 and fill >= 0.8:
        return "box", 0.9
    if abs(fill - ELLIPSE_FILL) <= FILL_TOLERANCE and len(contour) > 8:
        return "ellipse", 1 - abs(fill - ELLIPSE_FILL) / FILL_TOLERANCE * 0.4
    if abs(fill - DIAMOND_FILL) <= FILL_TOLERANCE and _corners_mid_side(contour, w, h):
        return "diamond", 1 - abs(fill - DIAMOND_FILL) / FILL_TOLERANCE * 0.4
    return None, 0.0


def _corners_mid_side(contour: Pixels, w: int, h: int) -> bool:
    """Whether the outline touches its bounding box in the middle of every side, as a diamond does."""
    points = contour[:, 0, :].astype(float)
    left, top = points.min(axis=0)
    for axis, size, origin, other_size, other_origin in ((0, w, left, h, top), (1, h, top, w, left)):
        for side in (origin, origin + size - 1):
            at = points[np.abs(points[:, axis] - side) <= 1.5]
            middle = at[:, 1 - axis].mean()
            if abs(middle - (other_origin + other_size / 2)) > 0.15 * other_size:
                return False
    return True


def inside(shapes: Sequence[Shape], box: Box) -> list[Shape]:
    """The shapes whose box lies in `box`."""
    return [
        shape
        for shape in shapes
        if box[0] - 1 <= shape.box[0]
        and box[1] - 1 <= shape.box[1]
        and shape.box[2] <= box[2] + 1
        and shape.box[3] <= box[3] + 1
    ]
