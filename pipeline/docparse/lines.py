"""Words of a region as lines and phrases, in the order of the text layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from pipeline.docparse.words import PageText, Word

BULLETS = frozenset("•◦▪‣–—-*·")
PHRASE_GAP = 1.6
"""A gap wider than so many letter heights separates phrases on one line."""


@dataclass(frozen=True, slots=True)
class Line:
    """Words of one line."""

    text: str
    words: tuple[int, ...]
    height: float
    """Median height of its words in pixels."""
    block: int
    """Paragraph of its last word."""

    @property
    def bullet(self) -> bool:
        """Whether it begins a list entry."""
        return self.text[:1] in BULLETS


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand together on a line."""

    text: str
    words: tuple[int, ...]
    alone: bool
    """No other phrase shares its line."""


def lines_of(page: PageText, words: Sequence[int]) -> list[Line]:
    """The lines that some words form; a bullet that the text layer keeps on a line of its own joins the next one."""
    lines: list[Line] = []
    for _, group in groupby(words, key=lambda index: (page.words[index].block, page.words[index].line)):
        indices = tuple(group)
        if lines and lines[-1].text in BULLETS and _beside(page.words[lines[-1].words[-1]], page.words[indices[0]]):
            indices = (*lines.pop().words, *indices)
        lines.append(
            Line(
                " ".join(page.words[index].text for index in indices),
                indices,
                median(page.words[index].box[3] - page.words[index].box[1] for index in indices),
                page.words[indices[-1]].block,
            )
        )
    return lines


def phrases_of(page: PageText, words: Sequence[int]) -> list[Phrase]:
    """Words in rows from the top, cut where the gap is wide: the entries of a legend."""
    rows: list[list[int]] = []
    for index in sorted(words, key=lambda index: (page.words[index].centre[1], page.words[index].box[0])):
        if rows and _beside(page.words[rows[-1][0]], page.words[index]):
            rows[-1].append(index)
        else:
            rows.append([index])
    phrases: list[Phrase] = []
    for row in rows:
        row.sort(key=lambda index: page.words[index].box[0])
        groups = [[row[0]]]
        for before, index in pairwise(row):
            left, right = page.words[before], page.words[index]
            if right.box[0] - left.box[2] > PHRASE_GAP * (left.box[3] - left.box[1]):
                groups.append([])
            groups[-1].append(index)
        for group in groups:
            text = " ".join(page.words[index].text for index in group)
            phrases.append(Phrase(text, tuple(group), len(groups) == 1))
    return phrases


def clean(text: str) -> str:
    """Text without the bullet in front."""
    return text.lstrip("•◦▪‣*· ").strip()


def _beside(left: Word, right: Word) -> bool:
    """Whether two words stand on one line: their heights overlap by half."""
    overlap = min(left.box[3], right.box[3]) - max(left.box[1], right.box[1])
    return overlap > 0.5 * min(left.box[3] - left.box[1], right.box[3] - right.box[1])
