"""Elements as texts for records: long ones in chunks, tables row by row, and no scrap of text from a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

from pipeline.docparse.chunks import chunks, flow_of
from pipeline.docparse.elements import Element, ElementType
from pipeline.docparse.words import Box

MIN_IMAGE_CHARS = 180
"""Shorter text from inside a picture is labels and scraps: noise for a search (a rule of this product's data)."""


@dataclass(frozen=True, slots=True)
class ElementText:
    """One text for the index."""

    type: ElementType
    """Also the record's type."""
    text: str
    box: Box | None
    """The whole element's, in page pixels."""
    span: tuple[int, int] | None
    """Characters of the element's text, where it was cut into chunks."""
    element: str
    """The element's id."""


def element_texts(elements: Sequence[Element]) -> tuple[list[ElementText], dict[str, float]]:
    """(texts in the page's order, counts: `image_texts_dropped`).

    On a page that has elements they take the place of titles and chunks from the text layer: the same sentences twice
    would crowd each other in every search. Words still stand behind regions and evidence.
    """
    made: list[ElementText] = []
    counts: Counter[str] = Counter()
    for element in elements:
        if element.type == "Image" and len(element.text) < MIN_IMAGE_CHARS:
            counts["image_texts_dropped"] += 1
            continue
        text = _table_text(element)
        pieces = list(chunks(flow_of(text)))
        for piece in pieces:
            span = (piece.start, piece.end) if len(pieces) > 1 else None
            made.append(ElementText(element.type, piece.text, element.box, span, element.id))
    return made, {name: float(count) for name, count in counts.items()}


def _table_text(element: Element) -> str:
    """A table's cells as `a | b`, a row a line; the plain text where the partitioner found no cells."""
    if element.html is None:
        return element.text
    reader = _Cells()
    reader.feed(element.html)
    rows = [" | ".join(" ".join(cell.split()) for cell in row) for row in reader.rows if any(row)]
    return "\n".join(rows) or element.text


class _Cells(HTMLParser):
    """Rows of cells of an HTML table."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        self._inside = tag in ("td", "th") if tag in ("td", "th", "tr") else self._inside
        if tag in ("td", "th"):
            if not self.rows:
                self.rows.append([])
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr"):
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data
