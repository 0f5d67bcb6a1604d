"""PDF pages by PDFium: the renderer without the AGPL, with the same page sizes as MuPDF's.

What it does otherwise: a page's `UserUnit` is not told by PDFium's interface, so such a page comes out at its size in
plain points; paragraphs are told from the gaps between lines, for PDFium names none.
"""

from __future__ import annotations

import ctypes
import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from pipeline.docparse.words import Box, Word

if TYPE_CHECKING:
    import numpy

QUICK_OBJECTS = 2_000
"""A page of text has some hundred objects, a plot tens of thousands."""
BLOCK_GAP = 0.6
"""Lines further apart than so many of their heights belong to different paragraphs."""
_HYPHENS = {0x0002: "-", 0xFFFE: "-"}
"""How PDFium tells a hyphen at a line's end."""
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
"""One sign would hide "file" from every search."""


@cache
def load() -> tuple[Any, Any]:
    """(`pypdfium2`, its raw bindings), imported when first used."""
    return importlib.import_module("pypdfium2"), importlib.import_module("pypdfium2.raw")


class PdfiumSource:
    """A PDF opened by pypdfium2.

    Raises:
        DocumentProblem: it is encrypted, cut off, damaged or has no page.
    """

    def __init__(self, path: Path) -> None:
        pdfium, self._raw = load()
        self._error: type[Exception] = pdfium.PdfiumError
        self._bitmap = pdfium.PdfBitmap
        try:
            self._document = pdfium.PdfDocument(path)
        except self._error as error:
            if getattr(error, "err_code", None) == self._raw.FPDF_ERR_PASSWORD:
                raise encrypted() from error
            raise DocumentProblem("damaged", f"the PDF is damaged ({flat(error)}): export it again") from error
        problem: DocumentProblem | None = None
        if not self._raw.FPDF_DocumentHasValidCrossReferenceTable(self._document) and not has_end_marker(path):
            problem = truncated()
        elif len(self._document) == 0:
            problem = without_pages()
        if problem is not None:
            self._document.close()
            raise problem
        self._document.init_forms()
        self._page = lru_cache(maxsize=1)(self._load)

    def page_count(self) -> int:
        """How many pages the PDF has."""
        return len(self._document)

    def size_px(self, page: int, dpi: int) -> tuple[int, int]:
        """(width, height) of the page as it is drawn."""
        wide, high = self._page(page).get_size()
        return page_size_px(wide, high, dpi)

    def check_size(self, page: int, dpi: int, max_page_pixels: int) -> None:
        """Raise PageTooLarge for a page that would have more pixels."""
        wide, high = self._page(page).get_size()
        check_pdf_page(wide, high, dpi, max_page_pixels)

    def pixels(self, page: int, dpi: int) -> numpy.ndarray[Any, Any]:
        """The page on white, annotations and form fields included.

        Drawn with a matrix, not into a rectangle: a rectangle of whole pixels would stretch the page a little.
        """
        raw, loaded = self._raw, self._page(page)
        width, height = self.size_px(page, dpi)
        try:
            bitmap = self._bitmap.new_native(width, height, raw.FPDFBitmap_BGR)
            bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
            wide, high = loaded.get_size()
            # PDFium first lays the page into a rectangle of whole points, rounded down.
            zoom = dpi / POINTS_PER_INCH
            across, down = zoom * wide / max(1, math.floor(wide)), zoom * high / max(1, math.floor(high))
            matrix = raw.FS_MATRIX(across, 0, 0, down, 0, 0)
            raw.FPDF_RenderPageBitmapWithMatrix(
                bitmap, loaded, matrix, raw.FS_RECTF(0, 0, width, height), raw.FPDF_ANNOT
            )
            if self._document.formenv:
                raw.FPDF_FFLDraw(self._document.formenv, bitmap, loaded, 0, 0, width, height, 0, raw.FPDF_ANNOT)
            pixels: numpy.ndarray[Any, Any] = bitmap.to_numpy().copy()
            bitmap.close()
        except (self._error, ValueError) as error:
            raise _damaged(error) from error
        return pixels

    def words(self, page: int, dpi: int) -> list[Word]:
        """Words of the text layer in its own order."""
        width, height = self.size_px(page, dpi)
        try:
            turn = self._turn(page, dpi / POINTS_PER_INCH)
            letters = list(self._letters(page, turn))
        except (self._error, ValueError) as error:
            raise _damaged(error) from error
        return _words(letters, width, height)

    def dpi_of(self, page: int, dpi: int) -> int | None:
        """The resolution asked for."""
        return dpi

    def quick(self, page: int) -> bool:
        """A page of text, with no picture and few lines to draw."""
        raw, loaded = self._raw, self._page(page)
        count = raw.FPDFPage_CountObjects(loaded)
        if count > QUICK_OBJECTS:
            return False
        plain = {raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_PATH}
        return all(raw.FPDFPageObj_GetType(raw.FPDFPage_GetObject(loaded, index)) in plain for index in range(count))

    def close(self) -> None:
        """Close the page, then the file."""
        self._page.cache_clear()
        self._document.close()

    def _load(self, page: int) -> Any:
        try:
            return self._document[page - 1]
        except (self._error, IndexError) as error:
            raise _damaged(error) from error

    def _turn(self, page: int, zoom: float) -> _Turn:
        left, bottom, right, top = self._page(page).get_bbox()
        return _Turn(left, bottom, right, top, self._page(page).get_rotation(), zoom)

    def _letters(self, page: int, turn: _Turn) -> Iterator[_Letter]:
        raw = self._raw
        textpage = self._page(page).get_textpage()
        box = raw.FS_RECTF()
        try:
            for index in range(textpage.count_chars()):
                code = raw.FPDFText_GetUnicode(textpage, index)
                sign = _HYPHENS.get(code) or _LIGATURES.get(code) or chr(code)
                if raw.FPDFText_GetLooseCharBox(textpage, index, ctypes.byref(box)):
                    yield _Letter(sign, turn.box(box.left, box.bottom, box.right, box.top))
                else:
                    yield _Letter(sign, None)
        finally:
            textpage.close()


