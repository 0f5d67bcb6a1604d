"""A sketch: the elements of one page as ink with labels and relations, and how it becomes pixels and truth.

An element's mask is what it covers when it is rendered alone at the page's own resolution and tilt (opacity of at least
`COVERED`), whatever lies on top of it on the page; its box is the mask's tight box. What a group covers is what its own
ink and its children cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from pipeline.docparse import mupdf
from pipeline.docparse.labels import Label
from pipeline.docparse.quality.synthetic.ink import Ink, Rect
from pipeline.docparse.quality.synthetic.phrases import Phrases
from pipeline.docparse.quality.synthetic.theme import Theme
from pipeline.docparse.quality.truth import Mask, Pixels, TruePage, TrueRegion, union_of
from pipeline.docparse.words import PageText, Word

DPI = 150
COVERED = 6
"""Opacity, of 255, from which a pixel counts as covered: black ink of it on white paper gives 249."""


@dataclass(frozen=True, slots=True)
class Element:
    """One thing on the page; without a label it is decoration, or part of its parent."""

    label: Label | None
    inks: tuple[Ink, ...]
    parent: int | None
    start: int | None
    end: int | None
    both_ways: bool
    text: str
    hidden: bool
    """Painted, but never part of what its parent covers: a patch that interrupts an arrow for its label."""


class Sketch:
    """Collects elements in painting order; an element's index names it."""

    def __init__(self, width_pt: float, height_pt: float, theme: Theme, random: Random) -> None:
        self.width_pt = width_pt
        self.height_pt = height_pt
        self.theme = theme
        self.random = random
        self.phrases = Phrases(random, theme.russian)
        self.elements: list[Element] = []

    def add(
        self,
        label: Label | None,
        inks: Sequence[Ink],
        parent: int | None = None,
        *,
        start: int | None = None,
        end: int | None = None,
        both_ways: bool = False,
        text: str = "",
        hidden: bool = False,
    ) -> int:
        """Put an element on top; returns its index."""
        self.elements.append(Element(label, tuple(inks), parent, start, end, both_ways, text, hidden))
        return len(self.elements) - 1

    def forget(self, count: int) -> None:
        """Take away all but the first `count` elements: a block did not fit."""
        del self.elements[count:]


def render(
    sketch: Sketch, name: str, *, tilt_degrees: float = 0.0, sideways: bool = False, words: bool = True
) -> TruePage:
    """The page's pixels and its truth.

    `sideways` stores the page a quarter turned with /Rotate, as scanners' software does; it looks the same.
    """
    canvas = _Canvas(sketch, tilt_degrees, sideways)
    pixels, text = canvas.whole(words)
    own: list[Mask | None] = [canvas.alone(element.inks) if element.inks else None for element in sketch.elements]
    masks = _covers(sketch.elements, own)
    kept = [index for index, element in enumerate(sketch.elements) if element.label is not None]
    number = {index: place for place, index in enumerate(kept)}
    regions = []
    for order, index in enumerate(kept):
        element, mask = sketch.elements[index], masks[index]
        assert element.label is not None
        assert mask is not None, f"a {element.label} without ink"
        regions.append(
            TrueRegion(
                element.label, mask.box, mask, _labelled_parent(sketch.elements, index, number),
                None if element.start is None else number[element.start],
                None if element.end is None else number[element.end],
                element.both_ways, element.text, order,
            )
        )  # fmt: skip
    height, width = pixels.shape[:2]
    return TruePage(name, width, height, tuple(regions), pixels, text)


def _labelled_parent(elements: Sequence[Element], index: int, number: dict[int, int]) -> int | None:
    parent = elements[index].parent
    while parent is not None and parent not in number:
        parent = elements[parent].parent
    return None if parent is None else number[parent]


def _covers(elements: Sequence[Element], own: Sequence[Mask | None]) -> list[Mask | None]:
    """Masks with those of all descendants; parents come before their children."""
    parts: list[list[Mask]] = [[mask] if mask is not None else [] for mask in own]
    for index in range(len(elements) - 1, -1, -1):
        parent = elements[index].parent
        if parent is not None and not elements[index].hidden:
            parts[parent] += parts[index]
    return [union_of(masks) if masks else None for masks in parts]


