"""A page's regions and words, with what several descriptions need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.docparse.analysis import Edge, Fact, Section
from pipeline.docparse.headings import Heading, headings, outside
from pipeline.docparse.labels import Label
from pipeline.docparse.lines import Line, clean, lines_of
from pipeline.docparse.regions import Region
from pipeline.docparse.words import Box, PageText

ANALYST = "text-layer"


@dataclass(slots=True)
class Draft:
    """What a description fills in; `title` is set beforehand when a heading stands in the region."""

    title: str | None = None
    caption: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Said:
    """Some text and the words that it is made of."""

    text: str
    words: tuple[int, ...]


class RegionPage:
    """The regions of one page and the words in each."""

    def __init__(self, regions: Sequence[Region], text: PageText) -> None:
        self.text = text
        self.headings: Sequence[Heading] = headings(text)
        drawn = [region.box for region in regions if region.label not in ("textbox", "arrow")]
        self._page_headings = outside(self.headings, drawn)
        self._regions = regions
        self._by_id: Mapping[str, Region] = {region.id: region for region in regions}
        self._words = {region.id: text.inside(region.box) for region in regions}

    def words_in(self, region: Region) -> list[int]:
        """Indices of the words inside a region."""
        return self._words[region.id]

    def within(self, region: Region, label: Label) -> list[Region]:
        """The regions of a label inside another one, at any depth, in reading order."""
        return [other for other in self._regions if other.label == label and self._is_in(other, region)]

    def _is_in(self, region: Region, container: Region) -> bool:
        while region.parent is not None:
            if region.parent == container.id:
                return True
            region = self._by_id[region.parent]
        return False

    def joined(self, words: Sequence[int]) -> str:
        """The words as one line of text, bullets left out."""
        return clean(" ".join(line.text for line in lines_of(self.text, words)))

    def name_of(self, region_id: str | None) -> Said | None:
        """What a node is called: its lines in the tallest letters."""
        if region_id is None or not self._words[region_id]:
            return None
        lines = lines_of(self.text, self._words[region_id])
        tallest = max(line.height for line in lines)
        words = tuple(index for line in lines if line.height > 0.93 * tallest for index in line.words)
        return Said(self.joined(words), words)

    def loose_lines(self, region: Region) -> list[Line]:
        """The region's lines outside of the nodes and text boxes in it."""
        taken: set[int] = set()
        for label in ("node", "textbox"):
            for inner in self.within(region, label):
                taken |= set(self.words_in(inner))
        return lines_of(self.text, [index for index in self.words_in(region) if index not in taken])

    def own_title(self, region: Region) -> str | None:
        """The first heading in a region that belongs to the region itself, not to a node or cell in it."""
        inner = {
            i for label in ("node", "textbox") for child in self.within(region, label) for i in self.words_in(child)
        }
        words = set(self.words_in(region))
        own = [h for h in self.headings if set(h.words) <= words and not set(h.words) & inner]
        return own[0].text if own else None

    def heading_above(self, box: Box) -> str | None:
        """The nearest heading above a box, which the reader takes for its title."""
        above = [heading for heading in self._page_headings if heading.box[3] <= box[1] + 4]
        return max(above, key=lambda heading: heading.box[3]).text if above else None


def fact(subject: Said, predicate: str, obj: Said, text: str, *more: Said) -> Fact:
    """A fact with the words of all that it is made of as evidence."""
    words = {index for said in (subject, obj, *more) for index in said.words}
    return Fact(
        subject=subject.text,
        predicate=predicate,
        object=obj.text,
        text=text,
        evidence=tuple(sorted(words)),
        analyst=ANALYST,
    )


def within(point: tuple[float, float], box: Box) -> bool:
    """Whether a point lies in a box."""
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def cell_words(page: RegionPage, region: Region) -> list[list[list[int]]]:
    """Words of a region by the rules that the detector saw: rows of cells; empty without rules."""
    if region.column_rules_px is None or region.row_rules_px is None:
        return []
    columns = list(zip(region.column_rules_px, region.column_rules_px[1:], strict=False))
    rows = zip(region.row_rules_px, region.row_rules_px[1:], strict=False)
    words = page.words_in(region)
    return [
        [
            [index for index in words if within(page.text.words[index].centre, (left, top, right, bottom))]
            for left, right in columns
        ]
        for top, bottom in rows
    ]
