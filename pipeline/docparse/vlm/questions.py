"""Which questions a page needs: one a region, or one a diagram with what is in it, none larger than the window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.docparse.lines import lines_of
from pipeline.docparse.regions import Region
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.pictures import picture_size
from pipeline.docparse.vlm.tokens import fixed_tokens, image_tokens
from pipeline.docparse.words import Box, PageText

CONTAINERS = frozenset({"diagram", "canvas"})
PARTS = frozenset({"node", "arrow", "textbox"})
"""What is asked about together with the diagram or canvas that it stands in."""
PART_BYTES = 600
"""A part's own words are cut to so many bytes of JSON; they stand in its region's text as well."""
CUT_MARK = "…"


@dataclass(frozen=True, slots=True)
class Question:
    """One request's worth: a region with parts of it, or parts alone that did not fit beside their region."""

    holder: int
    """Index of the region that the picture shows."""
    alone: bool
    """Only parts are asked about; the holder is another question's."""
    parts: tuple[int, ...]
    """Indices of the regions inside."""
    text: str
    """The question as JSON."""
    words_not_shown: int
    """Words of the holder and the parts that had no room in the window."""


@dataclass(frozen=True, slots=True)
class PagePlan:
    """What is asked about a page, and what is not."""

    questions: tuple[Question, ...]
    not_asked: Mapping[int, str]
    """Index of a region → why nobody was asked about it."""


def grouped(regions: Sequence[Region], params: OpenAiParams) -> tuple[dict[int, list[int]], dict[int, str]]:
    """({region that is asked about: parts that are asked about with it}, {region that is not: why}), by index."""
    index_of = {region.id: index for index, region in enumerate(regions)}
    groups: dict[int, list[int]] = {}
    not_asked: dict[int, str] = {}
    for index, region in enumerate(regions):
        share = region.bbox_norm[2] * region.bbox_norm[3]
        if region.parent is not None and share < params.min_page_share and region.label in PARTS:
            not_asked[index] = f"covers less than {params.min_page_share:.2%} of the page (min_page_share)"
            continue
        holder = _container(region, regions, index_of) if params.group_diagrams and region.label in PARTS else None
        if holder is None:
            groups.setdefault(index, [])
        else:
            groups.setdefault(holder, []).append(index)
    return groups, not_asked


def _container(region: Region, regions: Sequence[Region], index_of: Mapping[str, int]) -> int | None:
    """The nearest diagram or canvas around a region."""
    seen: set[str] = set()
    parent = region.parent
    while parent is not None and parent in index_of and parent not in seen:
        seen.add(parent)
        around = regions[index_of[parent]]
        if around.label in CONTAINERS:
            return index_of[parent]
        parent = around.parent
    return None


def plan_page(regions: Sequence[Region], text: PageText, params: OpenAiParams) -> PagePlan:
    """The questions about a page's regions, in reading order."""
    groups, not_asked = grouped(regions, params)
    questions: list[Question] = []
    for holder in sorted(groups):
        questions += _questions(holder, groups[holder], regions, text, params)
    return PagePlan(tuple(questions), not_asked)


def image_bound(box: Box, page_size_px: tuple[int, int], params: OpenAiParams) -> int:
    """Tokens of the picture that is sent for a box."""
    return image_tokens(*picture_size(box, page_size_px, params.image_max_side_px), params)


def _questions(
    holder: int, parts: Sequence[int], regions: Sequence[Region], text: PageText, params: OpenAiParams
) -> Iterable[Question]:
    """One question, or several when the parts are too many for one answer or one window."""
    region = regions[holder]
    room = params.context_tokens - params.max_output_tokens - fixed_tokens(params)
    room -= image_bound(region.box, (text.width, text.height), params)
    inside = text.inside(region.box)
    taken = {index for part in parts for index in text.inside(regions[part].box)}
    own = [index for index in inside if index not in taken]
    told = [(part, *_part(regions[part], text, regions, min(PART_BYTES, room // 3))) for part in parts]
    first = _Draft(holder, False, _frame(region, text))
    drafts = [first]
    for part, entry, cut in told:
        draft = drafts[-1]
        if draft.parts and (len(draft.parts) >= params.max_parts or draft.bytes_with(entry) > room // 2):
            draft = _Draft(holder, True, {"region": None, "parts_of": region.number, "text_layer": bool(text.words)})
            drafts.append(draft)
        draft.add(part, entry, cut)
    first.frame["region"], cut = _cut_to(first, region, own, text, room)
    first.not_shown += cut
    return [draft.question() for draft in drafts]


class _Draft:
    def __init__(self, holder: int, alone: bool, frame: dict[str, Any]) -> None:
        self.holder = holder
        self.alone = alone
        self.frame = frame
        self.parts: list[int] = []
        self.entries: list[dict[str, Any]] = []
        self.not_shown = 0
        self.entry_bytes = 0

    def bytes_with(self, entry: Mapping[str, Any]) -> int:
        return self.entry_bytes + len(orjson.dumps(entry)) + 1

    def add(self, part: int, entry: dict[str, Any], cut: int) -> None:
        self.entry_bytes = self.bytes_with(entry)
        self.parts.append(part)
        self.entries.append(entry)
        self.not_shown += cut

    def to_json(self) -> str:
        return orjson.dumps({**self.frame, "parts": self.entries}).decode()

    def question(self) -> Question:
        return Question(self.holder, self.alone, tuple(self.parts), self.to_json(), self.not_shown)


def _frame(region: Region, text: PageText) -> dict[str, Any]:
    return {"region": {"number": region.number, "label": region.label, "text": ""}, "text_layer": bool(text.words)}


def _part(region: Region, text: PageText, regions: Sequence[Region], at_most_bytes: int) -> tuple[dict[str, Any], int]:
    """A part as the question has it, and how many of its words had no room."""
    numbers = {other.id: other.number for other in regions}
    entry: dict[str, Any] = {"number": region.number, "label": region.label}
    if region.from_node is not None or region.to_node is not None:
        entry |= {"from": numbers.get(region.from_node or ""), "to": numbers.get(region.to_node or "")}
    words, cut = _shown(text.inside(region.box), text, at_most_bytes)
    return {**entry, "text": words}, cut


def _cut_to(
    draft: _Draft, region: Region, words: Sequence[int], text: PageText, room: int
) -> tuple[dict[str, Any], int]:
    """The region of a question with as many of its words as the window has room for, and how many it has not."""
    frame: dict[str, Any] = draft.frame["region"]
    left = room - len(draft.to_json().encode())
    shown, cut = _shown(words, text, left - 60)
    return ({**frame, "text": shown, "words_not_shown": cut} if cut else {**frame, "text": shown}), cut


def _shown(words: Sequence[int], text: PageText, at_most_bytes: int) -> tuple[str, int]:
    """Words as lines, cut with a mark so that their JSON has at most so many bytes; how many are left out."""
    whole = "\n".join(line.text for line in lines_of(text, words))
    if _json_bytes(whole) <= at_most_bytes:
        return whole, 0
    budget = at_most_bytes - _json_bytes(CUT_MARK) - 2
    kept = 0
    for index in words:
        budget -= _json_bytes(text.words[index].text) + 2  # a space or a line's end, which JSON writes with two bytes
        if budget < 0:
            break
        kept += 1
    cut = "\n".join(line.text for line in lines_of(text, words[:kept]))
    return f"{cut}\n{CUT_MARK}" if kept else CUT_MARK, len(words) - kept


def _json_bytes(text: str) -> int:
    return len(orjson.dumps(text)) - 2
