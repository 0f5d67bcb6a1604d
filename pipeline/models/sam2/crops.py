"""Masks cut out of the network's logits on the device: enlarged only inside the boxes, a bit a pixel, moved once.

A page of 1240 × 1754 pixels with 16 boxes has 139 MB of mask logits; what leaves the device here is the boxes' bits.
Enlarging is bilinear, as the authors' package and the library do it for whole pages, in the same order of operations,
so that the same pixels come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.models.sam2.images import to_device

Array = np.ndarray[Any, Any]

MARGIN_SHARE = 0.125
MARGIN_LEAST_PX = 8
"""How far beyond its box a mask is kept on each side: a share of the box's width or height, and at least some px."""
STABILITY_OFFSET = 1.0
"""How far above and below the threshold stability is measured, in logits: SAM's own when it picks masks."""
PIXELS_AT_ONCE = 4_000_000
"""Most pixels enlarged in one step; bounds the device's memory to some 250 MB whatever the boxes' sizes."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where masks are cut: a row for every box."""

    crops: Array
    """int64 (boxes, 4): left, top, right, bottom in page pixels, right and bottom excluded."""
    pages: Array
    """int64 (boxes, 2): width, height of the box's page."""

    @classmethod
    def around(cls, boxes: Array, pages: Array) -> Places:
        """Crops around boxes, (boxes, 4) in page pixels: with a margin, at least a pixel, inside their pages."""
        margins = np.maximum(MARGIN_SHARE * (boxes[:, 2:] - boxes[:, :2]), MARGIN_LEAST_PX)
        low = np.clip(np.floor(boxes[:, :2] - margins), 0, pages - 1)
        high = np.clip(np.ceil(boxes[:, 2:] + margins), low + 1, pages)
        return cls(np.concatenate([low, high], axis=1).astype(np.int64), pages.astype(np.int64))

    def __getitem__(self, rows: Any) -> Places:
        return Places(self.crops[rows], self.pages[rows])


@dataclass(frozen=True, slots=True)
class Cuts:
    """Masks of some boxes as they wait on the device."""

    bits: Sequence[torch.Tensor]
    """uint8, a bit a pixel, rows of one width after the other; in the order of `stored`."""
    stored: Sequence[tuple[int, int]]
    """(box, width of its rows in bytes)."""
    quality: torch.Tensor
    """float32 (boxes,)."""
    stability: torch.Tensor
    """float32 (boxes,)."""
    finite: torch.Tensor
    """float32 (boxes,): 1 where all of a box's logits are numbers."""
    places: Places


@dataclass(frozen=True, slots=True)
class Crop:
    """One box's mask."""

    left: int
    top: int
    pixels: Array
    """bool, (height, width)."""
    quality: float
    stability: float
    finite: bool
    """Whether the network's logits were numbers; a mask where they weren't means nothing."""


