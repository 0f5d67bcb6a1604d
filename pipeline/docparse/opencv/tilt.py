"""How far a page is turned on the glass, and the way between its own pixels and upright ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pipeline.docparse.words import Box

Pixels = np.ndarray[Any, Any]

MOST_DEGREES = 4.0
STEP_DEGREES = 0.25
FINE_DEGREES = 0.05
LEAST_DEGREES = 0.12
"""A page turned by less is left as it is: straightening costs more sharpness than it gives."""
LEAST_GAIN = 1.04
"""A tilt must make rows and columns clearer by this factor: a page of slanted lines only is not tilted."""
MOST_POINTS = 8_000


def tilt_degrees(strokes: Pixels) -> float:
    """Clockwise tilt of a page by its strokes (bool): the angle at which they gather most in rows and columns.

    The projection profile of Postl (1986), over rows and columns at once, coarse to fine.
    """
    ys, xs = np.nonzero(strokes)
    if len(xs) < 200:
        return 0.0
    # A step over pixels in reading order would favour some columns; a draw with a fixed seed favours none.
    chosen = np.random.default_rng(0).integers(0, len(xs), MOST_POINTS) if len(xs) > MOST_POINTS else np.s_[:]
    x, y = xs[chosen].astype(np.float32), ys[chosen].astype(np.float32)

    def clearness(degrees: float) -> float:
        lean = math.tan(math.radians(degrees))
        rows = np.bincount((y - lean * x + 200).astype(np.int32).clip(0))
        columns = np.bincount((x + lean * y + 200).astype(np.int32).clip(0))
        return float((rows.astype(np.float64) ** 2).sum() + (columns.astype(np.float64) ** 2).sum())

    coarse = np.arange(-MOST_DEGREES, MOST_DEGREES + 0.01, STEP_DEGREES)
    best = max(coarse, key=clearness)
    fine = np.arange(best - STEP_DEGREES, best + STEP_DEGREES + 0.001, FINE_DEGREES)
    scores = [clearness(float(angle)) for angle in fine]
    best, score = float(fine[int(np.argmax(scores))]), max(scores)
    if abs(best) < LEAST_DEGREES or score < LEAST_GAIN * clearness(0.0):
        return 0.0
    return best


@dataclass(frozen=True, slots=True)
class Straightening:
    """The way from a page's pixels to upright ones of working size and back."""

    forth: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Rows of the affine matrix from page to upright pixels."""

    def to_page(self, box: Box) -> Box:
        """Upright box around what an upright box of the straightened page is on the page."""
        (a, b, c), (d, e, f) = cv2.invertAffineTransform(np.array(self.forth, np.float64)).tolist()
        corners = [(x, y) for x in (box[0], box[2]) for y in (box[1], box[3])]
        xs, ys = [a * x + b * y + c for x, y in corners], [d * x + e * y + f for x, y in corners]
        return min(xs), min(ys), max(xs), max(ys)

    def points_to_page(self, points: Pixels) -> Pixels:
        """Points (n, 2) of the straightened page on the page."""
        back = cv2.invertAffineTransform(np.array(self.forth, np.float64))
        moved: Pixels = points @ back[:, :2].T + back[:, 2]
        return moved

    def from_page(self, box: Box) -> Box:
        """Where a word's box of the page lies: its middle is moved, its size kept, so that tilt does not thicken it."""
        (a, b, c), (d, e, f) = self.forth
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        size = math.hypot(a, b)
        half_width, half_height = (box[2] - box[0]) / 2 * size, (box[3] - box[1]) / 2 * size
        mx, my = a * x + b * y + c, d * x + e * y + f
        return mx - half_width, my - half_height, mx + half_width, my + half_height


def straightening(degrees: float, size: tuple[int, int], scale: float) -> Straightening:
    """The way that takes out a clockwise tilt around the page's middle, then scales by `scale`."""
    width, height = size
    cos, sin = math.cos(math.radians(degrees)) * scale, math.sin(math.radians(degrees)) * scale
    x, y = width / 2, height / 2
    # Turning against the clock (y points down): x' = cos·x + sin·y, y' = −sin·x + cos·y.
    return Straightening(
        (
            (cos, sin, scale * x - cos * x - sin * y),
            (-sin, cos, scale * y + sin * x - cos * y),
        )
    )
