"""Does a claim stand where it says? Checked by rules alone: the same answer always gets the same verdict.

A claim is supported when it has a citation; every passage that it cites was among those shown; every quote stands there
word for word (in NFC, white space folded); every page is the passage's own, and its box lies on that page; every number
of the claim stands in a passage that it cites; and the claim has words in common with what it cites, unless it is in
another script. What these rules can't see is whether the sentence says what its quotes say: they are shown beside it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from index.answers import figures
from index.answers.evidence import coverage
from index.answers.form import SaidCitation, SaidClaim
from index.answers.packing import Passage

SHORTEST_QUOTE = 8
"""Letters and digits; less stands nearly everywhere, unless it is all that the passage has."""
MIN_SHARED = 0.2
"""Of a claim's words, weighted by their length, that must stand in what it cites, where both are of one script."""
_SCRIPTS = {"cyrillic": re.compile(r"[\u0400-\u04ff]+"), "latin": re.compile(r"[a-zA-Z\u00c0-\u024f]+")}
_MARK = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a claim stands."""

    number: int
    """Of the passage, as it was shown."""
    quote: str
    record_id: str | None
    """None: there was no such passage."""
    document: str | None
    page: int | None
    """The record's own."""
    bbox_px: tuple[float, float, float, float] | None
    """x, y, width, height in page pixels; the whole page when the record has no box of its own."""
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an answer, its citations, and what is wrong with it."""

    text: str
    citations: tuple[Citation, ...]
    problems: tuple[str, ...]
    """Of the claim itself, and of its citations."""

    @property
    def supported(self) -> bool:
        """Whether every check was passed."""
        return not self.problems


def check(said: SaidClaim, passages: Sequence[Passage]) -> Claim:
    """A claim with its verdict."""
    by_number = {passage.number: passage for passage in passages}
    citations = tuple(_citation(each, by_number.get(each.n)) for each in said.citations)
    problems = [problem for citation in citations for problem in citation.problems]
    if not said.text.strip():
        problems.append("it says nothing")
    if not citations:
        problems.append("it cites nothing")
    cited = {each.n for each in said.citations}
    marked = {int(number) for mark in _MARK.findall(said.text) for number in re.findall(r"\d+", mark)}
    problems += [f"it marks [{number}] without citing it" for number in sorted(marked - cited)]
    texts = [by_number[number].hit.text for number in sorted(cited & by_number.keys())]
    bare = _MARK.sub(" ", said.text)
    problems += [f"the number {number} stands in nothing that it cites" for number in figures.missing(bare, texts)]
    cited_text = " ".join(texts)
    if texts and _script(bare) == _script(cited_text) and coverage(bare, cited_text) < MIN_SHARED:
        problems.append("it has next to no word in common with what it cites")
    return Claim(" ".join(said.text.split()), citations, tuple(dict.fromkeys(problems)))


def _citation(said: SaidCitation, passage: Passage | None) -> Citation:
    quote = " ".join(said.quote.split())
    if passage is None:
        problem = f"it cites [{said.n}], which was not among the passages"
        return Citation(said.n, quote, None, None, None, None, (problem,))
    hit = passage.hit
    document = hit.source_file or hit.filename or hit.document_id
    problems = []
    if not _stands_in(said.quote, hit.text):
        problems.append(f"its quote does not stand in [{said.n}]: “{_short(quote)}”")
    elif _weight(quote) < min(SHORTEST_QUOTE, _weight(hit.text)):
        problems.append(f"its quote of [{said.n}] is too short to show anything: “{quote}”")
    if said.page is not None and said.page != hit.page:
        problems.append(f"it puts [{said.n}] on page {said.page}, which is on {_page(hit.page)}")
    box = hit.bbox_px
    if hit.page is None or hit.page < 1:
        problems.append(f"[{said.n}] has no page to look it up on")
    elif box is None and hit.page_size_px is not None:
        box = (0.0, 0.0, float(hit.page_size_px[0]), float(hit.page_size_px[1]))
    elif box is not None and not _on_page(box, hit.page_size_px):
        problems.append(f"the box of [{said.n}] lies outside its page")
    return Citation(said.n, quote, hit.id, document, hit.page, box, tuple(problems))


def _stands_in(quote: str, text: str) -> bool:
    """Whether a text holds a quote, from the beginning of a word to the end of one."""
    wanted = _folded(quote)
    return bool(wanted) and re.search(rf"{_whole_words(wanted)}", _folded(text)) is not None


def _whole_words(wanted: str) -> str:
    before = r"(?<!\w)" if re.match(r"\w", wanted) else ""
    behind = r"(?!\w)" if re.search(r"\w$", wanted) else ""
    return before + re.escape(wanted) + behind


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _weight(text: str) -> int:
    return sum(letter.isalnum() for letter in text)


def _on_page(box: tuple[float, float, float, float], size: tuple[int, int] | None) -> bool:
    """Whether a box has an area, and lies on its page to within a pixel."""
    left, top, width, height = box
    if not (width > 0 and height > 0 and left >= -1 and top >= -1):
        return False
    return size is None or (left + width <= size[0] + 1 and top + height <= size[1] + 1)


def _script(text: str) -> str:
    """In which letters a text is written, mostly."""
    return max(_SCRIPTS, key=lambda script: sum(len(word) for word in _SCRIPTS[script].findall(text)))


def _page(page: int | None) -> str:
    return "no page" if page is None else f"page {page}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
