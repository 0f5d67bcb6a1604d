"""PDF pages by MuPDF."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.docparse import mupdf
from pipeline.docparse.pages.covering import covered_share
from pipeline.docparse.pages.source import (
    POINTS_PER_INCH,
    DocumentProblem,
    PageDamaged,
    check_pdf_page,
    encrypted,
    flat,
    has_end_marker,
    page_size_px,
    truncated,
    without_pages,
)
from pipeline.docparse.words import Word

if TYPE_CHECKING:
    import numpy

QUICK_CONTENT_BYTES = 200_000
"""Drawing instructions of a page of text are some 10 kB, of a plot hundreds; decoding a PNG is cheaper than those."""


class MuPdfSource:
    """A PDF opened by PyMuPDF.

    Raises:
        DocumentProblem: it is encrypted, cut off, damaged or has no page.
    """

    def __init__(self, path: Path) -> None:
        self._pymupdf = mupdf.load()
        try:
            self._document = self._pymupdf.open(path, filetype="pdf")
        except RuntimeError as error:
            raise DocumentProblem("damaged", f"the PDF is damaged ({flat(error)}): export it again") from error
        problem: DocumentProblem | None = None
        if self._document.needs_pass:
            problem = encrypted()
        elif self._document.is_repaired and not has_end_marker(path):
            problem = truncated()
        elif self._document.page_count == 0:
            problem = without_pages()
        if problem is not None:
            self._document.close()
            raise problem
        colours = self._pymupdf.mupdf.FzColorspace
        self._bgr = self._pymupdf.Colorspace(colours(colours.Fixed_BGR))
        self._page = lru_cache(maxsize=1)(self._load)

    def page_count(self) -> int:
        """How many pages the PDF has."""
        return int(self._document.page_count)

    def size_px(self, page: int, dpi: int) -> tuple[int, int]:
        """(width, height) of the page as it is drawn."""
        box = self._page(page).rect
        return page_size_px(box.width, box.height, dpi)

    def check_size(self, page: int, dpi: int, max_page_pixels: int) -> None:
        """Raise PageTooLarge for a page that would have more pixels."""
        box = self._page(page).rect
        check_pdf_page(box.width, box.height, dpi, max_page_pixels)

    def pixels(self, page: int, dpi: int) -> numpy.ndarray[Any, Any]:
        """The page on white, annotations included, drawn as blue-green-red at once."""
        import numpy as np

        try:
            pixmap = self._page(page).get_pixmap(dpi=dpi, alpha=False, colorspace=self._bgr)
        except (RuntimeError, ValueError) as error:
            raise _damaged(error) from error
        return np.asarray(_Held(pixmap))

    def words(self, page: int, dpi: int) -> list[Word]:
        """Words of the text layer. MuPDF tells them as the page lies before rotation, pixels are after it."""
        # "ﬁ" as one sign would hide "file" from every search.
        flags = self._pymupdf.TEXTFLAGS_WORDS & ~self._pymupdf.TEXT_PRESERVE_LIGATURES
        loaded = self._page(page)
        try:
            entries = loaded.get_text("words", flags=flags)
        except (RuntimeError, ValueError) as error:
            raise _damaged(error) from error
        zoom = dpi / POINTS_PER_INCH
        width, height = self.size_px(page, dpi)
        a, b, c, d, e, f = (side * zoom for side in loaded.rotation_matrix)
        words = []
        for x0, y0, x1, y1, text, block, line, _ in entries:
            # Turned by quarters, so two opposite corners are enough.
            xs, ys = (a * x0 + c * y0 + e, a * x1 + c * y1 + e), (b * x0 + d * y0 + f, b * x1 + d * y1 + f)
            left, top = max(0.0, min(xs)), max(0.0, min(ys))
            right, bottom = min(float(width), max(xs)), min(float(height), max(ys))
            if right > left and bottom > top and text.strip():
                words.append(Word(text, (left, top, right, bottom), block, line))
        return words

    def dpi_of(self, page: int, dpi: int) -> int | None:
        """The resolution asked for."""
        return dpi

    def pictures_share(self, page: int) -> float:
        """As MuPDF tells pictures: before rotation, the top left corner of what is shown as origin."""
        loaded = self._page(page)
        shown = loaded.cropbox
        try:
            pictures = [info["bbox"] for info in loaded.get_image_info()]
        except (RuntimeError, ValueError) as error:
            raise _damaged(error) from error
        return covered_share(pictures, (0, 0, shown.width, shown.height))

    def quick(self, page: int) -> bool:
        """A page of text, with no picture and few lines to draw."""
        loaded = self._page(page)
        try:
            if loaded.get_images():
                return False
            forms = sum(len(self._document.xref_stream(entry[0]) or b"") for entry in loaded.get_xobjects())
            return len(loaded.read_contents()) + forms <= QUICK_CONTENT_BYTES
        except (RuntimeError, ValueError):
            return False

    def close(self) -> None:
        """Close the file, and empty MuPDF's store of fonts and pictures, which would keep up to 256 MB of them."""
        self._page.cache_clear()
        self._document.close()
        self._pymupdf.TOOLS.store_shrink(100)

    def _load(self, page: int) -> Any:
        try:
            return self._document.load_page(page - 1)
        except (RuntimeError, ValueError) as error:
            raise _damaged(error) from error


class _Held:
    """A pixmap's memory as an array's: a copy of a page costs as much as drawing its text."""

    def __init__(self, pixmap: Any) -> None:
        self._pixmap = pixmap  # NumPy keeps this object, and so the memory, for as long as the array lives
        self.__array_interface__ = {
            "version": 3, "typestr": "|u1", "data": (pixmap.samples_ptr, False),
            "shape": (pixmap.height, pixmap.width, 3), "strides": (pixmap.stride, 3, 1),
        }  # fmt: skip


def _damaged(error: BaseException) -> PageDamaged:
    return PageDamaged(f"the page cannot be drawn ({flat(error)}): export the document again")
