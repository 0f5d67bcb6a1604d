"""The part of a found text that shows why it was found."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from index.words import Word, occurrences

WIDTH = 240
_LEAD = 48
_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class Snippet:
    """The part of a text that shows why it was found."""

    text: str
    """One line: line breaks and control characters are spaces, an ellipsis where it was cut."""
    matches: tuple[tuple[int, int], ...]
    """Character ranges [start, end) inside `text` to highlight, ascending, not overlapping."""


def snippet(text: str, stems: Collection[str], prefix: str | None = None, width: int = WIDTH) -> Snippet:
    """The stretch of about `width` characters that holds the most different words of the query.

    Args:
        stems: stems that count as a match.
        prefix: folded beginning of words that count, too.
    """
    line = _line(text)
    found = occurrences(line, stems, prefix)
    start, end = _stretch(line, found, width)
    head = "…" if start > 0 else ""
    tail = "…" if end < len(line) else ""
    shift = len(head) - start
    inside = [word for word in found if start <= word.start and word.end <= end]
    return Snippet(head + line[start:end] + tail, tuple((word.start + shift, word.end + shift) for word in inside))


@lru_cache(maxsize=256)
def _line(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _stretch(line: str, found: Sequence[Word], width: int) -> tuple[int, int]:
    if len(line) <= width:
        return 0, len(line)
    best_start, best_kinds = 0, -1
    for at, word in enumerate(found):
        start = max(0, word.start - _LEAD)
        kinds: set[str] = set()
        for other in found[at:]:
            if other.end > start + width:
                break
            kinds.add(other.stem)
        if len(kinds) > best_kinds:
            best_start, best_kinds = start, len(kinds)
    start = min(best_start, len(line) - width)
    if start > 0:
        space = line.find(" ", start, start + _LEAD // 2)
        start = space + 1 if space >= 0 else start
    end = min(len(line), start + width)
    if end < len(line):
        space = line.rfind(" ", end - _LEAD // 2, end)
        end = space if space > start else end
    return start, end