@dataclass(frozen=True, slots=True)
class _Letter:
    sign: str
    box: Box | None


@dataclass(frozen=True, slots=True)
class _Turn:
    """From the page's own space (points, origin below, not rotated) to the pixels of the page as it is drawn."""

    left: float
    bottom: float
    right: float
    top: float
    rotation: int
    zoom: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        match self.rotation:
            case 90:
                turned = y - self.bottom, x - self.left
            case 180:
                turned = self.right - x, y - self.bottom
            case 270:
                turned = self.top - y, self.right - x
            case _:
                turned = x - self.left, self.top - y
        return turned[0] * self.zoom, turned[1] * self.zoom

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        (x0, y0), (x1, y1) = self.point(left, bottom), self.point(right, top)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _words(letters: list[_Letter], width: int, height: int) -> list[Word]:
    """Letters joined between blanks; a line break in the text ends a line, a wide gap between lines a paragraph."""
    words: list[Word] = []
    block = line = 0
    signs: list[str] = []
    boxes: list[Box] = []
    broken = False

    def end() -> None:
        nonlocal block, line, broken
        if signs and boxes:
            lefts, tops, rights, bottoms = zip(*boxes, strict=True)
            box = (max(0.0, min(lefts)), max(0.0, min(tops)), min(float(width), max(rights)),
                   min(float(height), max(bottoms)))  # fmt: skip
            if box[2] > box[0] and box[3] > box[1]:
                if broken and words:
                    block, line = (block, line + 1) if _follows(words[-1].box, box) else (block + 1, 0)
                broken = False
                words.append(Word("".join(signs), box, block, line))
        signs.clear()
        boxes.clear()

    for letter in letters:
        if letter.sign.isspace() or letter.sign == "\0":
            end()
            broken = broken or letter.sign in "\r\n"
            continue
        signs.append(letter.sign)
        if letter.box is not None:
            boxes.append(letter.box)
    end()
    return words


def _follows(before: Box, after: Box) -> bool:
    """Whether a word begins the next line of the same paragraph: about as tall, and no wide gap between."""
    tall, other = before[3] - before[1], after[3] - after[1]
    gap = max(after[1] - before[3], before[1] - after[3])
    return gap <= BLOCK_GAP * min(tall, other) and max(tall, other) <= 1.3 * min(tall, other)


def _damaged(error: BaseException) -> PageDamaged:
    return PageDamaged(f"the page cannot be drawn ({flat(error)}): export the document again")
