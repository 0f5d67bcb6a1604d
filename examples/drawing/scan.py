"""Pictures without a text layer: a photographed board and a sheet that went through a scanner."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from drawing.book import Book, Drawing, PageTruth
from drawing.truth import turned

_PAPER = 244
_TONER = 34


def as_png(book: Book, dpi: int) -> Drawing:
    """The book's only page as a PNG."""
    image = _image(book.pixels(0, dpi))
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True, dpi=(dpi, dpi))
    return Drawing(book.name, stream.getvalue(), book.truth())


def as_scan(book: Book, dpi: int, turns_degrees: Sequence[float]) -> Drawing:
    """The book's pages as a grey, slightly turned and noisy TIFF; the truth is turned with them."""
    truth = book.truth()
    images = [_scanned(_image(book.pixels(i, dpi)), turn, seed=i) for i, turn in enumerate(turns_degrees)]
    pages = tuple(
        PageTruth(
            page.width_pt,
            page.height_pt,
            0,
            tuple(turned(page.regions, turn, (page.width_pt / 2, page.height_pt / 2))),
        )
        for page, turn in zip(truth, turns_degrees, strict=True)
    )
    return Drawing(book.name, grey_tiff(images, dpi), pages)


def grey_tiff(images: Sequence[Image.Image], dpi: int) -> bytes:
    """A multi-page 8-bit grey TIFF 6.0 file, one deflated strip a page.

    Written here because libtiff leaves a byte of unset memory between pages, and equal drawings are to be equal files.
    """
    data = bytearray(b"II*\0\0\0\0\0")
    link_at = 4
    for image in images:
        strip_at = len(data)
        strip = zlib.compress(image.tobytes(), 6)
        data += strip + b"\0" * (len(strip) % 2)
        resolution_at = len(data)
        data += struct.pack("<II", dpi, 1)
        long, rational, short = 4, 5, 3
        entries = (
            (256, long, image.width),
            (257, long, image.height),
            (258, short, 8),  # bits per sample
            (259, short, 8),  # compression: deflate
            (262, short, 1),  # photometric: black is zero
            (273, long, strip_at),
            (277, short, 1),  # samples per pixel
            (278, long, image.height),  # rows per strip
            (279, long, len(strip)),
            (282, rational, resolution_at),
            (283, rational, resolution_at),
            (296, short, 2),  # resolution unit: inch
        )
        struct.pack_into("<I", data, link_at, len(data))
        data += struct.pack("<H", len(entries))
        for tag, kind, value in entries:
            data += struct.pack("<HHII", tag, kind, 1, value)
        link_at = len(data)
        data += bytes(4)
    return bytes(data)


def _image(pixmap: Any) -> Image.Image:
    return Image.frombytes("RGB", (pixmap.width, pixmap.height), pixmap.samples)


def _scanned(page: Image.Image, turn_degrees: float, seed: int) -> Image.Image:
    """Grey paper with the shadow of the lid at its left edge, toner that is not quite black, grain and dust."""
    # Pillow turns against the clock, the truth with it.
    grey = page.convert("L").rotate(-turn_degrees, Image.Resampling.BICUBIC, fillcolor=255)
    ink = np.asarray(grey, dtype=np.int32)
    height, width = ink.shape
    values = _TONER + ink * (_PAPER - _TONER) // 255
    values -= np.maximum(0, 40 - np.arange(width, dtype=np.int32)) // 2
    random = np.random.default_rng(seed)
    grain = random.integers(0, 100, size=ink.shape, dtype=np.int32)
    values += np.where(grain < 4, -6, 0) + np.where(grain > 96, 6, 0)
    for x, y, radius in zip(
        random.integers(0, width, 60), random.integers(0, height, 60), random.integers(1, 3, 60), strict=True
    ):
        values[max(0, y - radius) : y + radius, max(0, x - radius) : x + radius] -= 60
    # Steps of four grey levels, as cheap scanners give; they keep the file small.
    return Image.fromarray((np.clip(values, 0, 255) // 4 * 4).astype(np.uint8))
