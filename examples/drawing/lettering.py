"""Type: the faces that PyMuPDF ships, measuring, and breaking marked-up text into lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pymupdf

from drawing.style import Type

# Built into MuPDF with Latin and Cyrillic glyphs, so no font file is needed and every machine draws the same letters.
_BUILT_IN = {"regular": "helv", "bold": "hebo", "italic": "heit"}

_NARROWER = (0.97, 0.94, 0.91, 0.88, 0.85)
_SHORTEST_LAST_LINE = 0.2


class DoesNotFit(ValueError):
    """A text is larger than the place it was given; the drawing has to be changed, text is never clipped."""


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of one line set in one face."""

    text: str
    face: str
    width: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of type: runs side by side."""

    runs: tuple[Run, ...]

    @property
    def width(self) -> float:
        """Length of the line in points."""
        return sum(run.width for run in self.runs)

    @property
    def text(self) -> str:
        """The line's letters."""
        return "".join(run.text for run in self.runs)


@cache
def font(face: str) -> Any:
    """The font object of a face: regular, bold or italic."""
    return pymupdf.Font(_BUILT_IN[face])


def measure(text: str, style: Type, face: str | None = None) -> float:
    """Length of a text on one line, in points; every letter must exist in the face."""
    used = font(face or style.face)
    missing = {letter for letter in text if not used.has_glyph(ord(letter))}
    if missing:
        raise DoesNotFit(f"the face {face or style.face!r} has no letters {sorted(missing)} needed by {text!r}")
    return float(used.text_length(text, fontsize=style.size))


def break_lines(text: str, style: Type, width: float) -> list[Line]:
    """Break a text into lines no longer than `width`; `**words**` are bold, `\\n` starts a new line."""
    return [line for row in text.split("\n") for line in _break_row(row, style, width)]


def _break_row(row: str, style: Type, width: float) -> list[Line]:
    words = _words(row, style)
    lines = list(_filled(words, row, style, width))
    # A last line of one short word looks like a mistake: narrower lines push a neighbour down to it.
    longest = max((sum(run.width for run in word) for word in words), default=0.0)
    for share in _NARROWER:
        good = len(lines) < 2 or lines[-1].width > _SHORTEST_LAST_LINE * width
        if good or longest > width * share:
            break
        narrower = list(_filled(words, row, style, width * share))
        if len(narrower) == len(lines):
            lines = narrower
    return lines


def _filled(words: list[list[Run]], row: str, style: Type, width: float) -> Iterator[Line]:
    line: list[Run] = []
    used = 0.0
    for word in words:
        length = sum(run.width for run in word)
        if length > width:
            raise DoesNotFit(f"{word[0].text!r} is {length:.0f} pt long, the place is {width:.0f} pt wide: {row!r}")
        space = measure(" ", style)
        if line and used + space + length > width:
            yield Line(tuple(_merged(line)))
            line, used = [], 0.0
        if line:
            line.append(Run(" ", line[-1].face, space))
            used += space
        line.extend(word)
        used += length
    yield Line(tuple(_merged(line)))


def _words(row: str, style: Type) -> list[list[Run]]:
    """Words as runs: a word may change its face inside, as where a comma follows a bold name."""
    words: list[list[Run]] = [[]]
    for index, part in enumerate(row.split("**")):
        face = "bold" if index % 2 else style.face
        for position, piece in enumerate(part.split(" ")):
            if position:
                words.append([])
            if piece:
                words[-1].append(Run(piece, face, measure(piece, style, face)))
    return [word for word in words if word]


def _merged(runs: list[Run]) -> list[Run]:
    merged: list[Run] = []
    for run in runs:
        if merged and merged[-1].face == run.face:
            merged[-1] = Run(merged[-1].text + run.text, run.face, merged[-1].width + run.width)
        else:
            merged.append(run)
    return merged