def cut(logits: torch.Tensor, quality: torch.Tensor, places: Places) -> Cuts:
    """Masks, float32 logits (boxes, side, side), enlarged inside their crops; the bits above 0 stay on the device."""
    stored_px = _stored_width(places.crops[:, 2] - places.crops[:, 0])
    bits: list[torch.Tensor] = []
    stored: list[tuple[int, int]] = []
    for width in np.unique(stored_px):
        chosen = np.flatnonzero(stored_px == width)
        columns = [to_device(table, logits.device) for table in _columns(places[chosen], int(width), logits.shape[2])]
        for rows in _rows(chosen, places, logits.shape[1], max(1, PIXELS_AT_ONCE // int(width))):
            bits.append(_enlarged(logits, columns, [to_device(table, logits.device) for table in rows]))
        stored += [(int(box), int(width) // 8) for box in chosen]
    finite = torch.isfinite(logits).all(dim=2).all(dim=1).float()
    return Cuts(bits, stored, quality, stability(logits), finite, places)


def stability(logits: torch.Tensor) -> torch.Tensor:
    """How little masks, logits (boxes, side, side), depend on their threshold: (boxes,), 0 to 1.

    As SAM defines it: pixels above STABILITY_OFFSET ÷ pixels above its negative, which is the IoU of the two masks;
    counted on the network's own grid. A mask that is empty at both is stable.
    """
    above = (logits > STABILITY_OFFSET).sum(dim=(1, 2))
    below = (logits > -STABILITY_OFFSET).sum(dim=(1, 2))
    return torch.where(below > 0, above / below, 1.0)


def collect(waiting: Sequence[Cuts]) -> list[Crop]:
    """Bring masks from the device in one copy, the only time that anybody waits for it; in the boxes' order."""
    if not waiting:
        return []
    numbers = torch.stack(
        [torch.cat([getattr(cuts, name) for cuts in waiting]) for name in ("quality", "stability", "finite")]
    )
    flat = [part.reshape(-1) for cuts in waiting for part in cuts.bits]
    data = torch.cat([numbers.contiguous().view(torch.uint8).reshape(-1), *flat]).cpu().numpy()
    at = numbers.numel() * 4
    quality, steadiness, finite = data[:at].view(np.float32).reshape(3, -1)
    crops: list[Crop] = []
    for cuts in waiting:
        first = len(crops)
        pixels: dict[int, Array] = {}
        for box, row_bytes in cuts.stored:
            left, top, right, bottom = cuts.places.crops[box].tolist()
            rows = data[at : at + (bottom - top) * row_bytes].reshape(bottom - top, row_bytes)
            pixels[box] = np.unpackbits(rows, axis=1, count=right - left).astype(bool)
            at += rows.size
        for box, (left, top, _, _) in enumerate(cuts.places.crops.tolist()):
            i = first + box
            crops.append(Crop(left, top, pixels[box], float(quality[i]), float(steadiness[i]), bool(finite[i])))
    return crops


def _enlarged(logits: torch.Tensor, columns: Sequence[torch.Tensor], rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Bits (rows, width ÷ 8) of rows of crops: (number among the width's boxes, box, upper, lower, lower's weight)."""
    number, box, upper, lower, down = rows
    left, right, across = (table[number] for table in columns)
    above, below = logits[box, upper], logits[box, lower]
    down = down[:, None]
    value = (1 - down) * ((1 - across) * above.gather(1, left) + across * above.gather(1, right)) + down * (
        (1 - across) * below.gather(1, left) + across * below.gather(1, right)
    )
    inside = (value > 0).to(torch.uint8).view(len(number), -1, 8)
    packed = inside[..., 0]
    for bit in range(1, 8):
        packed = packed * 2 + inside[..., bit]
    return packed


def _columns(places: Places, width: int, side: int) -> tuple[Array, Array, Array]:
    """For every box and stored column: grid columns left and right of it, and the right one's weight."""
    x = places.crops[:, :1] + np.arange(width)
    return _neighbours(x, places.pages[:, :1], side)


def _rows(chosen: Array, places: Places, side: int, at_once: int) -> Iterator[tuple[Array, ...]]:
    """The chosen boxes' rows, some at once, as `_enlarged` takes them."""
    tops, bottoms = places.crops[chosen, 1], places.crops[chosen, 3]
    heights = bottoms - tops
    number = np.repeat(np.arange(len(chosen)), heights)
    y = np.arange(heights.sum()) - np.repeat(np.cumsum(heights) - heights, heights) + tops[number]
    tables = (number, chosen[number], *_neighbours(y, places.pages[chosen[number], 1], side))
    for start in range(0, len(number), at_once):
        yield tuple(table[start : start + at_once] for table in tables)


def _neighbours(pixel: Array, pixels: Array, side: int) -> tuple[Array, Array, Array]:
    """Where pixels of an axis of `pixels` lie on a grid of `side` cells: (cell, next cell, the next one's weight).

    In single precision, pixel centres on cell centres, held at the edges: torch's rule for bilinear enlarging.
    """
    scale = np.float32(side) / pixels.astype(np.float32)
    half = np.float32(0.5)
    at = np.clip(scale * (pixel.astype(np.float32) + half) - half, 0, side - 1)
    cell = np.floor(at)
    return (
        cell.astype(np.int64),
        np.minimum(cell + 1, side - 1).astype(np.int64),
        (at - cell).astype(np.float32),
    )


def _stored_width(widths: Array) -> Array:
    """The next of 16, 24, 32, 48, 64, 96 …: few different widths, so few steps, and at most half as much again."""
    power = 2 ** np.ceil(np.log2(np.maximum(widths, 16))).astype(np.int64)
    return np.where((widths <= power * 3 // 4) & (power > 16), power * 3 // 4, power)
