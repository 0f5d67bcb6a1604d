"""Pictures in the terminal, two pixels a cell; made off the screen's loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn picture and the cells that it takes."""

    drawn: RenderableType
    columns: int
    lines: int


def picture(path: Path, columns: int, lines: int, mark: Box | None = None) -> Picture:
    """The image at `path` in at most `columns` × `lines` cells, with `mark` (x, y, width, height in pixels) outlined.

    Raises:
        OSError: the file is missing or no image.
    """
    from PIL import Image, ImageDraw
    from rich_pixels import Pixels

    with Image.open(path) as source:
        source.draft("RGB", (columns * 2, lines * 4))
        image = source.convert("RGB")
    scale = min(columns / image.width, lines * 2 / image.height, 1.0)
    width, height = max(1, round(image.width * scale)), max(2, round(image.height * scale))
    small = image.resize((width, height + height % 2), Image.Resampling.BOX)
    if mark is not None:
        x, y, w, h = (value * scale for value in mark)
        outline = (max(0.0, x - 1), max(0.0, y - 1), min(width - 1.0, x + w + 1), min(height - 1.0, y + h + 1))
        ImageDraw.Draw(small).rectangle(outline, outline=(220, 60, 60))
    return Picture(Pixels.from_image(small), small.width, small.height // 2)
