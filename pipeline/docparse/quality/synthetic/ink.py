"""Ink: paths and letters as data, so that an element is drawn the same on its page and alone.

Coordinates are points from the top left corner of the page as it is shown, rounded to 0.01: the last bits of sine and
cosine differ between processors, drawings may not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.docparse import mupdf

Point = tuple[float, float]
Colour = tuple[float, float, float]
Rect = tuple[float, float, float, float]
"""Left, top, right, bottom in points."""


def rounded(points: Sequence[Point]) -> tuple[Point, ...]:
    """Points on the grid of 0.01 pt."""
    return tuple((round(x, 2), round(y, 2)) for x, y in points)


@cache
def font(face: str) -> Any:
    """A face that PyMuPDF brings along, with Latin and Cyrillic letters."""
    return mupdf.load().Font(face)


def text_width(text: str, face: str, size: float) -> float:
    """Length of a line in points."""
    return float(font(face).text_length(text, fontsize=size))


@dataclass(frozen=True, slots=True)
class Path:
    """A polyline: stroked, filled or both."""

    points: tuple[Point, ...]
    closed: bool = False
    fill: Colour | None = None
    stroke: Colour | None = None
    width: float = 1.0
    dashes: str | None = None
    opacity: float = 1.0

    def draw(self, page: Any) -> None:
        """Put it on a PyMuPDF page."""
        shape = page.new_shape()
        shape.draw_polyline(list(self.points))
        shape.finish(
            color=self.stroke, fill=self.fill, width=self.width if self.stroke else 0, dashes=self.dashes,
            closePath=self.closed, lineJoin=1, fill_opacity=self.opacity, stroke_opacity=self.opacity,
        )  # fmt: skip
        shape.commit()

    def reach(self) -> Rect:
        """A box that holds all of its ink."""
        xs, ys = zip(*self.points, strict=True)
        by = self.width + 1
        return min(xs) - by, min(ys) - by, max(xs) + by, max(ys) + by


@dataclass(frozen=True, slots=True)
class Letters:
    """One line of text, its baseline starting at (x, y); `turn` degrees against the clock around that point."""

    x: float
    y: float
    text: str
    face: str
    size: float
    colour: Colour
    turn: float = 0.0
    opacity: float = 1.0

    def draw(self, page: Any) -> None:
        """Put it on a PyMuPDF page."""
        pymupdf = mupdf.load()
        at = pymupdf.Point(round(self.x, 2), round(self.y, 2))
        writer = pymupdf.TextWriter(page.rect)
        writer.append(at, self.text, font=font(self.face), fontsize=self.size)
        morph = (at, pymupdf.Matrix(-self.turn)) if self.turn else None
        writer.write_text(page, color=self.colour, morph=morph, opacity=self.opacity)

    def reach(self) -> Rect:
        """A box that holds all of its ink."""
        length = text_width(self.text, self.face, self.size)
        if self.turn:
            by = length + self.size
            return self.x - by, self.y - by, self.x + by, self.y + by
        return self.x - 2, self.y - 1.2 * self.size, self.x + length + 2, self.y + 0.5 * self.size


Ink = Path | Letters
