"""PDF pages by PDFium: the renderer without the AGPL, with the same page sizes as MuPDF's.

What it does otherwise: a page's `UserUnit` is not told by PDFium's interface, so such a page comes out at its size in
plain points; paragraphs are told from the gaps between lines, for PDFium names none.
"""

from __future__ import annotations

import ctypes
import importlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from pipeline.docparse.words import Box, Word

if TYPE_CHECKING:
    import numpy

QUICK_OBJECTS = 2_000
"""A page of text has some hundred objects, a plot tens of thousands."""
BLOCK_GAP = 0.6
"""Lines further apart than so many of their heights belong to different paragraphs."""
MAX_GROWTH = 1.3
"""Lines whose letters differ more in height too."""
_HYPHENS = {0x0002: "-", 0xFFFE: "-"}
"""How PDFium tells a hyphen at a line's end."""
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
"""One sign would hide "file" from every search."""

_Matrix = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f of a PDF matrix: x' = a·x + c·y + e, y' = b·x + d·y + f (ISO 32000-1, 8.3.3)."""


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
            pixels: numpy.ndarray[Any, Any] = bitmap.to_numpy()  # holds the buffer, which is Python's
            bitmap.close()
        except (self._error, ValueError) as error:
            raise _damaged(error) from error
        return pixels

    def words(self, page: int, dpi: int) -> list[Word]:
        """Words of the text layer, in the order in which they read before the page is turned."""
        width, height = self.size_px(page, dpi)
        loaded = self._page(page)
        try:
            rotation = loaded.get_rotation()
            left, bottom, right, top = loaded.get_bbox()
            turn = _Turn(left, bottom, right, top, rotation, dpi / POINTS_PER_INCH)
            loaded.set_rotation(0)  # PDFium reads a turned page line by line as it lies: its last paragraph first
            try:
                letters = list(self._letters(loaded))
            finally:
                loaded.set_rotation(rotation)
        except (self._error, ValueError) as error:
            raise _damaged(error) from error
        words = []
        for text, box, block, line in _joined(letters):
            left, top, right, bottom = turn.box(*box)
            left, top, right, bottom = (
                max(0.0, left),
                max(0.0, top),
                min(float(width), right),
                min(float(height), bottom),
            )
            if right > left and bottom > top:
                words.append(Word(text, (left, top, right, bottom), block, line))
        return words

    def dpi_of(self, page: int, dpi: int) -> int | None:
        """The resolution asked for."""
        return dpi

    def pictures_share(self, page: int) -> float:
        """As PDFium tells pictures: in the page's own points, those within forms through the forms' matrices."""
        raw, loaded = self._raw, self._page(page)
        whole = self._matrix_of(None)
        objects = [(raw.FPDFPage_GetObject(loaded, index), whole) for index in range(raw.FPDFPage_CountObjects(loaded))]
        pictures: list[Box] = []
        while objects:
            one, outer = objects.pop()
            kind = raw.FPDFPageObj_GetType(one)
            if kind == raw.FPDF_PAGEOBJ_IMAGE:
                pictures.append(_unit_square(_chained(self._matrix_of(one), outer)))
            elif kind == raw.FPDF_PAGEOBJ_FORM:
                inner = _chained(self._matrix_of(one), outer)
                objects += [
                    (raw.FPDFFormObj_GetObject(one, index), inner) for index in range(raw.FPDFFormObj_CountObjects(one))
                ]
        return covered_share(pictures, loaded.get_bbox())

    def _matrix_of(self, one: Any) -> _Matrix:
        matrix = self._raw.FS_MATRIX(1, 0, 0, 1, 0, 0)
        if one is not None:
            self._raw.FPDFPageObj_GetMatrix(one, ctypes.byref(matrix))
        return matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f

    def quick(self, page: int) -> bool:
        """A page of text, with no picture and few lines to draw."""
        raw, loaded = self._raw, self._page(page)
        plain = {raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_PATH}
        left = QUICK_OBJECTS
        found = [
            raw.FPDFPage_GetObject(loaded, index) for index in range(min(raw.FPDFPage_CountObjects(loaded), left + 1))
        ]
        while found:
            one = found.pop()
            left -= 1
            kind = raw.FPDFPageObj_GetType(one)
            if kind == raw.FPDF_PAGEOBJ_FORM:
                inside = min(raw.FPDFFormObj_CountObjects(one), left + 1)
                found += [raw.FPDFFormObj_GetObject(one, index) for index in range(inside)]
            elif kind not in plain:
                return False
            if len(found) > left:
                return False
        return True

    def close(self) -> None:
        """Close the page, then the file."""
        self._page.cache_clear()
        self._document.close()

    def _load(self, page: int) -> Any:
        try:
            return self._document[page - 1]
        except (self._error, IndexError) as error:
            raise _damaged(error) from error

    def _letters(self, loaded: Any) -> Iterator[_Letter]:
        raw = self._raw
        textpage = loaded.get_textpage()
        box = raw.FS_RECTF()
        try:
            for index in range(textpage.count_chars()):
                code = raw.FPDFText_GetUnicode(textpage, index)
                sign = _HYPHENS.get(code) or _LIGATURES.get(code) or chr(code)
                if raw.FPDFText_GetLooseCharBox(textpage, index, ctypes.byref(box)):
                    yield _Letter(sign, (box.left, box.bottom, box.right, box.top))
                else:
                    yield _Letter(sign, None)
        finally:
            textpage.close()


@dataclass(frozen=True, slots=True)
class _Letter:
    sign: str
    box: Box | None
    """Left, bottom, right, top in points, in the page's own space."""


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


