"""How much of a page is under boxes."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.docparse.words import Box

CELLS = 128
"""A side of the grid that stands for the page: a share is true to about a hundredth."""


def covered_share(boxes: Iterable[Box], frame: Box) -> float:
    """Share of `frame` that lies under at least one of the boxes, 0 to 1; what lies outside it does not count.

    Boxes and frame are in the same units, top and bottom in either order. A cell of a grid counts by its centre.
    """
    import numpy as np

    left, top, right, bottom = _ordered(frame)
    if right <= left or bottom <= top:
        return 0.0
    cells = np.zeros((CELLS, CELLS), bool)
    for box in boxes:
        x0, y0, x1, y1 = _ordered(box)
        across = [_cell((x - left) / (right - left)) for x in (x0, x1)]
        down = [_cell((y - top) / (bottom - top)) for y in (y0, y1)]
        cells[down[0] : down[1], across[0] : across[1]] = True
    return float(cells.mean())


def _ordered(box: Box) -> Box:
    return min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])


def _cell(share: float) -> int:
    """The first cell whose centre lies at or after a place."""
    return round(min(1.0, max(0.0, share)) * CELLS)
