"""One id for the many ways in which a tag is written.

The written name is folded (NFKC, lower case, ё as е, no punctuation), then looked up: the id itself, its folded form
(where `/`, `:` and `=` are one), a label, alias or hidden name, the same by base forms, the last part of an id. The
first of these that answers with exactly one tag wins; two tags are no answer. What is merely near by its letters is
suggested, never taken. A name that is no tag's is kept as it was written and reported.

A base form is the Snowball stem of a Russian word and the singular of an English one: English stems join words that are
no forms of each other (governance and government, developer and developed).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from index.tags.catalog import Catalog
from index.words import char_grams, folded_words, stem

SUGGEST_JACCARD = 0.75
"""Share of common character 4-grams from which a name is suggested."""
MAX_SUGGESTIONS = 3
How = Literal["id", "folded id", "name", "form", "end of id"]
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_CAMEL = re.compile(r"(?<=[a-zа-яё0-9])(?=[A-ZА-ЯЁ])")


@dataclass(frozen=True)
class Canonical:
    """What a written tag stands for."""

    raw: str
    tag: str | None
    """Id of an active tag, or None when it is none's name or that of several."""
    how: How | None
    suggestions: tuple[str, ...] = ()
    """Ids that it may have meant, when `tag` is None."""


@dataclass(frozen=True)
class CanonicalTags:
    """A record's tags after canonicalising."""

    tags: tuple[str, ...]
    """Ids of tags, each once, in the order of their first mention."""
    raw_tags: tuple[str, ...]
    """What was written and is no tag, each once; kept and reported, never dropped."""


def folded_key(text: str) -> str:
    """Words of a name, folded, joined by one space: equal for names that differ only in case, ё or punctuation."""
    return " ".join(folded_words(text))


@lru_cache(maxsize=200_000)
def base_form(folded: str) -> str:
    """What the forms of one folded word share."""
    if not folded.isascii() or not folded.isalpha() or len(folded) < 4:
        return stem(folded) if _CYRILLIC.search(folded) else folded
    if folded.endswith("ies"):
        return folded[:-3] + "y"
    if folded.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return folded[:-2]
    return folded if folded.endswith(("ss", "us", "is")) else folded.removesuffix("s")


def base_key(text: str) -> str:
    """Words of a name by their base forms: equal for inflected forms, too."""
    return " ".join(base_form(word) for word in folded_words(text))


class Canonicaliser:
    """Knows all names of a catalog's tags."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._steps: tuple[tuple[How, Mapping[str, set[str]]], ...] = (
            ("folded id", {}), ("name", {}), ("form", {}), ("end of id", {}),
        )  # fmt: skip
        ids, names, stems, ends = (table for _, table in self._steps)
        for tag in catalog.tags:
            target = catalog.current(tag.id)
            if target is None:
                continue
            for written in (tag.id, _spaced(tag.id)):
                _note(ids, folded_key(written), target)
                _note(ends, folded_key(written.rpartition("/")[2]), target)
            for name in tag.names:
                _note(names, folded_key(name), target)
                _note(stems, base_key(name), target)
        self._near_names = [
            (frozenset(char_grams(key)), tuple(sorted(targets)))
            for table in (names, ends)
            for key, targets in table.items()
        ]
        self._by_gram: dict[str, list[int]] = {}
        for at, (grams, _) in enumerate(self._near_names):
            for gram in grams:
                self._by_gram.setdefault(gram, []).append(at)
        self._known: dict[str, Canonical] = {}

    def canonical(self, raw: str) -> Canonical:
        """What a written tag stands for."""
        if raw not in self._known:
            self._known[raw] = self._find(raw)
        return self._known[raw]

    def canonical_all(self, raws: Iterable[str]) -> CanonicalTags:
        """A record's tags, sorted out into tags and what is none."""
        told = [self.canonical(raw) for raw in raws]
        return CanonicalTags(
            tuple(dict.fromkeys(one.tag for one in told if one.tag is not None)),
            tuple(dict.fromkeys(one.raw for one in told if one.tag is None)),
        )

    def _find(self, raw: str) -> Canonical:
        exact = self._catalog.current(raw)
        if exact is not None:
            return Canonical(raw, exact, "id")
        folded, based = folded_key(raw), base_key(raw)
        unsure: set[str] = set()
        for how, table in self._steps:
            found = table.get(based if how == "form" else folded, set())
            if len(found) == 1:
                return Canonical(raw, next(iter(found)), how)
            unsure |= found
        return Canonical(raw, None, None, tuple(sorted(unsure)) or self._near(folded))

    def _near(self, folded: str) -> tuple[str, ...]:
        wanted = frozenset(char_grams(folded))
        common = Counter(at for gram in wanted for at in self._by_gram.get(gram, ()))
        best: dict[str, float] = {}
        for at, shared in common.items():
            grams, targets = self._near_names[at]
            likeness = shared / (len(wanted) + len(grams) - shared)
            if likeness >= SUGGEST_JACCARD:
                best.update((target, max(likeness, best.get(target, 0.0))) for target in targets)
        return tuple(sorted(best, key=lambda target: (-best[target], target))[:MAX_SUGGESTIONS])


def _note(table: Mapping[str, set[str]], key: str, target: str) -> None:
    assert isinstance(table, dict)
    if key:
        table.setdefault(key, set()).add(target)


def _spaced(tag_id: str) -> str:
    """`Pillar/OperationalExcellence` as `Pillar/Operational Excellence`."""
    return _CAMEL.sub(" ", tag_id)
