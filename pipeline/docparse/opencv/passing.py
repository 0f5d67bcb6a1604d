"""Arrows that pass over or under the letters of a line, in the room that a text layer gives it."""

from __future__ import annotations

import numpy as np

from pipeline.docparse.opencv.sheet import Pixels

BEYOND_PX = 3


def without_passing(ink: Pixels, left: int, top: int, right: int, bottom: int) -> Pixels:
    """The ink of a line's room without rows apart from its letters', of which ink goes on beyond the room.

    The room is for high letters and tails, though the line may have none: an arrow may begin or pass there.
    """
    part: Pixels = ink[top:bottom, left:right]
    rows = np.asarray(part.any(axis=1))
    breaks = np.flatnonzero(np.diff(rows.astype(np.int8))) + 1
    if len(breaks) < 2:
        return part
    runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(np.arange(len(rows)), breaks) if rows[run[0]]]
    letters = max(runs, key=lambda run: int(np.count_nonzero(part[run[0] : run[1]])))
    kept = part.copy()
    for first, last in runs:
        if (first, last) == letters:
            continue
        around = ink[
            max(0, top + first - (BEYOND_PX if first == 0 else 0)) : top
            + last
            + (BEYOND_PX if last == len(rows) else 0),
            max(0, left - BEYOND_PX) : right + BEYOND_PX,
        ]
        if np.count_nonzero(around) > np.count_nonzero(part[first:last]):
            kept[first:last] = 0
    return kept
