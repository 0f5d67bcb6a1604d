"""Cells of a list fitted to their columns, measured as a terminal draws them: wide, combined and hidden characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from console.models.rows import Column
from console.words import visible

ELLIPSIS = "…"
GAP = 2
GUTTER = 3
"""Signs before the first column: mark, then problem or age, then room."""
LEAST_WIDTH = 4
"""A column that would be narrower is left out."""
LONGEST_DRAWN = 2_000
"""Characters of a cell that are looked at: no screen is wider."""


@dataclass(frozen=True, slots=True)
class Place:
    """A column that is drawn: which, how wide, and how many cells stand before it."""

    index: int
    width: int
    gap: int


def layout(
    columns: Sequence[Column], width: int, screen_width: int, left_out: frozenset[int] = frozenset()
) -> tuple[Place, ...]:
    """The columns that fit: those for wide screens go first, then words are cut; room left over goes to the last words.

    Where even that is too wide, columns at the end are left out, and `len` of the answer says so.
    """
    chosen = [
        index for index, column in enumerate(columns) if screen_width >= column.min_screen and index not in left_out
    ]
    room = width - GUTTER

    def needed(gap: int) -> int:
        return sum(columns[index].width for index in chosen) + gap * (len(chosen) - 1)

    while len(chosen) > 1 and needed(1) > room:
        widest = max(columns[index].min_screen for index in chosen)
        if widest == 0:
            break
        chosen.remove(max(index for index in chosen if columns[index].min_screen == widest))
    if columns[chosen[-1]].numeric:
        room -= 1  # figures that touch the edge run into what stands beside the list
    gap = GAP if needed(GAP) <= room else 1
    widths = {index: columns[index].width for index in chosen}
    while (over := sum(widths.values()) + gap * (len(chosen) - 1) - room) > 0:
        words = [index for index in chosen if not columns[index].numeric and widths[index] > LEAST_WIDTH]
        if not words:
            break
        widest = max(words, key=lambda index: widths[index])
        next_widest = max((widths[index] for index in words if index != widest), default=LEAST_WIDTH)
        widths[widest] = max(LEAST_WIDTH, widths[widest] - over, min(next_widest, widths[widest] - 1))
    places: list[Place] = []
    left = room
    for index in chosen:
        before = gap if places else 0
        wide = min(widths[index], left - before)
        if places and wide < min(LEAST_WIDTH, widths[index]):
            break
        places.append(Place(index, max(1, wide), before))
        left -= before + wide
    if left > 0 and places and (words := [at for at, place in enumerate(places) if not columns[place.index].numeric]):
        at = words[-1]
        places[at] = Place(places[at].index, places[at].width + left, places[at].gap)
    return tuple(places)


def fit(cell: Text, width: int, *, right: bool = False) -> Text | str:
    """A cell in exactly `width` cells of the screen; what does not fit ends in an ellipsis.

    Returns:
        Plain text where the cell has one style, which the caller applies; otherwise text with its spans.
    """
    plain = cell.plain
    if len(plain) > LONGEST_DRAWN:
        cell = cell[:LONGEST_DRAWN]
        plain = cell.plain
    if not plain.isprintable():
        plain = visible(plain)
        return fit_words(plain, width, right=right)  # characters that were spelled out moved its spans
    if not cell.spans:
        return fit_words(plain, width, right=right)
    found = cell_len(plain)
    fitted = cell.copy()
    if found > width:
        fitted.truncate(width, overflow="ellipsis")
        found = cell_len(fitted.plain)
    if found < width:
        (fitted.pad_left if right else fitted.pad_right)(width - found)
    return fitted


def fit_words(words: str, width: int, *, right: bool = False) -> str:
    """The same of a plain string without control characters."""
    found = cell_len(words)
    if found > width:
        words = set_cell_size(words, width - 1) + ELLIPSIS if width > 1 else ELLIPSIS
        found = cell_len(words)
    if found < width:
        blank = " " * (width - found)
        return blank + words if right else words + blank
    return words
