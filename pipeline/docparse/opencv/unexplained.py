"""What is left of a page's ink once text, shapes and frames are taken out: arrows, and rules."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.docparse.opencv.geometry import grown
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.words import Box

RING_PX = 4
"""What is taken away outside of an outline."""
SHARP_COS = 0.17
"""Cosine of the widest sharp corner: 80°."""
SHARP_PX = 4
OUTLINE_COVER = 0.8
"""Share of each side of a box that a line must cover to be its outline."""


def ink_of(sheet: Sheet) -> Pixels:
    """uint8: everything dark, thin or not."""
    return (sheet.inked | sheet.solid).astype(np.uint8)


def unexplained(
    ink: Pixels, texts: Sequence[Box], taken: Sequence[Box], shapes: Sequence[Shape], outlines: Sequence[Box]
) -> Pixels:
    """Ink (uint8) outside of `texts` and `taken`, outside of `shapes`, and not on one of the `outlines`."""
    mask = ink.copy()

    def blank(box: Box, by: float) -> None:
        left, top, right, bottom = (round(side) for side in grown(box, by))
        mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 0

    for box in texts:
        blank(box, 1.5)
    for box in taken:
        blank(box, RING_PX)
    for shape in shapes:
        cv2.drawContours(mask, [shape.contour], -1, 0, -1)
        cv2.drawContours(mask, [shape.contour], -1, 0, 2 * ring_of(shape))
        if shape.boxy:
            blank(shape.box, 1.5)
        elif shape.source == "lined":
            for x, y in _sharp_corners(shape):
                cv2.circle(mask, (x, y), ring_of(shape) + SHARP_PX, 0, -1)
    for box in outlines:
        _blank_outline(mask, ink, box)
    return mask


def _sharp_corners(shape: Shape) -> list[tuple[int, int]]:
    """Corners at which an outline's point reaches further out than its ring, as a diamond's does."""
    corners = cv2.approxPolyDP(shape.contour, 4.0, True)[:, 0].astype(np.float64)
    if not 3 <= len(corners) <= 8:
        return []
    before, after = np.roll(corners, 1, axis=0) - corners, np.roll(corners, -1, axis=0) - corners
    along = (before * after).sum(axis=1) / np.maximum(1e-6, np.hypot(*before.T) * np.hypot(*after.T))
    return [
        (round(x), round(y)) for (x, y), cos in zip(corners.tolist(), along.tolist(), strict=True) if cos > SHARP_COS
    ]


def _blank_outline(mask: Pixels, ink: Pixels, box: Box) -> None:
    """Take a frame's line away, but not where something crosses it: ink on both sides of the line."""
    left, top, right, bottom = (round(side) for side in box)
    by, beyond = RING_PX, RING_PX + 3
    height, width = ink.shape
    near = np.ones((1, 21), np.uint8)
    for y in (top, bottom):
        low, high = y - beyond, y + beyond
        if low < 1 or high >= height - 1:
            continue
        x0, x1 = max(0, left - by), min(width, right + by)
        above = cv2.dilate(ink[low - 1 : low + 1, x0:x1].max(axis=0, keepdims=True), near)[0]
        below = cv2.dilate(ink[high : high + 2, x0:x1].max(axis=0, keepdims=True), near)[0]
        mask[y - by : y + by + 1, x0:x1] &= (above & below)[None, :]
    for x in (left, right):
        low, high = x - beyond, x + beyond
        if low < 1 or high >= width - 1:
            continue
        y0, y1 = max(0, top - by), min(height, bottom + by)
        before = cv2.dilate(ink[y0:y1, low - 1 : low + 1].max(axis=1, keepdims=True).T, near)[0]
        after = cv2.dilate(ink[y0:y1, high : high + 2].max(axis=1, keepdims=True).T, near)[0]
        mask[y0:y1, x - by : x + by + 1] &= (before & after)[:, None]


def ring_of(shape: Shape) -> int:
    """How far beyond its inside a shape's outline reaches."""
    return RING_PX + 2 if shape.source == "dark" else RING_PX + 6


def drawn_all_round(sheet: Sheet, box: Box) -> bool:
    """Whether a dark line runs along all four sides; an area that arrows happen to close has no such outline."""
    near = RING_PX
    left, top, right, bottom = (round(side) for side in box)
    bands = (
        sheet.strokes[max(0, top - near) : top + near, left:right].any(axis=0),
        sheet.strokes[max(0, bottom - near) : bottom + near, left:right].any(axis=0),
        sheet.strokes[top:bottom, max(0, left - near) : left + near].any(axis=1),
        sheet.strokes[top:bottom, max(0, right - near) : right + near].any(axis=1),
    )
    return all(float(band.mean()) >= OUTLINE_COVER for band in bands if band.size)
