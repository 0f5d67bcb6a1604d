"""Canvases: titled sections and what each lists; zones of a diagram and the nodes in them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.docparse.analysis import Section
from pipeline.docparse.lines import Line, clean, lines_of
from pipeline.docparse.regions import Region
from pipeline.docparse.textlayer.page import Draft, RegionPage, Said, cell_words, fact

BANNER_SHARE = 0.5
"""A first row lower than this share of the next is a title bar."""


def describe_canvas(region: Region, page: RegionPage, draft: Draft) -> None:
    """Sections with their lists, or, around nodes, the nodes' names."""
    nodes = page.within(region, "node")
    if nodes:
        loose = page.loose_lines(region)
        draft.title = clean(loose[0].text) if loose else None
        draft.labels = [name.text for node in nodes if (name := page.name_of(node.id))]
        draft.caption = ", ".join(draft.labels)
        return
    sections = _sections(region, page)
    in_sections = {index for words in sections for index in words}
    for words in sections:
        heading, *rest = lines_of(page.text, words)
        name = Said(clean(heading.text), heading.words)
        entries = _entries(rest)
        draft.sections.append(Section(heading=name.text, lines=tuple(entry.text for entry in entries)))
        draft.facts += [fact(name, "lists", entry, f"{name.text}: {entry.text}") for entry in entries if entry.text]
    others = [index for index in page.words_in(region) if index not in in_sections]
    if draft.title is None and others:
        draft.title = clean(lines_of(page.text, others)[0].text)
    told = "; ".join(f"{section.heading}: {', '.join(section.lines)}" for section in draft.sections)
    draft.caption = told or page.joined(page.words_in(region))


def _sections(region: Region, page: RegionPage) -> list[list[int]]:
    """Words of every section: the boxes inside a board, else the cells between rules without a title bar."""
    boxes = [box for box in page.within(region, "textbox") if box.parent == region.id]
    if region.column_rules_px is None:
        return [words for box in boxes if (words := page.words_in(box))]
    rows = cell_words(page, region)
    rules = region.row_rules_px
    if rules is not None and len(rules) > 2 and rules[1] - rules[0] < BANNER_SHARE * (rules[2] - rules[1]):
        rows = rows[1:]
    return [words for row in rows for words in row if words]


def _entries(lines: Sequence[Line]) -> list[Said]:
    """The entries of a list; a line goes on with the one before when it has no bullet though others do, or when the
    text layer keeps both in one paragraph though the list has several."""
    bulleted = any(line.bullet for line in lines)
    paragraphs = len({line.block for line in lines}) > 1
    entries: list[Said] = []
    block = None
    for line in lines:
        goes_on = entries and not line.bullet and (bulleted or (paragraphs and line.block == block))
        if goes_on:
            last = entries.pop()
            entries.append(Said(f"{last.text} {clean(line.text)}", (*last.words, *line.words)))
        else:
            entries.append(Said(clean(line.text), line.words))
        block = line.block
    return entries
