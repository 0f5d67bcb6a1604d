"""Headings of a page, told from its words by their height: the text layer names no styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from pipeline.docparse.chunks import around
from pipeline.docparse.words import Box, PageText

HEADING_RATIO = 1.18
"""A heading's letters are at least so much taller than the page's median."""
MAX_HEADING_CHARS = 110


@dataclass(frozen=True, slots=True)
class Heading:
    """A short line or two in larger type."""

    text: str
    box: Box
    words: tuple[int, ...]
    """Indices into the page's words."""
    ratio: float
    """Height of its letters over the page's median."""


def headings(page: PageText) -> list[Heading]:
    """The page's headings in the order of its words."""
    if not page.words:
        return []
    body = median(_height(word.box) for word in page.words)
    lines = []
    for (block, _), group in groupby(enumerate(page.words), key=lambda pair: (pair[1].block, pair[1].line)):
        indexed = list(group)
        height = median(_height(word.box) for _, word in indexed)
        lines.append((block, height, indexed))
    found: list[Heading] = []
    for _, group_of_lines in groupby(lines, key=lambda line: (line[0], round(line[1]))):
        members = [pair for line in group_of_lines for pair in line[2]]
        text = " ".join(word.text for _, word in members)
        ratio = median(_height(word.box) for _, word in members) / body
        box = around([word.box for _, word in members])
        if ratio >= HEADING_RATIO and box and _reads_as_heading(text):
            found.append(Heading(text, box, tuple(index for index, _ in members), round(ratio, 2)))
    return found


def _reads_as_heading(text: str) -> bool:
    """Short, beginning like a title, and no piece of a sentence."""
    return (
        len(text) <= MAX_HEADING_CHARS
        and any(char.isalpha() for char in text)
        and not text[0].islower()
        and not text.endswith((".", ",", ";", ":"))
    )


def outside(found: Sequence[Heading], boxes: Sequence[Box]) -> list[Heading]:
    """The headings whose middle lies in none of `boxes`: of the page, not of a node or a cell."""

    def inside(heading: Heading, box: Box) -> bool:
        x, y = (heading.box[0] + heading.box[2]) / 2, (heading.box[1] + heading.box[3]) / 2
        return box[0] <= x <= box[2] and box[1] <= y <= box[3]

    return [heading for heading in found if not any(inside(heading, box) for box in boxes)]


def _height(box: Box) -> float:
    """Letter height; of text that stands upright on its side the narrow extent is the letters'."""
    return min(box[3] - box[1], box[2] - box[0]) if box[3] - box[1] > 2.5 * (box[2] - box[0]) else box[3] - box[1]
