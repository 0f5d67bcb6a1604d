"""Which found region is which true one, and what of their relations agrees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.docparse.labels import Label
from pipeline.docparse.quality.truth import Mask, Pixels, TruePage, TrueRegion
from pipeline.docparse.words import Box

MATCH_IOU = 0.5
BOUNDARY_SHARE = 0.02
"""Width of a mask's boundary as a share of its page's diagonal (Cheng et al. 2021)."""


@dataclass(frozen=True, slots=True, eq=False)
class FoundRegion:
    """One region as a detector or a run told it, in reading order among its page's."""

    label: Label
    box: Box
    score: float
    parent: int | None = None
    start: int | None = None
    end: int | None = None
    both_ways: bool = False
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """Right ones among the found and the true; sums over pages."""

    right: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.right + other.right, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float | None:
        """Share of the found that is right; None when nothing was found."""
        return self.right / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Share of the true that was found; None when there is nothing to find."""
        return self.right / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None when there was nothing to find and nothing was found."""
        return 2 * self.right / (self.found + self.true) if self.found + self.true else None


def matched(found: Sequence[FoundRegion], true: Sequence[TrueRegion]) -> dict[int, int]:
    """Index of found → index of true: per label, by falling score, each to the free true region that it overlaps most,
    if their IoU is at least `MATCH_IOU`; the assignment that COCO makes at that threshold."""
    free = set(range(len(true)))
    pairs: dict[int, int] = {}
    for index in sorted(range(len(found)), key=lambda index: -found[index].score):
        one = found[index]
        best = max(
            (place for place in free if true[place].label == one.label),
            key=lambda place: (box_iou(one.box, true[place].box), -place),
            default=None,
        )
        if best is not None and box_iou(one.box, true[best].box) >= MATCH_IOU:
            pairs[index] = best
            free.discard(best)
    return pairs


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def hierarchy(found: Sequence[FoundRegion], true: Sequence[TrueRegion], pairs: Mapping[int, int]) -> Tally:
    """Edges from region to container: right when both ends are matched and the true region has that container."""
    edges = {(index, one.parent) for index, one in enumerate(true) if one.parent is not None}
    told = [(index, one.parent) for index, one in enumerate(found) if one.parent is not None]
    right = sum((pairs.get(child, -1), pairs.get(parent, -1)) in edges for child, parent in told)
    return Tally(right, len(told), len(edges))


def links(found: Sequence[FoundRegion], true: Sequence[TrueRegion], pairs: Mapping[int, int]) -> Tally:
    """Arrows with both ends known: right when the arrow and its nodes are matched and it leads from and to the same.

    The direction of an arrow with two heads does not count.
    """
    told = [(i, one) for i, one in enumerate(found) if one.label == "arrow" and None not in (one.start, one.end)]
    joined = {i for i, one in enumerate(true) if one.label == "arrow" and None not in (one.start, one.end)}
    right = 0
    for index, one in told:
        place = pairs.get(index)
        if place is None or place not in joined or one.start is None or one.end is None:
            continue
        ends, real = (pairs.get(one.start), pairs.get(one.end)), (true[place].start, true[place].end)
        right += ends == real or (true[place].both_ways and ends == real[::-1])
    return Tally(right, len(told), len(joined))


def order_agreement(true: Sequence[TrueRegion], pairs: Mapping[int, int]) -> tuple[float, int] | None:
    """(Kendall's τ, pairs compared) of the order in which matched top-level regions are read; None without two of them.

    Found regions come in reading order; 1 is the same order, -1 the opposite one.
    """
    told = [
        order
        for _, place in sorted(pairs.items())
        if true[place].parent is None and (order := true[place].order) is not None
    ]
    compared = [(a, b) for i, a in enumerate(told) for b in told[i + 1 :]]
    if not compared:
        return None
    return sum(1 if a < b else -1 for a, b in compared) / len(compared), len(compared)


def mask_agreement(found: Mask, true: Mask, page: TruePage) -> tuple[float, float]:
    """(IoU of two masks, IoU of their boundaries)."""
    left, top = min(found.left, true.left), min(found.top, true.top)
    right = max(one.left + one.pixels.shape[1] for one in (found, true))
    bottom = max(one.top + one.pixels.shape[0] for one in (found, true))
    a, b = (_placed(one, left, top, right, bottom) for one in (found, true))
    width = max(1, round(BOUNDARY_SHARE * math.hypot(page.width, page.height)))
    return _pixel_iou(a, b), _pixel_iou(_boundary(a, width), _boundary(b, width))


def _placed(mask: Mask, left: int, top: int, right: int, bottom: int) -> Pixels:
    return Mask(mask.left - left, mask.top - top, mask.pixels).on_page(right - left, bottom - top)


def _pixel_iou(a: Pixels, b: Pixels) -> float:
    either = int((a | b).sum())
    return float(int((a & b).sum()) / either) if either else 0.0


def _boundary(mask: Pixels, width: int) -> Pixels:
    """Pixels of a mask that lie within `width` of its edge."""
    import cv2
    import numpy as np

    padded = np.pad(mask.astype(np.uint8), 1)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    boundary: Pixels = mask & (inner == 0)
    return boundary
