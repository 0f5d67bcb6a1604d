"""Where the names of tags stand in a text.

At each word the longest name wins, so that "Business Model Canvas" is no mention of a business model; several tags may
have the same name's words, then all are found. A name in capitals alone (NFX, SLA) is matched in capitals alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from index.tags.canonical import base_form
from index.tags.catalog import Catalog, Match, Tag
from index.words import Token, tokens

_GAP = re.compile(r"""[\s\u2010-\u2015'’"«»“”„&/-]*""")
"""What may stand between the words of one name; a line may end there."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A tag's name in a text."""

    tag: str
    how: Match
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Name:
    """One name, or one phrase that excludes a tag, by its words."""

    bases: tuple[str, ...]
    folded: tuple[str, ...]
    tag: str
    kinds: tuple[Match, ...]
    capitals: str | None
    """The name itself when it must stand in capitals."""
    excludes: bool = False


class Matcher:
    """Finds the names of a catalog's active tags in texts."""

    def __init__(self, catalog: Catalog) -> None:
        self._by_first: dict[str, list[_Name]] = {}
        for tag in catalog.active:
            for name in _names(tag):
                self._by_first.setdefault(name.bases[0], []).append(name)
        for names in self._by_first.values():
            names.sort(key=lambda name: -len(name.bases))

    def mentions(self, text: str) -> list[Mention]:
        """Every mention of a tag in a text, in order; those inside a longer mention, or excluded, are left out."""
        words = tokens(text)
        bases = [base_form(word.folded) for word in words]
        found: list[tuple[int, int, _Name, Match]] = []
        excluded: list[tuple[int, int, str]] = []
        for at, base in enumerate(bases):
            for name in self._by_first.get(base, ()):
                end = at + len(name.bases)
                how = _agrees(name, words[at:end], text) if tuple(bases[at:end]) == name.bases else None
                if how is None:
                    continue
                if name.excludes:
                    excluded.append((at, end, name.tag))
                else:
                    found.append((at, end, name, how))
        kept = [
            one for one in found
            if not any(one[2].tag == tag and start < one[1] and one[0] < end for start, end, tag in excluded)
        ]  # fmt: skip
        return [
            Mention(name.tag, how, words[at].start, words[end - 1].end)
            for at, end, name, how in _longest(kept)
        ]  # fmt: skip


def _longest(found: Sequence[tuple[int, int, _Name, Match]]) -> Iterator[tuple[int, int, _Name, Match]]:
    """Those that lie in no longer one; of the same words and tag, the first."""
    seen: set[tuple[int, int, str]] = set()
    for at, end, name, how in sorted(found, key=lambda one: (one[0], -one[1], one[3])):
        inside = any(
            start <= at and end <= stop and stop - start > end - at for start, stop, _, _ in found
        )  # fmt: skip
        if not inside and (at, end, name.tag) not in seen:
            seen.add((at, end, name.tag))
            yield at, end, name, how


def _agrees(name: _Name, words: Sequence[Token], text: str) -> Match | None:
    """How a name agrees with words of the same base forms, or None; a comma or an empty line parts them."""
    gaps = (text[a.end : b.start] for a, b in pairwise(words))
    if any(gap != " " and not (_GAP.fullmatch(gap) and gap.count("\n") < 2) for gap in gaps):
        return None
    if name.capitals is not None:
        return "phrase" if text[words[0].start : words[-1].end] == name.capitals else None
    exact = all(a.folded == b for a, b in zip(words, name.folded, strict=True))
    how: Literal["phrase", "stem"] = "phrase" if exact else "stem"
    return how if how in name.kinds else None


def _names(tag: Tag) -> Iterable[_Name]:
    if not tag.match:
        return
    for text, excludes in [*((name, False) for name in tag.names), *((name, True) for name in tag.exclude)]:
        words = tokens(text)
        if words:
            yield _Name(
                bases=tuple(base_form(word.folded) for word in words),
                folded=tuple(word.folded for word in words),
                tag=tag.id,
                kinds=("phrase", "stem") if excludes else tag.match,
                capitals=text if text.isupper() and not excludes else None,
                excludes=excludes,
            )
