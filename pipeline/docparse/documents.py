"""Opening documents: how many pages they have, and a page's pixels and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import ItemError
from pipeline.docparse import mupdf
from pipeline.docparse.media import PDF, TIFF
from pipeline.docparse.words import Word

if TYPE_CHECKING:
    import numpy
    from PIL.Image import Image

_TAIL_BYTES = 2048
"""Where a PDF's end marker must be (ISO 32000-1 says the last 1024 bytes; readers allow for trailing padding)."""


class DocumentProblem(ItemError):
    """A document cannot be opened; `kind` says why in one word."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type[DocumentProblem], tuple[str, str]]:
        """Exceptions with two arguments are not pickled right by themselves."""
        return type(self), (self.kind, str(self))


class PageTooLarge(ItemError):
    """A page would have more pixels than the parameters allow."""


class PageDamaged(ItemError):
    """A page of an otherwise good document cannot be drawn."""


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """A page as pixels and words."""

    pixels: numpy.ndarray[Any, Any]
    """uint8, (height, width, 3), blue-green-red as OpenCV has it."""
    words: Sequence[Word]
    dpi: int | None
    """None for an image, which keeps its own pixels."""


def count_pages(path: Path, media_type: str) -> int:
    """Pages of a PDF, frames of an image.

    Raises:
        DocumentProblem: it is encrypted, cut off, damaged or has no page.
    """
    if media_type == PDF:
        with _open_pdf(path) as document:
            return int(document.page_count)
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the size of a page is checked against the run's own limit
    try:
        with Image.open(path) as image:
            # Only TIFF keeps pages in frames: a PNG's are an animation, a JPEG's a phone's depth map.
            return int(getattr(image, "n_frames", 1)) if media_type == TIFF else 1
    except Exception as error:
        raise DocumentProblem("damaged", f"the image is damaged ({_flat(error)}): export it again") from error


def draw_page(path: Path, media_type: str, page: int, dpi: int, max_page_pixels: int) -> DrawnPage:
    """Draw one page (1-based): a PDF's at `dpi`, an image's frame as it is, upright and in 8-bit colour.

    Raises:
        PageTooLarge: naming the numbers and the parameters to change.
        PageDamaged: this page cannot be drawn.
        DocumentProblem: the document cannot be opened.
    """
    if media_type == PDF:
        return _draw_pdf_page(path, page, dpi, max_page_pixels)
    return _draw_frame(path, page, max_page_pixels)


def _open_pdf(path: Path) -> Any:
    pymupdf = mupdf.load()
    try:
        document = pymupdf.open(path, filetype="pdf")
    except RuntimeError as error:
        raise DocumentProblem("damaged", f"the PDF is damaged ({_flat(error)}): export it again") from error
    if document.needs_pass:
        raise DocumentProblem("encrypted", "the PDF is encrypted and needs a password: save a copy without one")
    if document.is_repaired and not _has_end_marker(path):
        raise DocumentProblem("truncated", "the PDF is cut off: its end is missing, so pages may be; fetch it again")
    if document.page_count == 0:
        raise DocumentProblem("damaged", "the PDF has no page that can be read: export it again")
    return document


@lru_cache(maxsize=1)
def _kept_open(path: Path, size: int) -> Any:
    """The document that this process works on; pages of one document mostly follow one another."""
    return _open_pdf(path)


def _has_end_marker(path: Path) -> bool:
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return b"%%EOF" in handle.read()


def _draw_pdf_page(path: Path, page: int, dpi: int, max_page_pixels: int) -> DrawnPage:
    import cv2
    import numpy as np

    pymupdf = mupdf.load()
    try:
        loaded = _kept_open(path, path.stat().st_size).load_page(page - 1)
        box = loaded.rect
        width, height = round(box.width * dpi / 72), round(box.height * dpi / 72)
        if width * height > max_page_pixels:
            raise PageTooLarge(
                f"the page is {box.width / 72 * 25.4:.0f} × {box.height / 72 * 25.4:.0f} mm, at {dpi} dpi "
                f"{width} × {height} = {width * height:,} pixels, above max_page_pixels = {max_page_pixels:,}: "
                "lower dpi or raise max_page_pixels"
            )
        pixmap = loaded.get_pixmap(dpi=dpi, alpha=False, colorspace=pymupdf.csRGB)
        rows = np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.stride)
        rgb = rows[:, : pixmap.width * 3].reshape(pixmap.height, pixmap.width, 3)
        words = _pdf_words(loaded, dpi / 72, pixmap.width, pixmap.height)
    except (RuntimeError, ValueError) as error:
        raise PageDamaged(f"the page cannot be drawn ({_flat(error)}): export the document again") from error
    return DrawnPage(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), words, dpi)


def _pdf_words(page: Any, zoom: float, width: int, height: int) -> list[Word]:
    """Words of the text layer. MuPDF tells them as the page lies before rotation, pixels are after it."""
    pymupdf = mupdf.load()
    # "ﬁ" as one sign would hide "file" from every search.
    flags = pymupdf.TEXTFLAGS_WORDS & ~pymupdf.TEXT_PRESERVE_LIGATURES
    matrix = page.rotation_matrix
    words = []
    for x0, y0, x1, y1, text, block, line, _ in page.get_text("words", flags=flags):
        box = pymupdf.Rect(x0, y0, x1, y1) * matrix
        left, top = max(0.0, box.x0 * zoom), max(0.0, box.y0 * zoom)
        right, bottom = min(float(width), box.x1 * zoom), min(float(height), box.y1 * zoom)
        if right > left and bottom > top and text.strip():
            words.append(Word(text, (left, top, right, bottom), block, line))
    return words


def _draw_frame(path: Path, page: int, max_page_pixels: int) -> DrawnPage:
    import cv2
    import numpy as np
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(path) as image:
            image.seek(page - 1)
            width, height = image.size
            if width * height > max_page_pixels:
                raise PageTooLarge(
                    f"the image has {width} × {height} = {width * height:,} pixels, "
                    f"above max_page_pixels = {max_page_pixels:,}: make it smaller or raise max_page_pixels"
                )
            upright = ImageOps.exif_transpose(image)
            rgb = np.asarray(_to_rgb(upright))
    except PageTooLarge:
        raise
    except Exception as error:
        raise PageDamaged(f"the image cannot be decoded ({_flat(error)}): export it again") from error
    return DrawnPage(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [], None)


def _to_rgb(image: Image) -> Image:
    """8-bit RGB on white, from any mode: deep greys are scaled, inks converted, transparency laid on white."""
    import numpy as np
    from PIL import Image as Images

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float32)
        top = 65535.0 if image.mode != "F" else float(values.max()) or 1.0
        return Images.fromarray((np.clip(values / top, 0, 1) * 255).round().astype(np.uint8), "L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Images.new("RGBA", layered.size, "white")
        return Images.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _flat(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
