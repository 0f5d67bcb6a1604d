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

    with Image.open(picture) as image:
        return image.size


def as_webp(picture: Path) -> bytes:
    """A page's picture, small; the same picture gives the same bytes.

    Raises:
        OSError: it is no picture, or damaged.
    """
    from PIL import Image

    with Image.open(picture) as image:
        image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
        small = image.convert("RGB")
    file = io.BytesIO()
    small.save(file, "WEBP", quality=QUALITY, method=2)
    return file.getvalue()


def all_as_webp(pictures: Sequence[Path]) -> Iterator[bytes]:
    """Pictures one after the other, made a few at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        ahead = [pool.submit(as_webp, path) for path in pictures[: 2 * THREADS]]
        for number in range(len(pictures)):
            following = number + 2 * THREADS
            if following < len(pictures):
                ahead.append(pool.submit(as_webp, pictures[following]))
            yield ahead.pop(0).result()
