"""From what the model said about a page to what the analysis of its regions is: checked, and nothing made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.docparse.analysis import Analysis, Edge, Fact, Section, Struct
from pipeline.docparse.lines import lines_of
from pipeline.docparse.regions import Region
from pipeline.docparse.vlm.evidence import RegionWords, evidence_of
from pipeline.docparse.vlm.form import SaidRegion
from pipeline.docparse.vlm.talk import Asked, Told
from pipeline.docparse.words import PageText

ANALYST = "openai"


@dataclass(slots=True)
class PageReading:
    """The analyses of a page's regions, in order, and what was left out of them."""

    analyses: list[Analysis]
    facts_without_evidence: int = 0
    """Facts whose quotes stand nowhere in the region."""
    facts_unverifiable: int = 0
    """Facts about regions without words, which nothing can be checked against."""
    refused: int = 0
    kinds_disputed: int = 0
    """Regions that the model calls something else than the detector."""


def read_page(
    regions: Sequence[Region],
    text: PageText,
    talks: Sequence[tuple[Asked, Told]],
    not_asked: Mapping[int, str],
) -> PageReading:
    """Put a page's analyses together. Facts whose evidence is not in the region's words are counted and left out."""
    reading = PageReading([])
    said: dict[int, SaidRegion] = {}
    captions: dict[int, str] = {}
    skipped: dict[int, str] = dict(not_asked)
    not_shown: dict[int, int] = {}
    index_of = {region.number: index for index, region in enumerate(regions)}
    for asked, told in talks:
        not_shown[asked.holder] = not_shown.get(asked.holder, 0) + asked.words_not_shown
        numbers = [*([] if asked.alone else [asked.region_number]), *asked.part_numbers]
        if told.said is None:
            reading.refused += 1
            skipped |= {index_of[number]: f"the model refused: {told.refusal}" for number in numbers}
            continue
        if told.said.region is not None:
            said[asked.holder] = told.said.region
        captions |= {index_of[part.number]: part.caption for part in told.said.parts}
    for index, region in enumerate(regions):
        words = text.inside(region.box)
        whole = said.get(index)
        facts = [] if whole is None else _facts(whole, words, text, reading)
        if whole is not None and whole.kind != region.label:
            reading.kinds_disputed += 1
        struct = _struct(region, whole, words, text, skipped.get(index), not_shown.get(index, 0))
        caption = whole.caption if whole is not None else captions.get(index)
        if caption is None:  # nobody was asked, or the model refused: its own words, or nothing
            caption = " ".join(struct.lines)
        reading.analyses.append(Analysis(" ".join(caption.split()), struct, facts))
    return reading


def _facts(said: SaidRegion, words: Sequence[int], text: PageText, reading: PageReading) -> list[Fact]:
    if not words:
        reading.facts_unverifiable += len(said.facts)
        return []
    here = RegionWords(text, words)
    facts = []
    for each in said.facts:
        evidence = evidence_of(each.evidence, here)
        if evidence is None:
            reading.facts_without_evidence += 1
            continue
        facts.append(
            Fact(
                subject=each.subject, predicate=each.predicate, object=each.object, text=each.text,
                evidence=evidence, analyst=ANALYST,
            )
        )  # fmt: skip
    return facts


def _struct(
    region: Region, said: SaidRegion | None, words: Sequence[int], text: PageText, skipped: str | None, not_shown: int
) -> Struct:
    return Struct(
        kind=region.label,
        seen_as=said and said.kind,
        title=said and said.title,
        headings=tuple(said.headings) if said else (),
        rows=tuple(tuple(row) for row in said.rows) if said else (),
        labels=tuple(said.labels) if said else (),
        edges=tuple(Edge(source=e.source, target=e.target, label=e.label) for e in said.edges) if said else (),
        sections=tuple(Section(heading=s.heading, lines=tuple(s.lines)) for s in said.sections) if said else (),
        lines=tuple(line.text for line in lines_of(text, words)),
        text_source=text.source if words else "none",
        analyst=ANALYST,
        skipped=skipped,
        words_not_shown=not_shown,
    )
