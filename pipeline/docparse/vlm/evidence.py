"""Evidence: where in a region the words of a quote stand. A quote that stands nowhere proves nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from pipeline.docparse.words import PageText

_SAME = str.maketrans({"ё": "е", "\u00ad": None, "\u200b": None, "«": '"', "»": '"', "“": '"', "”": '"', "„": '"',
                       "’": "'", "‘": "'", "–": "-", "—": "-", "−": "-", "\u2010": "-", "\u2011": "-"})  # fmt: skip
"""Letters and marks that readers write for each other."""


def normalised(text: str) -> str:
    """Text as it is compared: compatibility forms, case, ё and е, quotes, dashes and spaces made the same."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_SAME)
    return " ".join(folded.split())


class RegionWords:
    """A region's words as one normalised text that knows which word each of its letters belongs to."""

    def __init__(self, text: PageText, words: Sequence[int]) -> None:
        pieces: list[str] = []
        self._starts: list[tuple[int, int]] = []
        length = 0
        for index in words:
            piece = normalised(text.words[index].text)
            if not piece:
                continue
            self._starts.append((length, index))
            pieces.append(piece)
            length += len(piece) + 1
        self._text = " ".join(pieces)

    def find(self, quote: str) -> tuple[int, ...] | None:
        """Indices of the words that a quote covers, or None when it does not stand here as whole words."""
        wanted = normalised(quote).strip(" .,;:!?\"'()[]…")
        if not any(letter.isalnum() for letter in wanted):
            return None
        at = self._text.find(wanted)
        while at != -1:
            end = at + len(wanted)
            if self._is_border(at - 1) and self._is_border(end):
                return self._covered(at, end)
            at = self._text.find(wanted, at + 1)
        return None

    def _is_border(self, position: int) -> bool:
        return not (0 <= position < len(self._text)) or not self._text[position].isalnum()

    def _covered(self, begin: int, end: int) -> tuple[int, ...]:
        covered = []
        for place, (start, index) in enumerate(self._starts):
            following = self._starts[place + 1][0] if place + 1 < len(self._starts) else len(self._text) + 1
            if start < end and following - 1 > begin:
                covered.append(index)
        return tuple(covered)


def evidence_of(quotes: Sequence[str], words: RegionWords) -> tuple[int, ...] | None:
    """Indices of all words that the quotes cover; None when there is no quote, or one of them stands nowhere."""
    found: set[int] = set()
    for quote in quotes:
        covered = words.find(quote)
        if covered is None:
            return None
        found.update(covered)
    return tuple(sorted(found)) or None
