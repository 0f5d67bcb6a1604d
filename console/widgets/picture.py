"""Pictures in the terminal, two pixels a cell; made off the screen's loop.

Half-cells need nothing but colour, so they come through SSH and tmux; the graphics protocols of single terminals are
not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, float, float, float]
"""x, y, width, height in the picture's pixels."""
MARK = (220, 60, 60)
OTHER_MARK = (0, 114, 178)
PAGES_KEPT = 2
"""Opened pictures that are kept: a page is looked at again and again while its boxes are moved."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn picture and the cells that it takes."""

    drawn: RenderableType
    columns: int
    lines: int


@dataclass(frozen=True, slots=True)
class Shot:
    """What is to be shown of a picture's file."""

    path: Path
    mark: Box | None = None
    """Outlined."""
    others: tuple[Box, ...] = ()
    """Outlined in another colour, below the mark."""
    window: Box | None = None
    """The part that is shown; None: all of it."""
    enlarged: float = 1.0
    """The most by which it may be enlarged to fill its room."""
    instead: Shot | None = None
    """What is shown when the file is not there."""


def picture(path: Path, columns: int, lines: int, mark: Box | None = None) -> Picture:
    """The image at `path` in at most `columns` × `lines` cells, with `mark` outlined.

    Raises:
        OSError: the file is missing or no image.
    """
    return draw(Shot(path, mark), columns, lines)


def draw(shot: Shot, columns: int, lines: int) -> Picture:
    """What a shot shows in at most `columns` × `lines` cells.

    Raises:
        OSError: the file is missing, no image, damaged, or larger than any page.
    """
    from PIL import Image, ImageDraw
    from rich_pixels import Pixels

    try:
        status = shot.path.stat()
    except FileNotFoundError as error:
        if shot.instead is not None:
            return draw(shot.instead, columns, lines)
        raise OSError(f"{shot.path.name} is not here") from error
    image = _opened(shot.path, status.st_mtime_ns, status.st_size)
    left, top, right, bottom = _corners(shot.window, image.width, image.height)
    scale = min(columns / (right - left), lines * 2 / (bottom - top), shot.enlarged)
    width, height = max(1, round((right - left) * scale)), max(2, round((bottom - top) * scale))
    height += height % 2
    how = Image.Resampling.BOX if scale <= 1 else Image.Resampling.BICUBIC
    small = image.resize((width, height), how, box=(left, top, right, bottom))
    pen = ImageDraw.Draw(small)
    marks: Sequence[tuple[Box, tuple[int, int, int]]] = [(box, OTHER_MARK) for box in shot.others]
    if shot.mark is not None:
        marks = [*marks, (shot.mark, MARK)]
    for (x, y, w, h), colour in marks:
        x0, y0 = (x - left) * scale - 1, (y - top) * scale - 1
        x1, y1 = (x + w - left) * scale + 1, (y + h - top) * scale + 1
        if x1 < 0 or y1 < 0 or x0 > width or y0 > height:
            continue
        x0, y0 = max(0.0, x0), max(0.0, y0)
        pen.rectangle((x0, y0, max(x0, min(width - 1.0, x1)), max(y0, min(height - 1.0, y1))), outline=colour)
    return Picture(Pixels.from_image(small), small.width, small.height // 2)


def _corners(window: Box | None, width: int, height: int) -> tuple[float, float, float, float]:
    """The part that is shown, inside of the picture and never empty."""
    if window is None:
        return 0, 0, width, height
    x, y, w, h = window
    left, top = min(max(0.0, x), width - 1.0), min(max(0.0, y), height - 1.0)
    return left, top, max(left + 1, min(width, x + w)), max(top + 1, min(height, y + h))


@lru_cache(maxsize=PAGES_KEPT)
def _opened(path: Path, mtime_ns: int, size: int) -> Image:
    """The picture; one whose time or size changed is another."""
    from PIL import Image

    try:
        with Image.open(path) as source:
            return source.convert("RGB")
    except (Image.DecompressionBombError, SyntaxError, ValueError) as error:  # a damaged PNG is a SyntaxError to PIL
        raise OSError(f"{path.name}: {error}") from error
