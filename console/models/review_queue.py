"""The regions of a run as a queue: what is known of each before it is looked at, and which of them are wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console.models.filter import Field, Filter, folded, parse

if TYPE_CHECKING:
    from console.models.review_desk import Desk

Box = tuple[float, float, float, float]
Key = tuple[str, int, str]
"""Document, page, region."""

_THRESHOLD = re.compile(r"(?<!\S)score<=?(\d*\.?\d+)(?!\S)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Queued:
    """One region, as the run has it."""

    run: str
    document: str
    """Folder of the document."""
    name: str
    """Of the document's file."""
    page: int
    region: str
    number: int
    """On its page, in reading order."""
    label: str
    score: float
    box_px: Box
    page_px: tuple[int, int]
    words: str
    """The beginning of its text."""
    tags: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """What makes its quality doubtful."""
    picture: Path | None = None
    """Of its page; None when the run does not keep it."""
    source: Path | None = None
    """The document."""

    @property
    def key(self) -> Key:
        """Which region it is, in every run that finds it again."""
        return self.document, self.page, self.region


def wanted(text: str, desk: Desk) -> Filter[Queued]:
    """A filter over the queue: `score<0.5 label:table status:open page:=3 region:… words`.

    Raises:
        console.models.filter.FilterError: it cannot be understood.
    """
    columns: Mapping[str, Field[Queued]] = {
        "score": Field(lambda one: one.score, lambda one: f"{one.score:.2f}"),
        "label": Field(desk.label, lambda one: folded(desk.label(one))),
        "status": Field(lambda one: desk.status(one.key), lambda one: desk.status(one.key)),
        "doc": Field(lambda one: one.name, lambda one: folded(f"{one.name}\n{one.document}")),
        "page": Field(lambda one: float(one.page), lambda one: str(one.page)),
        "region": Field(lambda one: one.region, lambda one: folded(one.region)),
        "tag": Field(lambda one: ", ".join(one.tags), lambda one: folded("\n".join(one.tags))),
        "flag": Field(lambda one: ", ".join(one.flags), lambda one: folded("\n".join(one.flags))),
        "width": Field(lambda one: desk.box(one)[2], lambda one: f"{desk.box(one)[2]:g}"),
        "height": Field(lambda one: desk.box(one)[3], lambda one: f"{desk.box(one)[3]:g}"),
    }
    return parse(text, columns, lambda one: folded("\n".join((one.words, desk.label(one), one.name, *one.tags))))


def threshold_in(text: str) -> float | None:
    """The score below which a filter wants regions; None when it names none."""
    found = _THRESHOLD.search(text)
    return float(found[1]) if found else None


def with_threshold(text: str, score: float) -> str:
    """The filter with another bound, where it has one."""
    return _THRESHOLD.sub(f"score<{score:.2f}", text)


def split_argument(argument: str) -> tuple[str, str]:
    """(run, filter) of what stands behind `review`: the first word is the run unless it is a term of a filter."""
    first, _space, rest = argument.strip().partition(" ")
    if first and (re.fullmatch(r"[0-9a-zA-Z]{3,26}", first) and any(letter.isdigit() for letter in first)):
        return first, rest.strip()
    if first == "last":
        return "", rest.strip()
    return "", argument.strip()


def neighbours(one: Queued, desk: Desk, most: int = 6) -> list[tuple[Queued, float]]:
    """Regions of the same page that overlap `one` or lie nearest, with the share of the smaller that is covered."""
    box = desk.box(one)
    beside = [other for other in desk.on_page(one) if other.key != one.key]
    told = [(other, overlap(box, desk.box(other)), _gap(box, desk.box(other))) for other in beside]
    told.sort(key=lambda each: (-each[1], each[2], each[0].number))
    return [(other, share) for other, share, _gap_px in told[:most]]


def overlap(one: Box, other: Box) -> float:
    """How much of the smaller box the two have in common, 0 to 1."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / min(one[2] * one[3], other[2] * other[3])


def _gap(one: Box, other: Box) -> float:
    across = max(one[0], other[0]) - min(one[0] + one[2], other[0] + other[2])
    down = max(one[1], other[1]) - min(one[1] + one[3], other[1] + other[3])
    return max(across, 0.0) + max(down, 0.0)
