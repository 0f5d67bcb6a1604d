"""Pages to look at: drawn by seed, as PNG for those who read files and as raw pixels for those who are given them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.docparse.raw import PageImage
from pipeline.docparse.words import Box, PageText

SHARES: tuple[Box, ...] = (
    (0.08, 0.06, 0.92, 0.10), (0.08, 0.12, 0.48, 0.30), (0.52, 0.12, 0.92, 0.30), (0.08, 0.34, 0.92, 0.66),
    (0.12, 0.38, 0.28, 0.44), (0.42, 0.38, 0.58, 0.44), (0.72, 0.38, 0.88, 0.44), (0.12, 0.54, 0.28, 0.60),
    (0.42, 0.54, 0.58, 0.60), (0.72, 0.54, 0.88, 0.60), (0.28, 0.405, 0.42, 0.415), (0.58, 0.405, 0.72, 0.415),
    (0.195, 0.44, 0.205, 0.54), (0.495, 0.44, 0.505, 0.54), (0.08, 0.70, 0.60, 0.90), (0.66, 0.70, 0.92, 0.84),
)  # fmt: skip
"""The constant boxes of every page, as shares of it: blocks of text, a diagram with six nodes and four arrows, a table
and a legend. Random weights find nothing sensible, and nobody knows how many boxes; so that all arms cut the same
masks, these stand in after each arm's own detection, which is done and timed in full."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page on disk."""

    name: str
    png: Path
    raw: Path
    """The same pixels, uint8 blue-green-red, as `numpy.save` writes them."""
    width: int
    height: int

    @property
    def boxes(self) -> list[Box]:
        """The constant boxes in this page's pixels."""
        return [
            (left * self.width, top * self.height, right * self.width, bottom * self.height)
            for left, top, right, bottom in SHARES
        ]

    def read_raw(self) -> PageImage:
        """The page as the pipeline's workers hand it to a device stage."""
        return PageImage(np.load(self.raw), PageText(self.width, self.height, 150, ()))


def draw_pages(folder: Path, count: int, width: int, height: int) -> list[Page]:
    """Pages that differ in text, noise and colour; the same for the same numbers."""
    folder.mkdir(parents=True)
    return [_write(folder, f"page-{number:04d}", _draw(number, width, height)) for number in range(count)]


def _write(folder: Path, name: str, pixels: np.ndarray[Any, Any]) -> Page:
    page = Page(name, folder / f"{name}.png", folder / f"{name}.npy", pixels.shape[1], pixels.shape[0])
    cv2.imwrite(str(page.png), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    np.save(page.raw, pixels)
    return page


def _draw(seed: int, width: int, height: int) -> np.ndarray[Any, Any]:
    source = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 250, np.int16) + source.integers(-5, 6, (height, width, 3))
    page = np.ascontiguousarray(np.clip(pixels, 0, 255).astype(np.uint8))
    line = max(4, height // 120)
    for left, top, right, bottom in SHARES:
        low, high = (int(left * width), int(top * height)), (int(right * width), int(bottom * height))
        cv2.rectangle(page, low, high, source.integers(0, 160, 3).tolist(), 1 if bottom - top > 0.03 else -1)
        for y in range(low[1] + line, high[1] - line, 2 * line):
            x = low[0] + line
            while x < high[0] - 4 * line:
                word = int(source.integers(line, 4 * line))
                cv2.rectangle(page, (x, y), (x + word, y + line // 2), (40, 40, 40), -1)
                x += word + line
    return page
