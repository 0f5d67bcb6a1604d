"""What the arms' figures are held against: each other's answers, and what the card can do at best."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.vision_arms.arms import FullArm, PlainArm
from benchmarks.vision_arms.pages import Page
from pipeline.docparse.raw import RawBox

BOX_PX = 1.5
LEAST_IOU = 0.995
MATCHED_SHARE = 0.95
"""The gate: so many of the boxes of either arm that score SURE_SCORE or more lie within BOX_PX of one of the other's,
and masks agree by LEAST_IOU on average. The boxes left are those whose proposals tie: rounding exchanges one for
another, and a random model has many alike."""
SURE_SCORE = 0.10
"""Twice the floor of raw boxes: just above the floor, rounding decides whether a box is there at all."""


@dataclass(frozen=True)
class Gate:
    """How far two arms' answers are apart, for the same weights and pages."""

    boxes: int
    box_share: float
    """Share of boxes that lie within BOX_PX of one of the other arm's; the order of boxes doesn't matter."""
    box_px_median: float
    mask_iou_mean: float
    mask_iou_least: float

    @property
    def passed(self) -> bool:
        """Whether the faster arm may be compared at all."""
        return self.boxes > 0 and self.box_share >= MATCHED_SHARE and self.mask_iou_mean >= LEAST_IOU


def compare(plain: PlainArm, full: FullArm, pages: Sequence[Page]) -> Gate:
    """A1's answers beside A4's. Masks are compared inside the parts of the page that A4 keeps."""
    distances: list[float] = []
    ious: list[float] = []
    images = [page.read_raw() for page in pages]
    for page, image, theirs in zip(pages, images, full.models.detector.find(images), strict=True):
        ours = plain.models.detector.find([image])[0]
        distances += _distances(ours.boxes, theirs.boxes) + _distances(theirs.boxes, ours.boxes)
        whole, _ = next(plain.masks([page], [image.pixels]))
        predictor: Any = full.models.segmenter._predictor
        crops = predictor.crops([image.pixels], [page.boxes])[0]
        for mask, crop in zip(whole, crops, strict=True):
            rows, columns = crop.pixels.shape
            part = mask[crop.top : crop.top + rows, crop.left : crop.left + columns]
            union = (part | crop.pixels).sum()
            ious.append(float((part & crop.pixels).sum() / union) if union else 1.0)
    near = [distance <= BOX_PX for distance in distances]
    return Gate(
        len(distances),
        round(float(np.mean(near)), 5) if near else 0.0,
        round(float(np.median(distances)), 4) if near else float("inf"),
        round(float(np.mean(ious)), 5),
        round(float(np.min(ious)), 5),
    )


def _distances(boxes: Sequence[RawBox], others: Sequence[RawBox]) -> list[float]:
    """For every sure box, how far its worst side is from that of the nearest box of the others: pixels."""
    sure = np.array([box.box for box in boxes if max(box.scores.values()) >= SURE_SCORE]).reshape(-1, 1, 4)
    known = np.array([box.box for box in others]).reshape(1, -1, 4)
    if not sure.size:
        return []
    if not known.size:
        return [float("inf")] * len(sure)
    nearest: list[float] = np.abs(sure - known).max(axis=2).min(axis=1).tolist()
    return nearest


def ceiling_tflops(device: str) -> float:
    """What the card does at best, measured now: a large product of matrices of random numbers, never of zeros.

    In half precision on a GPU, as the fast arms run; in single on a processor. TFLOP/s.
    """
    side, dtype, repeats = (8192, torch.float16, 20) if device == "cuda" else (512, torch.float32, 5)
    one, other = (torch.randn((side, side), device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats):
        _wait(device)
        begun = time.perf_counter()
        torch.matmul(one, other)
        _wait(device)
        seconds.append(time.perf_counter() - begun)
    return 2 * side**3 / float(np.median(seconds)) / 1e12


def tflop_per_page(arm: FullArm, pages: Sequence[Page]) -> float:
    """Floating-point operations that both models spend on a page, as torch counts them, in 10¹²."""
    from torch.utils.flop_counter import FlopCounterMode

    images = [page.read_raw() for page in pages]
    with FlopCounterMode(display=False) as counter:
        arm.models.detector.find(images)
        arm.cut(pages, images)
    return float(counter.get_total_flops()) / len(pages) / 1e12


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
