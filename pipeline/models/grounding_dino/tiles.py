"""Where a large page is looked at more closely: squares that overlap, all of one size."""

from __future__ import annotations

from math import ceil

Tile = tuple[int, int, int, int]
"""Left, top, right, bottom in whole page pixels."""


def tiles_of(width: int, height: int, tile_px: int, overlap: float) -> list[Tile]:
    """Tiles that cover a page row by row, each sharing at least `overlap` of its side with the next.

    A page that one tile would hold has none: the whole page is looked at in any case. Whole page and tiles together are
    what SAHI recommends, because tiles alone cut large objects (obss/sahi discussion 274).
    """
    if width <= tile_px and height <= tile_px:
        return []
    across, down = min(tile_px, width), min(tile_px, height)
    return [
        (left, top, left + across, top + down)
        for top in _starts(height, down, overlap)
        for left in _starts(width, across, overlap)
    ]


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    """Where tiles begin along a side, evenly spread, the last one flush with its end."""
    free = length - tile
    if free == 0:
        return [0]
    steps = ceil(free / (tile * (1 - overlap)))
    return [round(step * free / steps) for step in range(steps + 1)]
