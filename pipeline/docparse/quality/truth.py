"""What is true of a page: its regions with exact boxes, masks and relations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from pipeline.docparse.labels import Label
from pipeline.docparse.words import Box, PageText

Pixels = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The pixels of one region: a crop of the page and where it lies."""

    left: int
    top: int
    pixels: Pixels
    """bool (height, width)."""

    @property
    def box(self) -> Box:
        """Tight box in page pixels; of an empty mask, a box without area at its corner."""
        ys, xs = np.flatnonzero(self.pixels.any(axis=1)), np.flatnonzero(self.pixels.any(axis=0))
        if not len(ys):
            return float(self.left), float(self.top), float(self.left), float(self.top)
        return (
            float(self.left + xs[0]),
            float(self.top + ys[0]),
            float(self.left + xs[-1] + 1),
            float(self.top + ys[-1] + 1),
        )

    def on_page(self, width: int, height: int) -> Pixels:
        """bool (height, width): the mask at its place on the whole page."""
        page = np.zeros((height, width), bool)
        h, w = self.pixels.shape
        page[self.top : self.top + h, self.left : self.left + w] = self.pixels
        return page


def union_of(masks: Sequence[Mask]) -> Mask:
    """What any of the masks covers; there is at least one."""
    left, top = min(mask.left for mask in masks), min(mask.top for mask in masks)
    right = max(mask.left + mask.pixels.shape[1] for mask in masks)
    bottom = max(mask.top + mask.pixels.shape[0] for mask in masks)
    covered = np.zeros((bottom - top, right - left), bool)
    for mask in masks:
        y, x = mask.top - top, mask.left - left
        h, w = mask.pixels.shape
        covered[y : y + h, x : x + w] |= mask.pixels
    return Mask(left, top, covered)


@dataclass(frozen=True, slots=True, eq=False)
class TrueRegion:
    """One region as it is."""

    label: Label
    box: Box
    mask: Mask | None = None
    parent: int | None = None
    """Index of its container among the page's regions."""
    start: int | None = None
    """For an arrow: index of the node that it leaves."""
    end: int | None = None
    """For an arrow: index of the node that it points to."""
    both_ways: bool = False
    text: str = ""
    order: int | None = None
    """Place in reading order, where it is known."""


@dataclass(frozen=True, slots=True, eq=False)
class TruePage:
    """A page and all that is true of it."""

    name: str
    width: int
    height: int
    regions: tuple[TrueRegion, ...]
    pixels: Pixels | None = None
    """uint8 (height, width, 3) blue-green-red, where the page itself is at hand."""
    text: PageText | None = None

    def sha256(self) -> str:
        """Digest of labels, boxes, relations, texts and masks: two pages with the same digest have the same truth."""
        told = [
            [
                region.label, region.box, region.parent, region.start, region.end, region.both_ways, region.text,
                None if region.mask is None else [region.mask.left, region.mask.top, *region.mask.pixels.shape],
            ]
            for region in self.regions
        ]  # fmt: skip
        digest = hashlib.sha256(orjson.dumps([self.width, self.height, told]))
        for region in self.regions:
            if region.mask is not None:
                digest.update(np.packbits(region.mask.pixels).tobytes())
        return digest.hexdigest()