class _Canvas:
    """Draws inks through PyMuPDF, all together or a few alone, always with the same geometry."""

    def __init__(self, sketch: Sketch, tilt_degrees: float, sideways: bool) -> None:
        pymupdf = mupdf.load()
        self._sketch = sketch
        self._sideways = sideways
        self._document = pymupdf.open()
        self._zoom = DPI / 72
        self.width = round(sketch.width_pt * self._zoom)
        self.height = round(sketch.height_pt * self._zoom)
        matrix = pymupdf.Matrix(self._zoom, self._zoom)
        if tilt_degrees:
            x, y = round(self.width / 2), round(self.height / 2)
            matrix = matrix * pymupdf.Matrix(1, 0, 0, 1, -x, -y) * pymupdf.Matrix(tilt_degrees)
            matrix = matrix * pymupdf.Matrix(1, 0, 0, 1, x, y)
        self._matrix = matrix

    def whole(self, words: bool) -> tuple[Pixels, PageText]:
        """The page with everything on it, and its text layer or none."""
        page = self._page([ink for element in self._sketch.elements for ink in element.inks])
        seen = self._pixels(page, None)
        paper = np.array([round(255 * channel) for channel in self._sketch.theme.page], np.uint16)
        frame = np.broadcast_to(paper, (self.height, self.width, 3)).copy()
        left, top, premultiplied = seen
        # The page may be larger than what is seen of it when it is tilted, or smaller.
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(self.width, left + premultiplied.shape[1]), min(self.height, top + premultiplied.shape[0])
        part = premultiplied[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.uint16)
        behind = (255 - part[:, :, 3:4]) * paper
        frame[y0:y1, x0:x1] = np.minimum(255, part[:, :, :3] + (behind + 127) // 255)
        pixels = np.ascontiguousarray(frame[:, :, ::-1].astype(np.uint8))
        found = self._words(page) if words else []
        return pixels, PageText(self.width, self.height, DPI, found)

    def alone(self, inks: Sequence[Ink], whole_page: bool = False) -> Mask:
        """What some inks cover; rendered within their reach only, unless `whole_page`."""
        pymupdf = mupdf.load()
        page = self._page(inks)
        reaches = [ink.reach() for ink in inks]
        clip = None if whole_page else pymupdf.Rect(_around(reaches)) & page.rect
        left, top, pixels = self._pixels(page, clip)
        mask = Mask(left, top, pixels[:, :, 3] >= COVERED)
        return _trimmed(mask, self.width, self.height)

    def _page(self, inks: Sequence[Ink]) -> Any:
        page = self._document.new_page(width=self._sketch.width_pt, height=self._sketch.height_pt)
        for ink in inks:
            ink.draw(page)
        if self._sideways:
            self._turn(page)
        return page

    def _turn(self, page: Any) -> None:
        """Store the page turned and ask the reader to turn it back."""
        width, height = self._sketch.width_pt, self._sketch.height_pt
        page.clean_contents()
        (xref,) = page.get_contents()
        drawn = self._document.xref_stream(xref)
        self._document.update_stream(xref, b"q 0 1 -1 0 %g 0 cm\n" % height + drawn + b"\nQ")
        page.set_mediabox((0, 0, height, width))
        page.set_rotation(90)

    def _pixels(self, page: Any, clip: Any) -> tuple[int, int, Pixels]:
        pixmap = page.get_pixmap(matrix=self._matrix, alpha=True, clip=clip)
        rows = np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.width, 4)
        return pixmap.x, pixmap.y, rows

    def _words(self, page: Any) -> list[Word]:
        pymupdf = mupdf.load()
        matrix = page.rotation_matrix * self._matrix
        flags = pymupdf.TEXTFLAGS_WORDS & ~pymupdf.TEXT_PRESERVE_LIGATURES
        words = []
        for x0, y0, x1, y1, text, block, line, _ in page.get_text("words", flags=flags):
            box = pymupdf.Rect(x0, y0, x1, y1) * matrix
            words.append(Word(text, (box.x0, box.y0, box.x1, box.y1), block, line))
        return words


def _around(rects: Sequence[Rect]) -> Rect:
    lefts, tops, rights, bottoms = zip(*rects, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _trimmed(mask: Mask, width: int, height: int) -> Mask:
    """The mask cut to its tight box, on the page."""
    left, top, right, bottom = (int(side) for side in mask.box)
    left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
    pixels = mask.pixels[top - mask.top : bottom - mask.top, left - mask.left : right - mask.left]
    return Mask(left, top, np.ascontiguousarray(pixels))
