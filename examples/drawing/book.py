"""A document being drawn: its pages, what lies on them, and how it is stored."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import pymupdf

from drawing.sheet import Sheet
from drawing.style import A4
from drawing.truth import Region

# A fixed date and no random file id: the same drawing is the same file.
_DATE = "D:20250301090000Z"


@dataclass(frozen=True, slots=True)
class PageTruth:
    """The regions of one page as it is shown; sizes in points."""

    width_pt: float
    height_pt: float
    rotation: int
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished file: its name, its bytes and what is drawn on its pages."""

    name: str
    data: bytes
    pages: tuple[PageTruth, ...]


@dataclass
class Book:
    """A document under construction, as a PDF; `name` is the file that it becomes."""

    name: str
    title: str
    language: str
    _document: Any = field(default_factory=pymupdf.open)
    _sheets: list[Sheet] = field(default_factory=list)
    _sideways: set[int] = field(default_factory=set)

    def page(self, size: tuple[float, float] = A4) -> Sheet:
        """Add a page of this size in points."""
        sheet = Sheet(self._document, size)
        self._sheets.append(sheet)
        return sheet

    def store_sideways(self, sheet: Sheet) -> None:
        """Store this page turned, with /Rotate 90: it is shown as it was drawn."""
        sheet.stored_sideways()
        self._sideways.add(self._sheets.index(sheet))

    def finished(self) -> Drawing:
        """Close the document: subset fonts, fixed metadata, compressed and reproducible bytes."""
        self._document.set_metadata(
            {
                "title": self.title,
                "author": "Verba (a fictional company)",
                "subject": "Example document",
                "creator": "examples/draw.py",
                "producer": "PyMuPDF",
                "creationDate": _DATE,
                "modDate": _DATE,
            }
        )
        self._document.set_language(self.language)
        self._document.subset_fonts()
        for page in self._document:
            page.clean_contents()
        stream = io.BytesIO()
        self._document.save(stream, garbage=4, deflate=True, use_objstms=1, no_new_id=True, reproducible=True)
        return Drawing(self.name, stream.getvalue(), self.truth())

    def truth(self) -> tuple[PageTruth, ...]:
        """What lies on every page."""
        return tuple(
            PageTruth(
                sheet.frame.width,
                sheet.frame.height,
                90 if index in self._sideways else 0,
                tuple(sheet.record.regions),
            )
            for index, sheet in enumerate(self._sheets)
        )

    def pixels(self, index: int, dpi: int) -> Any:
        """A page as a pixmap without alpha: what a camera or a scanner would see."""
        return self._document[index].get_pixmap(dpi=dpi, alpha=False)
