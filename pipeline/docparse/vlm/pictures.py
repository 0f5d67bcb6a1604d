"""The picture of a question: a region with a little around it, no larger than wanted, its parts framed and numbered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.docparse.words import Box

if TYPE_CHECKING:
    import numpy

PADDING_PX = 12
FRAME_COLOUR = (40, 40, 220)
"""Blue, green, red: a red that drawings seldom have."""
PNG_LEVEL = 6


def picture_box(box: Box, page_size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of the page that is shown for a box: left, top, right, bottom in whole page pixels, never empty."""
    width, height = page_size_px
    left = max(0, min(width - 1, int(box[0]) - PADDING_PX))
    top = max(0, min(height - 1, int(box[1]) - PADDING_PX))
    right = min(width, max(left + 1, int(box[2]) + PADDING_PX + 1))
    bottom = min(height, max(top + 1, int(box[3]) + PADDING_PX + 1))
    return left, top, right, bottom


def picture_size(box: Box, page_size_px: tuple[int, int], max_side_px: int) -> tuple[int, int]:
    """(width, height) of the picture that is sent for a box."""
    left, top, right, bottom = picture_box(box, page_size_px)
    width, height = right - left, bottom - top
    scale = min(1.0, max_side_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def draw_picture(
    pixels: numpy.ndarray[Any, Any], box: Box, numbered: Mapping[int, Box], max_side_px: int
) -> numpy.ndarray[Any, Any]:
    """The picture for a box of a page (uint8, blue-green-red); `numbered` boxes are framed, their numbers beside."""
    import cv2

    height, width = pixels.shape[:2]
    left, top, right, bottom = picture_box(box, (width, height))
    size = picture_size(box, (width, height), max_side_px)
    shown = pixels[top:bottom, left:right]
    if (shown.shape[1], shown.shape[0]) != size:
        shown = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    else:
        shown = shown.copy()
    scale_x, scale_y = size[0] / (right - left), size[1] / (bottom - top)
    for number, inner in sorted(numbered.items()):
        corner = (round((inner[0] - left) * scale_x), round((inner[1] - top) * scale_y))
        opposite = (round((inner[2] - left) * scale_x), round((inner[3] - top) * scale_y))
        cv2.rectangle(shown, corner, opposite, FRAME_COLOUR, 1)
        _write_number(shown, number, corner)
    return shown


def _write_number(shown: numpy.ndarray[Any, Any], number: int, corner: tuple[int, int]) -> None:
    """A small tag at a frame's upper left corner, kept inside the picture."""
    import cv2

    (width, height), below = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    x = max(0, min(corner[0], shown.shape[1] - width - 2))
    y = max(height + 2, min(corner[1] - 2, shown.shape[0] - below))
    cv2.rectangle(shown, (x, y - height - 2), (x + width + 1, y + below - 1), (255, 255, 255), cv2.FILLED)
    cv2.putText(shown, str(number), (x + 1, y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, FRAME_COLOUR, 1, cv2.LINE_AA)


def encode_picture(pixels: numpy.ndarray[Any, Any]) -> bytes:
    """A picture as a PNG file."""
    import cv2

    ok, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    assert ok, "OpenCV encodes any 8-bit image"
    return bytes(data)
