"""Frames drawn with dashes, which close no area: four long dashed lines that meet at the corners."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import cv2
import numpy as np

from pipeline.docparse.opencv.sheet import Pixels
from pipeline.docparse.words import Box

DASH_GAP_PX = 15
MIN_LENGTH_PX = 90
MIN_HEIGHT_PX = 52
"""An upright side may be so much shorter: a frame around one row of nodes is wide and low."""
MIN_INK_PX = 24
"""Dashes of a line so long have at least so much ink."""
CORNER_PX = 24
"""A round corner takes so much from the ends of its lines."""
HIDDEN_REACH_PX = 12
"""A shape at a side hides so much of its line beyond itself: its outline, and the dash that this cuts off."""
MIN_COVER = 0.7
"""Share of a side that its line must cover; arrows may cross it."""


def find_frames(strokes: Pixels, shapes: Sequence[Box] = ()) -> list[Box]:
    """Boxes of dashed frames; `strokes` without text, and without what closed `shapes` explain: where one of these
    stands at an upright side, it hides the side's line.
    """
    across = _long_lines(strokes, vertical=False)
    down = _long_lines(strokes, vertical=True)
    corner = CORNER_PX
    frames: list[Box] = []
    for upper, lower in combinations(sorted(across, key=lambda line: line[1]), 2):
        if abs(upper[0] - lower[0]) > corner or abs(upper[2] - lower[2]) > corner:
            continue
        top, bottom = upper[1], lower[3]
        within = [box for box in shapes if box[1] >= top and box[3] <= bottom]
        left = _side(down, within, min(upper[0], lower[0]), top, bottom, -1)
        right = _side(down, within, max(upper[2], lower[2]), top, bottom, +1)
        if bottom - top > 2 * corner and left is not None and right is not None:
            frames.append((left, top, right, bottom))
    return frames


def _long_lines(strokes: Pixels, *, vertical: bool) -> list[Box]:
    """Boxes of long horizontal or vertical lines, dashes joined."""
    upright = np.ascontiguousarray(strokes.T) if vertical else strokes
    # Rows do not touch one another here, and few have ink enough for a line.
    full = np.flatnonzero(upright.sum(axis=1, dtype=np.int32) >= MIN_INK_PX)
    if not len(full):
        return []
    joined = cv2.morphologyEx(upright[full], cv2.MORPH_CLOSE, np.ones((1, DASH_GAP_PX), np.uint8))
    lines = np.zeros_like(upright)
    least = MIN_HEIGHT_PX if vertical else MIN_LENGTH_PX
    lines[full] = cv2.morphologyEx(joined, cv2.MORPH_OPEN, np.ones((1, least), np.uint8))
    if vertical:
        lines = np.ascontiguousarray(lines.T)
    contours, _ = cv2.findContours(lines, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    thick = 9.0
    boxes = [cv2.boundingRect(contour) for contour in contours]
    return [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in boxes if (w if vertical else h) <= thick]


def _side(
    lines: Sequence[Box], shapes: Sequence[Box], x: float, top: float, bottom: float, outward: int
) -> float | None:
    """Outer edge of the upright lines that close a frame near `x`, or None.

    A shape at the side parts its line, or leaves so little of it that the shape's own edge tells where it ran.
    """
    corner = CORNER_PX
    edge, longest, closed = x, 0.0, 0.0
    for line in lines:
        there = line[0] if outward < 0 else line[2]
        covered = min(line[3], bottom) - max(line[1], top)
        if -corner / 3 <= (there - x) * outward <= corner and covered > 0:
            closed += covered
            if covered > longest:
                edge, longest = there, covered
    seen = longest > 0
    for box in shapes:
        there = box[0] if outward < 0 else box[2]
        if -corner / 3 <= (there - x) * outward <= corner + HIDDEN_REACH_PX:
            closed += box[3] - box[1] + 2 * HIDDEN_REACH_PX
            if not seen:
                longest, edge = 1.0, there if (there - edge) * outward > 0 else edge
    return edge if longest and closed >= MIN_COVER * (bottom - top - 2 * corner) else None
