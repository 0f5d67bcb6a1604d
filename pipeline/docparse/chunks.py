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


def chunks(page: Flow, size: int = CHUNK_CHARS, overlap: int = OVERLAP_CHARS) -> Iterator[Chunk]:
    """Pieces of at most `size` characters that overlap by at most `overlap` and together cover the text.

    A piece ends where a paragraph does if that leaves it at least half full, else at a sentence's end, else between
    words. After a paragraph's end the next piece repeats only whole paragraphs.
    """
    start, total = 0, len(page.text)
    while start < total:
        end, at_block = _end(page, start, size)
        yield Chunk(start, end, page.text[start:end].rstrip())
        if end >= total:
            return
        start = _next_start(page, start, end, at_block, overlap)


def _end(page: Flow, start: int, size: int) -> tuple[int, bool]:
    limit = start + size
    if limit >= len(page.text):
        return len(page.text), True
    half = start + size // 2
    blocks = [block for block in page.blocks if half < block <= limit]
    if blocks:
        return blocks[-1], True
    sentences = [match.end() for match in _SENTENCE_END.finditer(page.text, half, limit)]
    if sentences:
        return sentences[-1], False
    space = page.text.rfind(" ", half, limit)
    return (space + 1 if space >= 0 else limit), False


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


def around(boxes: Sequence[Box]) -> Box | None:
    """The smallest box around boxes; None when there are none."""
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
