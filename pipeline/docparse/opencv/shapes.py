"""Closed shapes: areas of one colour with an outline around them, whatever their form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from pipeline.docparse.opencv.components import components
from pipeline.docparse.opencv.geometry import area, share_inside
from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.words import Box

Source = Literal["dark", "lined", "tinted"]

MIN_SIDE_PX = 4
"""At half size."""
MIN_AREA_PX = 20
LEAST_INK = 0.2
"""A shape covers so much of its box, holes left out."""
LEAST_INK_BOARD = 0.07
"""A large area between lines covers so much: a board that notes fill shows only at their edges."""
BOARD_SIDE_PX = 90
"""At half size, both sides of such an area."""
MAX_PAGE_SHARE = 0.92
EDGE_PX = 3.0
"""How far a shape's visible edge lies outside of its flat inside."""
EDGE_SEARCH_PX = 8
BOX_FILL = 0.90
FILLED_BY = 14
"""A shape whose colour is so far from the paper's, in any channel, is filled."""
FILLED_BY_CLEAN = 4
"""The same on a page that was drawn, where paper has one colour."""
COLOUR_SAMPLE = 400
"""Of a shape's box, about so many pixels tell its colour."""
SPECK_PX = 60
SPECK_BY = 24
"""On a scan, a tinted area that is smaller, and no further from the paper, is a spot."""
TRIM_PX = 7
SAME_SHARE = 0.75
DARK_BY = 60
"""A shape so much darker than the paper may hold light letters."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One closed shape, in pixels of the working page."""

    box: Box
    """Outer edge of its outline."""
    inner: Box
    """Its flat inside."""
    contour: Pixels
    """int32 (n, 1, 2): outline of the inside."""
    fill: float
    """Share of the inner box that it covers, bays and all."""
    solidity: float
    """Share of its convex hull that it covers: 1 has no bays."""
    colour: tuple[int, int, int]
    """Median blue, green, red of its inside."""
    filled: bool
    """Its colour isn't the paper's."""
    dark: bool
    source: Source
    ring: int | None = None
    """How far beyond its inside its outline was seen to reach, in pixels; None where it was not measured."""

    @property
    def width(self) -> float:
        """Pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Pixels."""
        return self.box[3] - self.box[1]

    @property
    def boxy(self) -> bool:
        """Whether it is a rectangle, round corners allowed."""
        return self.fill >= BOX_FILL


