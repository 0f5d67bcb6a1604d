"""Opening documents by what they are: how many pages they have, and a page's pixels and words."""

from __future__ import annotations

from pathlib import Path

from pipeline.docparse.media import PDF
from pipeline.docparse.pages.source import DrawnPage, PageSource, Renderer


def open_source(path: Path, media_type: str, renderer: Renderer = "mupdf") -> PageSource:
    """Open a document; who opens it closes it.

    Raises:
        DocumentProblem: it is encrypted, cut off, damaged or has no page.
    """
    if media_type != PDF:
        from pipeline.docparse.pages.image_source import ImageSource

        return ImageSource(path, media_type)
    if renderer == "pdfium":
        from pipeline.docparse.pages.pdfium_source import PdfiumSource

        return PdfiumSource(path)
    from pipeline.docparse.pages.mupdf_source import MuPdfSource

    return MuPdfSource(path)


def count_pages(path: Path, media_type: str, renderer: Renderer = "mupdf") -> int:
    """Pages of a PDF, pages among the frames of an image.

    Raises:
        DocumentProblem: it is encrypted, cut off, damaged or has no page.
    """
    source = open_source(path, media_type, renderer)
    try:
        return source.page_count()
    finally:
        source.close()


class _Desk:
    """The one document that this process works on; pages of one document mostly follow one another."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._source: PageSource | None = None

    def source(self, path: Path, media_type: str, renderer: Renderer) -> PageSource:
        state = path.stat()
        key = (path, media_type, renderer, state.st_size, state.st_mtime_ns)
        if self._source is None or self._key != key:
            self.clear()
            self._source = open_source(path, media_type, renderer)
            self._key = key
        return self._source

    def clear(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None


_DESK = _Desk()


def kept_open(path: Path, media_type: str, renderer: Renderer = "mupdf") -> PageSource:
    """The document, opened now or still open from its last page; the next document closes it.

    Raises:
        DocumentProblem: it cannot be opened.
    """
    return _DESK.source(path, media_type, renderer)


def draw_page(
    path: Path, media_type: str, page: int, dpi: int, max_page_pixels: int, renderer: Renderer = "mupdf"
) -> DrawnPage:
    """Draw one page (1-based): a PDF's at `dpi`, an image's frame as it is, upright and in 8-bit colour.

    Raises:
        PageTooLarge: naming the numbers and the parameters to change.
        PageDamaged: this page cannot be drawn.
        DocumentProblem: the document cannot be opened.
    """
    source = kept_open(path, media_type, renderer)
    source.check_size(page, dpi, max_page_pixels)
    return DrawnPage(
        source.pixels(page, dpi), source.words(page, dpi), source.dpi_of(page, dpi), quick=source.quick(page)
    )
