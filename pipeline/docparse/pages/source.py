"""What a document is to the rest of docparse: pages with a size, pixels and words, whoever reads the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipeline.core.errors import ItemError
from pipeline.docparse.words import Word

if TYPE_CHECKING:
    import numpy

Renderer = Literal["mupdf", "pdfium"]
"""Who draws PDF pages: MuPDF (PyMuPDF, AGPL) or PDFium (pypdfium2, BSD/Apache). Images are Pillow's with either."""

POINTS_PER_INCH = 72
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
    """Pixels per inch of paper; None for an image that does not say, or says what cannot be."""
    quick: bool = False
    """Drawing it again costs less than decoding a PNG of it."""


class PageSource(Protocol):
    """An open document. Pages count from 1; every method may raise PageDamaged. Not for several threads at once.

    A PDF page is drawn at the resolution asked for; its size is the same whoever draws it: `page_size_px` of its box.
    An image's page is its own pixels, upright, and the resolution asked for does not matter.
    """

    def page_count(self) -> int:
        """Pages of a PDF, pages among the frames of a TIFF, 1 for other images."""

    def size_px(self, page: int, dpi: int) -> tuple[int, int]:
        """(width, height) that `pixels` will have; known before anything is drawn."""

    def check_size(self, page: int, dpi: int, max_page_pixels: int) -> None:
        """Raise PageTooLarge, with the numbers and the way out, for a page of more pixels than that."""

    def pixels(self, page: int, dpi: int) -> numpy.ndarray[Any, Any]:
        """uint8, (height, width, 3), blue-green-red."""

    def words(self, page: int, dpi: int) -> list[Word]:
        """All words of the text layer, once, in the pixels of the page as it is drawn, rotation included."""

    def dpi_of(self, page: int, dpi: int) -> int | None:
        """Pixels per inch of what `pixels` gives; None where an image does not say."""

    def pictures_share(self, page: int) -> float:
        """Share of the page that lies under pictures, 0 to 1: about 1 for a scan."""

    def quick(self, page: int) -> bool:
        """Whether drawing the page costs less than decoding a PNG of it; a wrong answer costs time, nothing else."""

    def close(self) -> None:
        """Let go of the file and of what is cached for it."""


def page_size_px(width_pt: float, height_pt: float, dpi: int) -> tuple[int, int]:
    """(width, height) in pixels of a PDF page: every pixel that it touches, a thousandth aside, as MuPDF counts."""
    zoom = dpi / POINTS_PER_INCH
    return max(1, math.ceil(width_pt * zoom - 0.001)), max(1, math.ceil(height_pt * zoom - 0.001))


def check_pdf_page(width_pt: float, height_pt: float, dpi: int, max_page_pixels: int) -> None:
    """Raise PageTooLarge for a PDF page of more than `max_page_pixels`."""
    width, height = page_size_px(width_pt, height_pt, dpi)
    if width * height > max_page_pixels:
        raise PageTooLarge(
            f"the page is {width_pt / POINTS_PER_INCH * 25.4:.0f} × {height_pt / POINTS_PER_INCH * 25.4:.0f} mm, "
            f"at {dpi} dpi {width} × {height} = {width * height:,} pixels, above max_page_pixels = "
            f"{max_page_pixels:,}: lower dpi or raise max_page_pixels"
        )


def has_end_marker(path: Path) -> bool:
    """Whether a PDF's last bytes hold its end marker; one that needs repair and has none was cut off."""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return b"%%EOF" in handle.read()


def encrypted() -> DocumentProblem:
    """The problem of a PDF that opens with a password only."""
    return DocumentProblem("encrypted", "the PDF is encrypted and needs a password: save a copy without one")


def truncated() -> DocumentProblem:
    """The problem of a PDF whose end is missing."""
    return DocumentProblem("truncated", "the PDF is cut off: its end is missing, so pages may be; fetch it again")


def without_pages() -> DocumentProblem:
    """The problem of a PDF in which no page can be found."""
    return DocumentProblem("damaged", "the PDF has no page that can be read: export it again")


def flat(error: BaseException) -> str:
    """A library's complaint on one line."""
    return " ".join(str(error).split()) or type(error).__name__
