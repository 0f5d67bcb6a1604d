"""The pages beside a page, as a run's folder keeps them, and what is marked on each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.widgets.picture import Box
    from index.found import Hit

_PAGE = re.compile(r"p(\d+)$")


@dataclass(frozen=True, slots=True)
class PagePlace:
    """A page's picture and what is outlined on it."""

    picture: Path
    page: int | None
    mark: Box | None = None
    others: tuple[Box, ...] = ()
    source: Path | None = None
    """The document, for a viewer."""
    title: str = ""


def page_number(picture: Path) -> int | None:
    """The number of the page whose picture lies in `artifacts/<document>/p0003/`; None for a document without pages."""
    match = _PAGE.match(picture.parent.name)
    return int(match[1]) if match else None


def step(place: PagePlace, by: int) -> PagePlace | None:
    """The page `by` further in the same document, as far as its picture is here; None at either end.

    It reads folders: call it from a worker.
    """
    if place.page is None:
        return None
    document = place.picture.parent.parent
    there = sorted(
        number
        for folder in document.glob("p*")
        if (match := _PAGE.match(folder.name)) and (folder / place.picture.name).is_file() and (number := int(match[1]))
    )
    beyond = [number for number in there if (number > place.page if by > 0 else number < place.page)]
    if not beyond:
        return None
    number = beyond[0] if by > 0 else beyond[-1]
    picture = document / f"p{number:04d}" / place.picture.name
    return PagePlace(picture, number, source=place.source)


def place_of(hit: Hit, hits: Sequence[Hit] = (), title: str = "") -> PagePlace | None:
    """The page of a hit with its place marked, and the places of other hits on it; None without a picture."""
    if hit.page_image_path is None:
        return None
    others = tuple(
        each.bbox_px
        for each in hits
        if each.bbox_px is not None and each.bbox_px != hit.bbox_px and each.page_image_path == hit.page_image_path
    )
    return PagePlace(hit.page_image_path, hit.page, hit.bbox_px, others, hit.source_path, title)


def around(box: Box, size: tuple[float, float], ratio: float = 0.0, share: float = 0.35) -> Box:
    """A part of a page of `size` that shows `box` with what stands about it.

    Args:
        box: what is looked at.
        size: width and height of the page.
        ratio: width by height of the room; the part is widened to fill it where the page goes on. 0: it is not.
        share: of the box's sides, what is shown on each side at least.
    """
    x, y, width, height = box
    room_x, room_y = max(24.0, width * share), max(24.0, height * share)
    across, down = width + 2 * room_x, height + 2 * room_y
    if ratio > 0:
        across, down = max(across, down * ratio), max(down, across / ratio)
    left, shown_across = _side(x, width, across, size[0])
    top, shown_down = _side(y, height, down, size[1])
    return left, top, shown_across, shown_down


def _side(start: float, length: float, wanted: float, whole: float) -> tuple[float, float]:
    """(where it begins, how long it is) of a part about `start` … `start + length`, inside of `whole`."""
    shown = min(wanted, whole)
    middle = start + length / 2
    return min(max(0.0, middle - shown / 2), whole - shown), shown