def _whole(text: str) -> str:
    """PDFium tells signs beyond 16 bits, as formulas have, in two halves; a half alone is no text that can be kept."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _chained(first: _Matrix, then: _Matrix) -> _Matrix:
    a, b, c, d, e, f = first
    u, v, w, x, y, z = then
    return a * u + b * w, a * v + b * x, c * u + d * w, c * v + d * x, e * u + f * w + y, e * v + f * x + z


def _unit_square(matrix: _Matrix) -> Box:
    """The box around what becomes of the square from 0 to 1, which is where a PDF draws a picture."""
    a, b, c, d, e, f = matrix
    xs, ys = (e, e + a, e + c, e + a + c), (f, f + b, f + d, f + b + d)
    return min(xs), min(ys), max(xs), max(ys)


def _joined(letters: Sequence[_Letter]) -> Iterator[tuple[str, Box, int, int]]:
    """(text, box, block, line) of the words between blanks.

    A line break in the text ends a line, a wide gap between lines or a change of size a paragraph.
    """
    block = line = 0
    broken = False
    before: Box | None = None
    blank = _Letter(" ", None)
    signs: list[str] = []
    boxes: list[Box] = []
    for letter in (*letters, blank):
        if not (letter.sign.isspace() or letter.sign == "\0"):
            signs.append(letter.sign)
            if letter.box is not None:
                boxes.append(letter.box)
            continue
        if boxes:
            lefts, bottoms, rights, tops = zip(*boxes, strict=True)
            box = min(lefts), min(bottoms), max(rights), max(tops)
            if broken and before is not None:
                block, line = (block, line + 1) if _follows(before, box) else (block + 1, 0)
            yield _whole("".join(signs)), box, block, line
            before, broken = box, False
        signs.clear()
        boxes.clear()
        broken = broken or letter.sign in "\r\n"


def _follows(before: Box, after: Box) -> bool:
    """Whether a word begins the next line of the same paragraph: about as tall, and no wide gap between."""
    tall, other = before[3] - before[1], after[3] - after[1]
    gap = max(after[1] - before[3], before[1] - after[3])
    return gap <= BLOCK_GAP * min(tall, other) and max(tall, other) <= MAX_GROWTH * min(tall, other)


def _damaged(error: BaseException) -> PageDamaged:
    return PageDamaged(f"the page cannot be drawn ({flat(error)}): export the document again")
