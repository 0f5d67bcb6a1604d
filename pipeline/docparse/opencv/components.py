"""Connected components of a mask with their boxes."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np

Pixels = np.ndarray[Any, Any]


def components(mask: Pixels, connectivity: Literal[4, 8]) -> tuple[Pixels, Pixels]:
    """(labels, stats) of a uint8 mask (height, width): labels int32 of its shape, 0 where it is 0; stats int32 (n, 5)
    in the order of the labels with left, top, width, height and count of pixels; row 0 stands for no component.

    OpenCV counts its own stats pixel by pixel, which takes several times as long as the labels; here each run of pixels
    along a row counts at once.
    """
    count, labels = cv2.connectedComponents(mask, connectivity=connectivity, ltype=cv2.CV_32S)
    width = labels.shape[1]
    flat = labels.ravel()
    begins = np.empty(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    begins[::width] = True
    starts = np.flatnonzero(begins)
    names, lengths = flat[starts], np.diff(starts, append=flat.size)
    inside = names > 0
    names, starts, lengths = names[inside], starts[inside], lengths[inside]
    rows = starts // width
    lefts = starts - rows * width
    left, right = np.full(count, width), np.zeros(count, np.int64)
    np.minimum.at(left, names, lefts)
    np.maximum.at(right, names, lefts + lengths)
    top, bottom = np.zeros(count, np.int64), np.zeros(count, np.int64)
    # Of values for the same place the last one stays, and runs come from the top.
    top[names[::-1]] = rows[::-1]
    bottom[names] = rows + 1
    sizes = np.bincount(names, weights=lengths, minlength=count)
    left[0] = 0
    return labels, np.stack([left, top, right - left, bottom - top, sizes], axis=1).astype(np.int32)
