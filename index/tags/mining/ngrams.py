"""Terms of one to four words and where they stand, counted level by level.

A term of n words is only looked at when both terms of n - 1 words inside it were frequent enough, so that what is kept
stays in proportion to what is frequent, however long the corpus (the Apriori principle: Agrawal and Srikant 1994).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from index.tags.canonical import base_form
from index.tags.mining.stopwords import STOPWORDS
from index.words import Token, fold, tokens

LONGEST = 4
Term = tuple[str, ...]
"""Base forms of a term's words."""
_BREAK = re.compile(r"[.,;:!?…()\[\]{}«»\"“”|\n•·—–/]")
_NO_NOUN = re.compile(
    r"(?:[оеё]го|[оеё]му|[ыи]ми|[ыи]й|ая|яя|[ыи]е|[ыи]х|ую|юю|ть|ться|[еи]тся|[ую]тся|лся|лась|лось|лись|[аяеу]ет|[аяеу]ют"
    r"|[ао]но|[ао]на|ло|ли|ed|ly|ize|ise|ould)$"
)
"""Endings of words that are no nouns; a noun with one of them is lost as a single word, not in phrases."""
_STOPPED = frozenset(base_form(word) for word in STOPWORDS)
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_HAS_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Passage:
    """A text that terms are looked for in."""

    id: str
    """Its record."""
    text: str
    document: str
    place: str
    """Where in the document: the page; terms that set one document's places apart count when there is but one."""
    weight: float = 1.0
    """How much a mention here counts: a heading's more than a paragraph's."""
    label: str | None = None


@dataclass
class Found:
    """A term and its mentions."""

    term: Term
    count: int = 0
    weight: float = 0.0
    """Mentions, each counted by the weight of its passage."""
    passages: dict[int, int] = field(default_factory=dict)
    """Index of a passage to mentions in it."""
    forms: Counter[str] = field(default_factory=Counter)
    """How it is written."""


@dataclass(frozen=True)
class Counted:
    """All terms of a corpus."""

    passages: tuple[Passage, ...]
    words: tuple[int, ...]
    """Words of each passage."""
    terms: Mapping[Term, Found]
    counts: Mapping[Term, int]
    """Mentions of every frequent sequence of words, also of those that name nothing."""

    @property
    def total_words(self) -> int:
        """Words of the corpus."""
        return sum(self.words)


def count_terms(passages: Iterable[Passage], min_passages: int) -> Counted:
    """Every term that stands in at least `min_passages` passages and may name something.

    It begins and ends with no stop word, has letters, and is, when it is one word, no verb, adverb or adjective as far
    as its endings tell.
    """
    kept = tuple(passages)
    cut = [_clauses(passage.text) for passage in kept]
    words = tuple(sum(len(clause) for clause in clauses) for clauses in cut)
    frequent: set[Term] | None = None
    terms: dict[Term, Found] = {}
    counts: dict[Term, int] = {}
    for size in range(1, LONGEST + 1):
        level: dict[Term, Found] = {}
        for at, clauses in enumerate(cut):
            for clause in clauses:
                _count(clause, size, at, kept[at], frequent, level)
        level = {term: found for term, found in level.items() if len(found.passages) >= min_passages}
        if not level:
            break
        frequent = set(level)
        counts.update((term, found.count) for term, found in level.items())
        terms.update((term, found) for term, found in level.items() if _is_term(found))
    return Counted(kept, words, terms, counts)


def _count(
    clause: Sequence[Token], size: int, at: int, passage: Passage, frequent: set[Term] | None, level: dict[Term, Found]
) -> None:
    for start in range(len(clause) - size + 1):
        part = clause[start : start + size]
        term = tuple(base_form(word.folded) for word in part)
        if frequent is not None and (term[:-1] not in frequent or term[1:] not in frequent):
            continue
        found = level.get(term)
        if found is None:
            found = level[term] = Found(term)
        found.count += 1
        found.weight += passage.weight
        found.passages[at] = found.passages.get(at, 0) + 1
        found.forms[passage.text[part[0].start : part[-1].end]] += 1


def _is_term(found: Found) -> bool:
    """Whether a frequent sequence of words may name something."""
    if found.term[0] in _STOPPED or found.term[-1] in _STOPPED:
        return False
    if any(not _HAS_LETTER.search(word) for word in found.term):
        return False
    if len(found.term) == 1:
        written = found.forms.most_common(1)[0][0]
        if written.isupper():
            return len(written) >= 2
        return len(found.term[0]) >= 4 and not any(_NO_NOUN.search(fold(form)) for form in found.forms)
    return all(len(word) > 1 for word in (found.term[0], found.term[-1]))


def _clauses(text: str) -> list[list[Token]]:
    """Words between marks that no term crosses; nor from Russian into English, but for capitals (API)."""
    found: list[list[Token]] = []
    last: Token | None = None
    for word in tokens(text):
        if last is None or _BREAK.search(text, last.end, word.start) or _changes_script(last, word, text):
            found.append([])
        found[-1].append(word)
        last = word
    return found


def _changes_script(last: Token, word: Token, text: str) -> bool:
    if bool(_CYRILLIC.search(last.folded)) == bool(_CYRILLIC.search(word.folded)):
        return False
    latin = word if _CYRILLIC.search(last.folded) else last
    return latin.folded.isalpha() and not text[latin.start : latin.end].isupper()
