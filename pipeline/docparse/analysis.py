"""What an analyst says about a region: caption, struct and facts, in one strict form for every analyst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from pipeline.docparse.labels import Label
from pipeline.docparse.regions import Region
from pipeline.docparse.words import PageText, TextSource


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Edge(_Strict):
    """An arrow between two nodes."""

    source: str
    target: str
    label: str | None


class Section(_Strict):
    """A titled part of a canvas."""

    heading: str
    lines: tuple[str, ...]


class Struct(_Strict):
    """`region-0007.struct.json`: every field is always there, empty where a region has nothing of it."""

    kind: Label
    title: str | None
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Cells of a table, the head row first."""
    labels: tuple[str, ...]
    """Texts of a diagram's nodes, or entries of a legend."""
    edges: tuple[Edge, ...]
    sections: tuple[Section, ...]
    lines: tuple[str, ...]
    """The region's text, line by line."""
    text_source: TextSource
    analyst: str
    seen_as: Label | None = None
    """What an analyst that sees the picture calls the region, whatever the detector says; None when it sees none."""
    skipped: str | None = None
    """Why the analyst says nothing of this region: too small to be asked about, or refused, with the reason."""
    words_not_shown: int = 0
    """Words of the region, or of those asked about with it, for which a model's window had no room."""


class Fact(_Strict):
    """One line of `region-0007.facts.jsonl`: a triple, and the words that say so."""

    subject: str
    predicate: str
    object: str
    text: str
    """The fact as a person reads it, in the document's own words."""
    evidence: tuple[int, ...]
    """Indices into the page's `words.json`; every one lies in the region."""
    analyst: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that an analyst says about one region."""

    caption: str
    struct: Struct
    facts: Sequence[Fact]


class Analyst(Protocol):
    """Describes the regions of a page."""

    name: str
    version: str

    def analyse(self, regions: Sequence[Region], text: PageText) -> list[Analysis]:
        """One analysis per region, in order."""


def supported(facts: Sequence[Fact], region: Region, text: PageText) -> list[Fact]:
    """Those facts whose evidence really stands in the region; others are dropped."""
    inside = set(text.inside(region.box))
    return [fact for fact in facts if fact.evidence and inside.issuperset(fact.evidence)]
