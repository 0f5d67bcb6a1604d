"""Pages of images: PNG, JPEG, TIFF with its pages among other frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.docparse.media import JPEG, TIFF
from pipeline.docparse.pages.colour import to_rgb
from pipeline.docparse.pages.source import DocumentProblem, PageDamaged, PageTooLarge, flat
from pipeline.docparse.words import Word

if TYPE_CHECKING:
    import numpy

HONEST_DPI = (100.0, 2400.0)
"""Below is what writers put that do not know (72, 96); above nothing is scanned."""
HONEST_SIDE_MM = (30.0, 2000.0)
"""The longer side of what is laid on a scanner, from a ticket to a plan."""
_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
_NEW_SUBFILE_TYPE = 254
_NO_PAGE = 0b101
"""Bits of a TIFF frame's NewSubfileType: a smaller copy of another frame, or a mask for it."""


class ImageSource:
    """An image file.

    Raises:
        DocumentProblem: it is damaged.
    """

    def __init__(self, path: Path, media_type: str) -> None:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = None  # the size of a page is checked against the run's own limit
        self._media_type = media_type
        try:
            self._image = Image.open(path)
        except Exception as error:
            raise _damaged_file(error) from error
        try:
            self._frames = self._pages()
        except Exception as error:
            self._image.close()
            raise _damaged_file(error) from error

    def _pages(self) -> list[int]:
        """Frames that are pages: only TIFF keeps any; a PNG's are an animation, a JPEG's a phone's depth map."""
        if self._media_type != TIFF:
            return [0]
        frames = []
        for frame in range(getattr(self._image, "n_frames", 1)):
            self._image.seek(frame)
            if not int(self._image.tag_v2.get(_NEW_SUBFILE_TYPE, 0)) & _NO_PAGE:  # type: ignore[attr-defined]
                frames.append(frame)
        return frames or [0]

    def page_count(self) -> int:
        """Pages of a TIFF, 1 for other images."""
        return len(self._frames)

    def size_px(self, page: int, dpi: int) -> tuple[int, int]:
        """(width, height) of the frame as it stands upright; of a TIFF's Pillow tells it so by itself."""
        image = self._frame(page)
        width, height = image.size
        turned = self._media_type != TIFF and image.getexif().get(_ORIENTATION, 1) in _LYING
        return (height, width) if turned else (width, height)

    def check_size(self, page: int, dpi: int, max_page_pixels: int) -> None:
        """Raise PageTooLarge for an image with more pixels."""
        width, height = self._frame(page).size
        if width * height > max_page_pixels:
            raise PageTooLarge(
                f"the image has {width} × {height} = {width * height:,} pixels, "
                f"above max_page_pixels = {max_page_pixels:,}: make it smaller or raise max_page_pixels"
            )

    def pixels(self, page: int, dpi: int) -> numpy.ndarray[Any, Any]:
        """The frame upright, in 8-bit colour on white."""
        import cv2
        import numpy as np
        from PIL import ImageOps

        try:
            image = self._frame(page)
            image.load()
            tags = dict(image.tag_v2) if self._media_type == TIFF else {}
            rgb = np.asarray(to_rgb(ImageOps.exif_transpose(image), tags))
        except PageDamaged:
            raise
        except Exception as error:
            raise _damaged(error) from error
        pixels: numpy.ndarray[Any, Any] = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        return pixels

    def words(self, page: int, dpi: int) -> list[Word]:
        """None: an image has no text layer."""
        return []

    def dpi_of(self, page: int, dpi: int) -> int | None:
        """The resolution that the file tells, when both directions agree and the sheet could have lain on a scanner."""
        image = self._frame(page)
        told = image.info.get("dpi")
        try:
            across, down = (float(value) for value in told or ())
        except (TypeError, ValueError, ZeroDivisionError):
            return None
        if not HONEST_DPI[0] <= across <= HONEST_DPI[1] or abs(across - down) > 0.02 * across:
            return None
        side_mm = max(image.size) / across * 25.4
        return round(across) if HONEST_SIDE_MM[0] <= side_mm <= HONEST_SIDE_MM[1] else None

    def pictures_share(self, page: int) -> float:
        """All of it."""
        return 1.0

    def quick(self, page: int) -> bool:
        """A JPEG decodes faster than a PNG of the same pixels."""
        return self._media_type == JPEG

    def close(self) -> None:
        """Close the file."""
        self._image.close()

    def _frame(self, page: int) -> Any:
        try:
            self._image.seek(self._frames[page - 1])
        except Exception as error:
            raise _damaged(error) from error
        return self._image


def _damaged(error: BaseException) -> PageDamaged:
    return PageDamaged(f"the image cannot be decoded ({flat(error)}): export it again")


def _damaged_file(error: BaseException) -> DocumentProblem:
    return DocumentProblem("damaged", f"the image is damaged ({flat(error)}): export it again")
