"""Page text and its division into overlapping chunks that respect paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.docparse.words import Box, PageText

CHUNK_CHARS = 1400
OVERLAP_CHARS = 180
_BLOCK_GAP = "\n\n"
_SENTENCE_END = re.compile(r"[.!?…]['\"»”)]?\s")


@dataclass(frozen=True, slots=True)
class Flow:
    """A page's text as one string, and where each word of the text layer stands in it."""

    text: str
    starts: tuple[int, ...]
    """Offset of every word, in the order of `words.json`."""
    blocks: tuple[int, ...]
    """Offsets at which paragraphs begin."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a page's text."""

    start: int
    end: int
    text: str


def flow(page: PageText) -> Flow:
    """Join a page's words: a space between words, an empty line between paragraphs."""
    parts: list[str] = []
    starts: list[int] = []
    blocks: list[int] = []
    length = 0
    previous: int | None = None
    for word in page.words:
        gap = "" if previous is None else " " if word.block == previous else _BLOCK_GAP
        parts += [gap, word.text]
        length += len(gap)
        if word.block != previous:
            blocks.append(length)
        starts.append(length)
        length += len(word.text)
        previous = word.block
    return Flow("".join(parts), tuple(starts), tuple(blocks))


_WORD = re.compile(r"\S+")
_PARAGRAPH = re.compile(r"(?:\A|\n)\s*(?=\S)")


def flow_of(text: str) -> Flow:
    """A text that has no word boxes, fit for `chunks`: every line is a paragraph."""
    starts = tuple(match.start() for match in _WORD.finditer(text))
    return Flow(text, starts, tuple(match.end() for match in _PARAGRAPH.finditer(text)))


def chunks(
    page: Flow,
    size: int = CHUNK_CHARS,
    overlap: int = OVERLAP_CHARS,
    headings: Sequence[int] = (),
    apart: Sequence[tuple[int, int]] = (),
) -> Iterator[Chunk]:
    """Pieces of at most `size` characters that overlap by at most `overlap` and together cover the text.

    A piece that must end before the text does ends, if that leaves it at least half full, before a heading, else where
    a paragraph does, else at a sentence's end, else between words; never right behind a heading. After a paragraph's
    end the next piece repeats only whole paragraphs, and what begins with a heading repeats nothing.

    Args:
        page: the text.
        size: characters of a piece, at most.
        overlap: characters that a piece repeats of the one before, at most.
        headings: offsets at which headings begin.
        apart: (start, end) of what is no running text, such as tables: left out, and no piece or overlap crosses it.
    """
    start, total = 0, len(page.text)
    for begin, end in (*sorted(apart), (total, total)):
        start += len(page.text[start:begin]) - len(page.text[start:begin].lstrip())
        yield from _pieces(page, start, begin, size, overlap, headings)
        start = max(start, end)


def _pieces(page: Flow, start: int, stop: int, size: int, overlap: int, headings: Sequence[int]) -> Iterator[Chunk]:
    while start < stop:
        end, at_block = _end(page, start, stop, size, headings)
        text = page.text[start:end].rstrip()
        if text:
            yield Chunk(start, end, text)
        if end >= stop:
            return
        start = end if end in headings else _next_start(page, start, end, at_block, overlap)


def _end(page: Flow, start: int, stop: int, size: int, headings: Sequence[int]) -> tuple[int, bool]:
    limit = start + size
    if limit >= stop:
        return stop, True
    half = start + size // 2
    if before := [heading for heading in headings if half < heading <= limit]:
        return before[-1], True
    blocks = [block for block in page.blocks if half < block <= limit]
    # A heading at the end of the first half may be all that stands between it and the paragraph's end.
    alone = [block for block in blocks if not any(_stands_alone(page, at, block) for at in headings if at > start)]
    if alone:
        return alone[-1], True
    sentences = [match.end() for match in _SENTENCE_END.finditer(page.text, half, limit)]
    if sentences:
        return sentences[-1], False
    space = page.text.rfind(" ", half, limit)
    return (space + 1 if space >= 0 else limit), False


def _stands_alone(page: Flow, heading: int, end: int) -> bool:
    """Whether nothing but the heading's own paragraph stands between it and `end`."""
    return heading < end and not any(heading < block < end for block in page.blocks)


def _next_start(page: Flow, start: int, end: int, at_block: bool, overlap: int) -> int:
    earliest = max(end - overlap, start + 1)
    if at_block:
        return next((block for block in page.blocks if earliest <= block <= end), end)
    return next((word for word in page.starts if earliest <= word <= end), end)


def box_of(page: PageText, text: Flow, chunk: Chunk) -> Box | None:
    """The smallest box around a chunk's words, in page pixels."""
    return around(
        [word.box for word, start in zip(page.words, text.starts, strict=True) if chunk.start <= start < chunk.end]
    )


def spans_inside(page: PageText, text: Flow, boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """(start, end) of every run of words whose middles lie in one of `boxes`."""
    spans: list[tuple[int, int]] = []
    before = False
    for word, start in zip(page.words, text.starts, strict=True):
        x, y = word.centre
        inside = any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)
        if inside:
            first = spans.pop()[0] if before else start
            spans.append((first, start + len(word.text)))
        before = inside
    return spans


def around(boxes: Sequence[Box]) -> Box | None:
    """The smallest box around boxes; None when there are none."""
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
