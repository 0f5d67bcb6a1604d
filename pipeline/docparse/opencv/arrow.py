"""An arrow as it was found: its box, what it joins, where its line stops."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.docparse.opencv.sheet import Pixels
from pipeline.docparse.words import Box


@dataclass(frozen=True, slots=True)
class Stop:
    """Where an arrow's line stops."""

    at: tuple[float, float]
    outward: float
    """Angle in which it would go on."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One arrow; `start` and `end` are indices of the shapes that it joins."""

    box: Box
    points: Pixels
    """float (n, 2): outermost points of its ink, for boxes on a tilted page."""
    start: int | None
    end: int | None
    both_ways: bool
    tail: Stop
    head: Stop
    headed: float
    """1 means that no head was seen; more the further its head is wider than its line."""
    doubt: float = 0.0
    """What speaks against its ends being one arrow's: radians turned at junctions, and ends that are alike."""


def around(
    points: Pixels, start: int | None, end: int | None, both: bool, stops: tuple[Stop, Stop], headed: float,
    doubt: float = 0.0,
) -> Arrow:  # fmt: skip
    """The arrow whose ink has these points (n, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    box = (float(low[0]), float(low[1]), float(high[0]) + 1, float(high[1]) + 1)
    return Arrow(box, hull, start, end, both, *stops, headed, doubt)
