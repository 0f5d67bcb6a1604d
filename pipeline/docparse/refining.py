"""Parts of a page that are looked at again, enlarged: where small and thin regions lie.

SAM 2 sees a page as a square of 1024 pixels and draws masks on one of 256, so that an arrow's line is thinner than a
cell. Cut from a part of the page instead, it is several cells wide. Ground: vision models lose what is smaller than
their grid; tiles beside the whole picture are the known remedy (obss/sahi#274).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.docparse.words import Box

if TYPE_CHECKING:
    import numpy

WINDOW_PX = 512
"""Side of the square part that is looked at again: at 150 dpi three to four times as fine as the whole page."""
ROOM_SHARE = 0.125
"""Room that a region must have around it in its part, as a share of the part's side; a longer region gets a larger
part."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a page, and which of the page's boxes are cut from it."""

    left: int
    top: int
    right: int
    bottom: int
    boxes: tuple[int, ...]

    def of(self, pixels: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        """The part's pixels."""
        return pixels[self.top : self.bottom, self.left : self.right]

    def moved(self, boxes: Sequence[Box]) -> list[Box]:
        """Boxes of the page as they lie in the part."""
        return [
            (left - self.left, top - self.top, right - self.left, bottom - self.top)
            for left, top, right, bottom in boxes
        ]


def windows(boxes: Sequence[Box], width: int, height: int, below_px: float) -> list[Window]:
    """Parts of a page of (width, height) pixels that hold every box whose shorter side is below `below_px`.

    Parts lie around the first box that none holds yet, in reading order, and take all others that fit in them, so that
    a page's arrows cost a few encoder passes and not one each. A region that is as long as the page gains nothing from
    a part of it and gets none.
    """
    waiting = [
        index
        for index, (left, top, right, bottom) in enumerate(boxes)
        if min(right - left, bottom - top) < below_px and _side(boxes[index]) < max(width, height)
    ]
    waiting.sort(key=lambda index: (boxes[index][1], boxes[index][0], index))
    found = []
    while waiting:
        place = _place(boxes[waiting[0]], width, height)
        held = [index for index in waiting if index == waiting[0] or _fits(boxes[index], place, width, height)]
        found.append(Window(*place, tuple(held)))
        waiting = [index for index in waiting if index not in held]
    return found


def _side(box: Box) -> float:
    left, top, right, bottom = box
    return max(WINDOW_PX, max(right - left, bottom - top) / (1 - 2 * ROOM_SHARE))


def _place(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """A square around a box, moved inside the page and cut where the page is smaller."""
    side = round(_side(box))
    left = _inside((box[0] + box[2] - side) / 2, side, width)
    top = _inside((box[1] + box[3] - side) / 2, side, height)
    return left, top, min(width, left + side), min(height, top + side)


def _inside(start: float, side: int, most: int) -> int:
    return max(0, min(round(start), most - side))


def _fits(box: Box, place: tuple[int, int, int, int], width: int, height: int) -> bool:
    """Whether a box lies in a part with room around it; at the page's edge there is none to be had."""
    left, top, right, bottom = place
    room = ROOM_SHARE * (right - left)
    return (
        box[0] >= (left + room if left > 0 else 0)
        and box[1] >= (top + room if top > 0 else 0)
        and box[2] <= (right - room if right < width else width)
        and box[3] <= (bottom - room if bottom < height else height)
    )
