"""Evidence: where in a region the words of a quote stand. A quote that stands nowhere proves nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from pipeline.docparse.words import PageText

_SAME = str.maketrans({"ё": "е", "\u00ad": None, "\u200b": None, "«": '"', "»": '"', "“": '"', "”": '"', "„": '"',
                       "’": "'", "‘": "'", "–": "-", "—": "-", "−": "-", "\u2010": "-", "\u2011": "-"})  # fmt: skip
"""Letters and marks that readers write for each other."""
IN_NUMBERS = ".,"
SIGNS = "-+"


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
            if self._begins(at) and self._ends(end):
                return self._covered(at, end)
            at = self._text.find(wanted, at + 1)
        return None

    def _begins(self, at: int) -> bool:
        """Whether a word begins here, or a number with its sign and all of its digits."""
        last, one_before = self._text[at - 1 : at], self._text[max(0, at - 2) : max(0, at - 1)]
        if last.isalnum():
            return False
        if not last or not self._text[at].isdigit():
            return True
        return not ((last in IN_NUMBERS and one_before.isdigit()) or (last in SIGNS and not one_before.strip()))

    def _ends(self, end: int) -> bool:
        """Whether a word ends here, or a number with all of its digits."""
        following, one_after = self._text[end : end + 1], self._text[end + 1 : end + 2]
        if not following or not (self._text[end - 1].isdigit() and following in IN_NUMBERS):
            return not following.isalnum()
        return not one_after.isdigit()

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
