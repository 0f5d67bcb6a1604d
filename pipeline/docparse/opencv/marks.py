"""Single marks: dashes of a slanting line, and words of one mark that stand alone."""

from __future__ import annotations

import numpy as np

from pipeline.docparse.opencv.sheet import Pixels
from pipeline.docparse.words import Box

ALONE_PX = 40
GRAIN_PX = 5
"""Smaller specks are noise."""
DASH_MOST_PX = 36.0
DASH_APART_PX = 12.0
DASH_ALIKE = 1.4
DASH_SLANT = 0.2
"""Tangent of the least slant; what is more level, or more upright, may be letters of a line or of a column."""


def small_marks(stats: Pixels) -> Pixels:
    """Boxes (n, 4) of the components that may be dashes."""
    x, y, w, h = (stats[1:, column].astype(np.float64) for column in range(4))
    large = np.maximum(w, h)
    marks: Pixels = np.stack([x, y, x + w, y + h], axis=1)[(large >= GRAIN_PX) & (large <= DASH_MOST_PX)]
    return marks


def goes_on(box: Box, marks: Pixels) -> bool:
    """Whether a box of one to three marks lies on a slanting line of marks (n, 4), with more of them on both sides."""
    left, top, right, bottom = box
    x, y = (marks[:, 0] + marks[:, 2]) / 2, (marks[:, 1] + marks[:, 3]) / 2
    across, down = x - (left + right) / 2, y - (top + bottom) / 2
    inside = (np.abs(across) <= (right - left) / 2) & (np.abs(down) <= (bottom - top) / 2)
    apart_x = np.maximum(marks[:, 0] - right, left - marks[:, 2])
    apart_y = np.maximum(marks[:, 1] - bottom, top - marks[:, 3])
    near = ~inside & (np.maximum(apart_x, apart_y) <= DASH_APART_PX)
    near &= (np.abs(down) >= DASH_SLANT * np.abs(across)) & (np.abs(across) >= DASH_SLANT * np.abs(down))
    for way in (1, -1):
        side = near & (way * across * down > 0)
        if not (side & (across > 0)).any() or not (side & (across < 0)).any():
            continue
        own_x, own_y = x[inside], y[inside]
        if len(own_x) < 2:
            # A label of one mark in the gap of a dashed line is wider than its dashes.
            return bool(right - left <= DASH_ALIKE * float(np.median((marks[:, 2] - marks[:, 0])[side])))
        first, last = own_x.argmin(), own_x.argmax()
        return bool(way * (own_y[last] - own_y[first]) >= DASH_SLANT * (own_x[last] - own_x[first]))
    return False


def stands_alone(box: Box, stats: Pixels) -> bool:
    """Whether no ink is near but of its own size beside it, as none is around a page number; a head has a line."""
    left, top, right, bottom = box
    x, y, w, h = (stats[1:, column] for column in range(4))
    near = (x < right + ALONE_PX) & (x + w > left - ALONE_PX) & (y < bottom + ALONE_PX) & (y + h > top - ALONE_PX)
    near &= np.maximum(w, h) >= GRAIN_PX
    # A thin digit beside it may have been taken for a dash.
    beside = (np.abs(y - top) <= 2) & (np.abs(y + h - bottom) <= 2) & (x < right + 8) & (x + w > left - 8)
    return not (near & ~beside).any()
