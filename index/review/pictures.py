"""Pictures of pages for a page that holds all of them: smaller, and as WebP."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MAX_SIDE_PX = 1400
"""A page is held no larger: its text is read at this size, and it takes a third of what the drawn page takes."""
QUALITY = 68
THREADS = 4


def size_px(picture: Path) -> tuple[int, int]:
    """Width and height of a picture, from its head.

    Raises:
        OSError: it is no picture.
    """
    from PIL import Image

    try:
        with Image.open(picture) as image:
            return image.size
    except (Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise OSError(f"{picture.name}: {error}") from error


def as_webp(picture: Path) -> bytes:
    """A page's picture, small; the same picture gives the same bytes.

    Raises:
        OSError: it is no picture, damaged, or larger than any page.
    """
    from PIL import Image

    try:
        with Image.open(picture) as image:
            small = image.convert("RGB")
    except (Image.DecompressionBombError, SyntaxError, ValueError) as error:  # a damaged PNG is a SyntaxError to PIL
        raise OSError(f"{picture.name}: {error}") from error
    small.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=QUALITY, method=2)
    return file.getvalue()


def all_as_webp(pictures: Sequence[Path]) -> Iterator[bytes | OSError]:
    """Pictures one after the other, made a few at a time; in the place of one that cannot be read, the reason."""

    def made(picture: Path) -> bytes | OSError:
        try:
            return as_webp(picture)
        except OSError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        ahead = [pool.submit(made, path) for path in pictures[: 2 * THREADS]]
        for number in range(len(pictures)):
            following = number + 2 * THREADS
            if following < len(pictures):
                ahead.append(pool.submit(made, pictures[following]))
            yield ahead.pop(0).result()
