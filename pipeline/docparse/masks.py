"""Masks of regions: checked against their boxes, and written as COCO's run lengths and as pictures."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from pipeline.docparse.regions import RegionMask, Rle
from pipeline.docparse.run_lengths import crop_of, rle_of
from pipeline.docparse.segmenting import Mask
from pipeline.docparse.words import Box

if TYPE_CHECKING:
    import numpy

LEAVES_BOX_SHARE = 0.10
"""A mask with more than this share of its pixels outside its box is flagged, and cut at the box."""
FULL_BOX_SHARE = 0.98
"""A mask that covers at least this share of its box says no more than the box does."""
MOST_PARTS = 4
"""More connected parts than these, and the mask is flagged."""
PART_SHARE = 0.02
"""Share of the mask's pixels from which a connected part counts; smaller ones are specks."""


def area_px(mask: Mask) -> int:
    """Number of the mask's pixels."""
    return int(mask.pixels.sum())


def checked(mask: Mask, box: Box) -> Mask:
    """The mask with flags that say what is odd about it for `box`; one that leaves its box is cut at the box.

    `empty`: no pixel. `leaves-box`: more than LEAVES_BOX_SHARE of it was outside. `nearly-full-box`: covers
    FULL_BOX_SHARE of the box or more. `many-parts`: more than MOST_PARTS parts (connected over corners, too) of
    PART_SHARE of it or more. `thin`: nowhere wider than 2 px, where a mask at SAM's own resolution is a guess.
    """
    pixels = mask.pixels
    rows, columns = _touched(mask, box)
    area, inside = area_px(mask), int(pixels[rows, columns].sum())
    flags = []
    if area - inside > LEAVES_BOX_SHARE * area:
        flags.append("leaves-box")
        pixels, area = _only(pixels, rows, columns), inside
    if not area:
        flags.append("empty")
    else:
        if inside >= FULL_BOX_SHARE * pixels[rows, columns].size:
            flags.append("nearly-full-box")
        if _parts(pixels, area) > MOST_PARTS:
            flags.append("many-parts")
        if _is_thin(pixels):
            flags.append("thin")
    return replace(mask, pixels=pixels, flags=(*mask.flags, *flags))


def to_rle(mask: Mask, width: int, height: int) -> Rle:
    """The mask on its page of (width, height) pixels, byte for byte as pycocotools encodes the whole page.

    Only the crop is looked at: every run of a crop's column is one run of the page's column, shifted; runs that touch
    over a column's end (a crop as high as the page) become one. A page's worth of pixels is never made.
    """
    return rle_of(mask.left, mask.top, mask.pixels, width, height)


def region_mask(mask: Mask, width: int, height: int) -> RegionMask:
    """The mask as a region keeps it, on its page of (width, height) pixels."""
    return RegionMask(to_rle(mask, width, height), area_px(mask), mask.quality, mask.stability, mask.flags)


def decode(segmentation: Rle) -> numpy.ndarray[Any, Any]:
    """The page-size mask: bool, (height, width)."""
    import numpy as np

    left, top, pixels = crop_of(segmentation)
    page = np.zeros(segmentation.size, bool)
    page[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return page


def bounds(segmentation: Rle) -> tuple[int, int, int, int]:
    """The smallest left, top, right, bottom around the mask's pixels, right and bottom excluded; zeros when empty."""
    left, top, pixels = crop_of(segmentation)
    return left, top, left + pixels.shape[1], top + pixels.shape[0]


def mask_png(pixels: numpy.ndarray[Any, Any]) -> bytes:
    """A mask, bool (height, width), as a PNG of one bit a pixel; white is part of the region."""
    import cv2
    import numpy as np

    ok, data = cv2.imencode(
        ".png", pixels.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    assert ok, "OpenCV encodes any mask"
    return bytes(data)


def read_mask_png(data: bytes) -> numpy.ndarray[Any, Any]:
    """The mask that `mask_png` wrote: bool, (height, width)."""
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise ValueError("not a picture of a mask")
    return np.asarray(pixels > 0)


def _touched(mask: Mask, box: Box) -> tuple[slice, slice]:
    """The rows and columns of the mask's crop that the box touches, if only in part."""
    left, top, right, bottom = box
    height, width = mask.pixels.shape
    return _span(top - mask.top, bottom - mask.top, height), _span(left - mask.left, right - mask.left, width)


def _span(low: float, high: float, pixels: int) -> slice:
    return slice(min(pixels, max(0, floor(low))), min(pixels, max(0, ceil(high))))


def _only(pixels: numpy.ndarray[Any, Any], rows: slice, columns: slice) -> numpy.ndarray[Any, Any]:
    import numpy as np

    kept = np.zeros_like(pixels)
    kept[rows, columns] = pixels[rows, columns]
    return kept


def _parts(pixels: numpy.ndarray[Any, Any], area: int) -> int:
    import cv2

    _, _, stats, _ = cv2.connectedComponentsWithStats(_bytes(pixels), connectivity=8)
    return int((stats[1:, cv2.CC_STAT_AREA] >= PART_SHARE * area).sum())


def _is_thin(pixels: numpy.ndarray[Any, Any]) -> bool:
    """Whether nothing of it survives when a pixel is taken off all round; the crop's own edge takes nothing off."""
    import cv2
    import numpy as np

    return not cv2.erode(_bytes(pixels), np.ones((3, 3), np.uint8)).any()


def _bytes(pixels: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """The same pixels for OpenCV, which knows no bool: 0 and 1."""
    import numpy as np

    return np.ascontiguousarray(pixels).view(np.uint8)
