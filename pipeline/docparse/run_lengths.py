"""Masks as COCO writes them, without its library: the run lengths of a page read column by column, packed into text.

`pycocotools` is a part of the GPU's libraries; pages are exported and corrected where those are not. The packing is
that of `rleToString` and `rleFrString` in the COCO API: differences to the run before the last one, five bits a
character.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.docparse.regions import Rle

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

_FIRST = 48
"""Characters begin at "0"."""
_BITS = 5


class BadRunLengths(ValueError):
    """Text or numbers that are no run lengths of a page of this size."""


def unpack(counts: str) -> Array:
    """Packed text → lengths of runs, background first: int64.

    Raises:
        BadRunLengths: the text ends in the middle of a number, or holds characters that cannot be.
    """
    import numpy as np

    signs = np.frombuffer(counts.encode("utf-8"), np.uint8).astype(np.int64) - _FIRST
    if not len(signs):
        return np.zeros(0, np.int64)
    if signs.min() < 0 or signs.max() > 63 or signs[-1] & 32:
        raise BadRunLengths("is not packed as COCO packs run lengths")
    last = np.flatnonzero((signs & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(len(signs)) - np.repeat(first, last - first + 1)
    if place.max() > 11:
        raise BadRunLengths("holds a number larger than any page")
    values = np.add.reduceat((signs & 31) << (_BITS * place), first)
    negative = (signs[last] & 16) != 0
    values -= np.where(negative, np.int64(1) << (_BITS * (place[last] + 1)), 0)
    # Every run from the fourth on is told as the difference to the one before the last.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def pack(lengths: Sequence[int] | Array) -> str:
    """Lengths of runs, background first → packed text."""
    import numpy as np

    values = np.asarray(lengths, np.int64).copy()
    values[3:] -= np.asarray(lengths, np.int64)[1:-2]
    signs: list[Array] = []
    going: list[Array] = []
    rest, active = values, np.ones(len(values), bool)
    while active.any():
        low = rest & 31
        rest = rest >> _BITS
        more = np.where(low & 16, rest != -1, rest != 0)
        signs.append(low | np.where(more, 32, 0))
        going.append(active)
        active = active & more
    if not signs:
        return ""
    packed: Array = np.stack(signs, axis=1)[np.stack(going, axis=1)] + _FIRST
    return bytes(packed.astype(np.uint8)).decode("ascii")


def lengths_of(segmentation: Rle) -> Array:
    """The lengths of a mask's runs, checked to fill its page.

    Raises:
        BadRunLengths: they do not.
    """
    lengths = unpack(segmentation.counts)
    height, width = segmentation.size
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise BadRunLengths(f"does not fill a page of {width} × {height} pixels")
    return lengths


def area_px(segmentation: Rle) -> int:
    """Number of the mask's pixels."""
    return int(lengths_of(segmentation)[1::2].sum())


def crop_of(segmentation: Rle) -> tuple[int, int, Array]:
    """(left, top, bool pixels) of the part of the page that holds the mask; an empty mask has no pixels at 0, 0."""
    import numpy as np

    height, _ = segmentation.size
    lengths = lengths_of(segmentation)
    edges = np.concatenate([[0], np.cumsum(lengths)])
    starts, ends = edges[1:-1:2], edges[2::2]
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    if not len(starts):
        return 0, 0, np.zeros((0, 0), bool)
    left, right = int(starts[0] // height), int((ends[-1] - 1) // height) + 1
    edges = np.concatenate([[left * height], np.stack([starts, ends], axis=1).ravel(), [right * height]])
    runs = np.diff(edges)
    columns = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(right - left, height)
    rows = np.flatnonzero(columns.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return left, top, np.ascontiguousarray(columns[:, top:bottom].T)


def rle_of(left: int, top: int, pixels: Array, width: int, height: int) -> Rle:
    """The mask of a page of (width, height) pixels from its crop: bool (rows, columns) at (left, top).

    Raises:
        BadRunLengths: the crop leaves the page.
    """
    import numpy as np

    rows, columns = pixels.shape
    if left < 0 or top < 0 or left + columns > width or top + rows > height:
        raise BadRunLengths(f"a mask of {columns}×{rows} px at {left}, {top} leaves its page {width}×{height}")
    padded = np.zeros((columns, rows + 2), np.int8)
    padded[:, 1:-1] = pixels.T
    steps = np.diff(padded, axis=1)
    columns_in, rows_in = np.nonzero(steps == 1)
    columns_out, rows_out = np.nonzero(steps == -1)
    starts = (left + columns_in) * height + top + rows_in
    ends = (left + columns_out) * height + top + rows_out
    if len(starts):
        apart = starts[1:] != ends[:-1]
        starts, ends = starts[np.concatenate([[True], apart])], ends[np.concatenate([apart, [True]])]
    edges = np.zeros(2 * len(starts) + 2, np.int64)
    edges[1:-1:2], edges[2:-1:2], edges[-1] = starts, ends, width * height
    lengths = np.diff(edges)
    return Rle(size=(height, width), counts=pack(lengths[:-1] if len(starts) and lengths[-1] == 0 else lengths))