def find_shapes(sheet: Sheet) -> list[Shape]:
    """All closed shapes of a page, swatches and table cells included, largest first.

    They come from three sides: what lines close in, what is dark, and what is tinted. Where two of these see the same
    shape, the dark one stays, then the lined one.
    """
    width, height = sheet.flat.shape[1], sheet.flat.shape[0]
    dark = cv2.resize(sheet.solid.view(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA) > 127
    found: dict[Source, list[Shape]] = {}
    for mask, source in ((dark, "dark"), (sheet.flat, "lined"), (sheet.tint, "tinted")):
        found[source] = _of_mask(mask, sheet, source)  # type: ignore[index,arg-type]
    lined = _unlike(found["lined"], found["dark"])
    tinted = [shape for shape in found["tinted"] if not (sheet.noisy and _is_speck(shape, sheet))]
    tinted = _unlike(tinted, [*found["dark"], *lined])
    return sorted([*found["dark"], *lined, *tinted], key=lambda shape: -area(shape.box))


def _is_speck(shape: Shape, sheet: Sheet) -> bool:
    """Whether a small area hardly differs from the paper of a scan: a spot, not a fill."""
    away = max(abs(a - b) for a, b in zip(shape.colour, sheet.paper, strict=True))
    return max(shape.width, shape.height) < SPECK_PX and away < SPECK_BY


def _unlike(shapes: Sequence[Shape], others: Sequence[Shape]) -> list[Shape]:
    """The shapes that are at the place of none of the others."""
    if not others:
        return list(shapes)
    boxes = np.array([other.box for other in others])
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    for shape in shapes:
        left, top, right, bottom = shape.box
        wide = (np.minimum(boxes[:, 2], right) - np.maximum(boxes[:, 0], left)).clip(0)
        tall = (np.minimum(boxes[:, 3], bottom) - np.maximum(boxes[:, 1], top)).clip(0)
        if not (wide * tall > SAME_SHARE * np.maximum(sizes, shape.width * shape.height)).any():
            kept.append(shape)
    return kept


def _of_mask(mask: Pixels, sheet: Sheet, source: Source) -> list[Shape]:
    height, width = mask.shape
    seen = mask.view(np.uint8)
    left, top, wide, tall = cv2.boundingRect(seen)
    if not wide:
        return []
    part = np.ascontiguousarray(seen[top : top + tall, left : left + wide])
    labels, stats = components(part, 4)
    w, h, ink = (stats[:, column] for column in (2, 3, 4))
    kept = (w >= MIN_SIDE_PX) & (h >= MIN_SIDE_PX) & (ink >= MIN_AREA_PX)
    least = np.full(len(stats), LEAST_INK)
    if source == "lined":
        least[(w >= BOARD_SIDE_PX) & (h >= BOARD_SIDE_PX)] = LEAST_INK_BOARD
    kept &= (w * h <= MAX_PAGE_SHARE * width * height) & (ink >= least * w * h)
    kept[0] = False
    found = [_shape(labels, int(index), stats[index], (left, top), sheet, source) for index in np.flatnonzero(kept)]
    return [shape for shape in found if shape is not None]


def _shape(
    labels: Pixels, index: int, stat: Pixels, offset: tuple[int, int], sheet: Sheet, source: Source
) -> Shape | None:
    """The shape of a component; `labels` begin at `offset` on the page at half size."""
    x, y, w, h = (int(value) for value in stat[:4])
    region = (labels[y : y + h, x : x + w] == index).view(np.uint8)
    x, y = x + offset[0], y + offset[1]
    contour = _largest(region)
    if source == "dark" and min(w, h) > 2 * TRIM_PX:
        # An arrow's head that touches it would widen its box.
        solid = np.zeros_like(region)
        cv2.drawContours(solid, [contour], -1, 1, -1)
        solid = cv2.morphologyEx(np.pad(solid, TRIM_PX), cv2.MORPH_OPEN, np.ones((TRIM_PX, TRIM_PX), np.uint8))
        trimmed = solid[TRIM_PX:-TRIM_PX, TRIM_PX:-TRIM_PX]
        if trimmed.any():
            contour = _largest(np.ascontiguousarray(trimmed))
    filled = float(cv2.contourArea(contour))
    if filled <= 0:
        return None
    left, top, w2, h2 = cv2.boundingRect(contour)
    solidity = filled / max(1.0, float(cv2.contourArea(cv2.convexHull(contour))))
    fill = filled / max(1, (w2 - 1) * (h2 - 1))
    step = max(1, int((w * h / COLOUR_SAMPLE) ** 0.5))
    sample = np.s_[::step, ::step]
    patch = sheet.half[y : y + h, x : x + w][sample][region[sample] > 0]
    if not len(patch):
        patch = sheet.half[y : y + h, x : x + w][region > 0]
    middle = len(patch) // 2
    colour = np.partition(patch, middle, axis=0)[middle].astype(int)
    inner = (2.0 * (x + left), 2.0 * (y + top), 2.0 * (x + left + w2), 2.0 * (y + top + h2))
    away = np.array(sheet.paper) - colour
    least = FILLED_BY if sheet.noisy else FILLED_BY_CLEAN
    grey = 0.114 * away[0] + 0.587 * away[1] + 0.299 * away[2]
    whole = contour * 2 + np.array([2 * x + 1, 2 * y + 1], np.int32)
    if source == "lined":
        box = _outer(inner, sheet) if fill >= BOX_FILL else _grown(inner, EDGE_PX, sheet)
    else:
        box = _grown(inner, EDGE_PX / 3, sheet)
    return Shape(
        box, inner, whole, fill, solidity, tuple(int(value) for value in colour),  # type: ignore[arg-type]
        source != "lined" or bool(np.abs(away).max() > least), source == "dark" or bool(grey > DARK_BY), source,
    )  # fmt: skip


def _largest(region: Pixels) -> Pixels:
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest: Pixels = max(contours, key=cv2.contourArea)
    return largest


def _grown(box: Box, by: float, sheet: Sheet) -> Box:
    width, height = sheet.size
    return max(0.0, box[0] - by), max(0.0, box[1] - by), min(float(width), box[2] + by), min(float(height), box[3] + by)


def _outer(inner: Box, sheet: Sheet) -> Box:
    """Outer edge of the line around a box, or of the box's colour where it has no line."""
    left, top, right, bottom = (round(side) for side in inner)
    width, height = sheet.size
    reach = EDGE_SEARCH_PX
    strokes = sheet.strokes

    def edge(bands: Pixels) -> float:
        """How far outward the last band lies that a line fills; `bands` (reach, length), from the inside."""
        covered = np.flatnonzero(bands.mean(axis=1) > 0.5) if bands.size else np.array([])
        if not len(covered):
            return EDGE_PX
        last = int(covered[0])
        for band in covered[1:]:
            if band > last + 1:
                break
            last = int(band)
        return float(last + 1)

    inset_x, inset_y = (right - left) // 6, (bottom - top) // 6
    rows, columns = slice(top + inset_y, bottom - inset_y), slice(left + inset_x, right - inset_x)
    by_left = edge(strokes[rows, max(0, left - reach) : left].T[::-1])
    by_right = edge(strokes[rows, right : right + reach].T)
    by_top = edge(strokes[max(0, top - reach) : top, columns][::-1])
    by_bottom = edge(strokes[bottom : bottom + reach, columns])
    return (
        max(0.0, left - by_left), max(0.0, top - by_top), min(float(width), right + by_right),
        min(float(height), bottom + by_bottom),
    )  # fmt: skip


def holds(outer: Shape, inner: Shape) -> bool:
    """Whether a shape lies in another one."""
    return outer is not inner and area(inner.box) < 0.9 * area(outer.box) and share_inside(inner.box, outer.box) > 0.9


def inside(shapes: Sequence[Shape], box: Box, share: float = 0.9) -> list[Shape]:
    """The shapes that lie in a box."""
    return [shape for shape in shapes if share_inside(shape.box, box) > share]
