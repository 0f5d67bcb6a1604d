"""`overlay.webp`: a page with everything that was found on it, for the eye.

Each region has its label's colour, a box, a tag with its number, label and score, and, where it has one, its mask.
Lines and tags are edged in white and black, so that they show on dark pages as on light ones.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.docparse.colours import rgb
from pipeline.docparse.regions import Region

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

Crop = tuple[int, int, "Array"]
"""(left, top, bool pixels) of a mask in page pixels."""

MAX_SIDE_PX = 1000
"""A page is shown no larger: enough to read the tags, and a third of the time that its own size would take."""
QUALITY = 70
MASK_OPACITY = 0.35
FONT_SCALE = 0.38
TAG_PX = 13
"""Height of a tag."""
LIGHT = 140
"""From this brightness of its colour on, 0 to 255, a tag is written in black."""


def draw_overlay(pixels: Array, regions: Sequence[Region], masks: Sequence[Crop | None] | None = None) -> bytes:
    """The page as WebP with its regions drawn on it; the same page and regions give the same bytes.

    Args:
        pixels: the page, uint8 (height, width, 3), blue-green-red; left as it is.
        regions: what was found, a container before what it holds.
        masks: the regions' masks where they are decoded already; else they are decoded here.
    """
    import cv2
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = min(1.0, MAX_SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shown = pixels.copy() if scale == 1.0 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    for index, region in enumerate(regions):
        mask = _mask(region) if masks is None else masks[index]
        if mask is not None:
            _tint(shown, mask, scale, _bgr(region))
    for region in regions:
        _frame(shown, region, scale)
    for region in regions:
        _tag(shown, region, scale)
    file = io.BytesIO()
    Image.fromarray(cv2.cvtColor(shown, cv2.COLOR_BGR2RGB)).save(file, "WEBP", quality=QUALITY, method=0)
    return file.getvalue()


def _bgr(region: Region) -> tuple[int, int, int]:
    red, green, blue = rgb(region.label)
    return blue, green, red


def _mask(region: Region) -> Crop | None:
    from pipeline.docparse.run_lengths import crop_of

    return None if region.segmentation is None else crop_of(region.segmentation)


def _tint(shown: Array, mask: Crop, scale: float, colour: tuple[int, int, int]) -> None:
    """Lay a mask's colour over the picture, half seen through."""
    import cv2
    import numpy as np

    left, top, pixels = mask
    if not pixels.any():
        return
    # Rounding the picture's sides down can leave a page's last pixels outside of it.
    x0, y0 = min(int(left * scale), shown.shape[1] - 1), min(int(top * scale), shown.shape[0] - 1)
    x1 = min(shown.shape[1], max(x0 + 1, round((left + pixels.shape[1]) * scale)))
    y1 = min(shown.shape[0], max(y0 + 1, round((top + pixels.shape[0]) * scale)))
    small = cv2.resize(pixels.astype(np.uint8) * 255, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA) >= 64
    part = shown[y0:y1, x0:x1]
    tinted = cv2.addWeighted(part, 1 - MASK_OPACITY, np.full_like(part, colour), MASK_OPACITY, 0)
    part[small] = tinted[small]


def _corners(region: Region, scale: float) -> tuple[tuple[int, int], tuple[int, int]]:
    left, top, right, bottom = (round(side * scale) for side in region.box)
    return (left, top), (right, bottom)


def _frame(shown: Array, region: Region, scale: float) -> None:
    import cv2

    first, last = _corners(region, scale)
    cv2.rectangle(shown, first, last, (255, 255, 255), 3)
    cv2.rectangle(shown, first, last, _bgr(region), 2)


def _tag(shown: Array, region: Region, scale: float) -> None:
    """Number, label and score on the box's upper left corner; inside of it where the page ends above."""
    import cv2

    text = f"{region.number} {region.label} {region.score:.2f}"
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE, 1)
    (left, top), _ = _corners(region, scale)
    left = max(0, min(left, shown.shape[1] - wide - 4))
    top = top - TAG_PX if top >= TAG_PX else top
    colour = _bgr(region)
    brightness = 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2]
    ink = (0, 0, 0) if brightness >= LIGHT else (255, 255, 255)
    cv2.rectangle(shown, (left, top), (left + wide + 4, top + TAG_PX), colour, cv2.FILLED)
    cv2.rectangle(shown, (left, top), (left + wide + 4, top + TAG_PX), ink, 1)
    cv2.putText(shown, text, (left + 2, top + TAG_PX - 3), cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE, ink, 1, cv2.LINE_AA)
