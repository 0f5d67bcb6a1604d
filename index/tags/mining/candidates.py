"""Which terms of a corpus are worth a tag: frequent enough, not everywhere, and telling one part from another.

Distinctive: the weighted log-odds of a term in one part of the corpus against the rest, with the whole corpus as the
informative prior (Monroe, Colaresi, Quinn 2008, "Fightin' Words"), beside c-TF-IDF (Grootendorst 2022). Held together:
normalised pointwise mutual information of a phrase at its weakest joint (Bouma 2009). A term that nearly always stands
inside a longer one is left out, as in C-value (Frantzi, Ananiadou, Mima 2000).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from index.tags.canonical import Canonicaliser
from index.tags.mining.ngrams import Counted, Found, Passage, Term

EVIDENCE_QUOTES = 3
_PRIOR_WORDS, _PRIOR_SHARE = 500.0, 0.1
"""Strength of the prior: as if so many words had been read before, but no more than this share of the corpus."""


@dataclass(frozen=True)
class Limits:
    """What a term must be to be proposed."""

    min_documents: int = 3
    min_records: int = 5
    """It is in at least so many documents, or in at least so many records."""
    max_share: float = 0.30
    """And in no greater share of all records."""
    min_npmi: float = 0.25
    """How well the words of a phrase hold together, from -1 to 1."""
    min_z: float = 1.96
    """How surely it is said more in one part than in the rest."""
    max_inside: float = 0.8
    """Left out when so great a share of its mentions stands inside one longer term."""
    limit: int = 400
    """How many are proposed at most, the best."""


@dataclass(frozen=True)
class Quote:
    """Where a term stands."""

    record_id: str
    text: str
    """As it is written there."""


@dataclass(frozen=True)
class Candidate:
    """A term that may become a tag."""

    term: Term
    name: str
    """As it is written most often."""
    forms: tuple[str, ...]
    """How else it is written, most frequent first."""
    score: float
    z: float
    """Greatest weighted log-odds over the parts of the corpus."""
    part: str
    """The part in which it is that great."""
    ctfidf: float
    npmi: float
    """1 for a single word."""
    mentions: int
    documents: int
    records: int
    quotes: tuple[Quote, ...]


@dataclass(frozen=True)
class Mined:
    """Candidates, best first, and what was left out."""

    candidates: tuple[Candidate, ...]
    known: Mapping[str, str]
    """Terms that are names of tags already, with the tag."""
    left_out: Mapping[str, int]
    """Why terms were left out, and how many."""
    records: int
    documents: int


def mine(counted: Counted, canonical: Canonicaliser, limits: Limits | None = None) -> Mined:
    """The candidates of a corpus; the same corpus, catalog and limits always give the same, in the same order."""
    limits = limits or Limits()
    parts = _parts(counted.passages)
    scores = _Scores(counted, parts)
    left_out: Counter[str] = Counter()
    known: dict[str, str] = {}
    taken: dict[Term, Candidate] = {}
    inside = _inside_longer(counted)
    for term, found in counted.terms.items():
        name = _written(found)
        told = canonical.canonical(name)
        reason = None
        candidate = None
        if told.tag is not None and told.how != "end of id":
            known[name] = told.tag
            reason = "is a tag's name already"
        elif (reason := _frequency(found, counted, limits)) is None:
            if inside.get(term, 0.0) > limits.max_inside:
                reason = "stands inside a longer term"
            else:
                candidate = scores.candidate(found, name)
                reason = _weakness(candidate, limits)
        if reason is None and candidate is not None:
            taken[term] = candidate
        else:
            left_out[reason or ""] += 1
    ranked = sorted(taken.values(), key=lambda one: (-one.score, one.term))
    if len(ranked) > limits.limit:
        left_out["is below the limit of candidates"] += len(ranked) - limits.limit
    documents = len({passage.document for passage in counted.passages})
    return Mined(tuple(ranked[: limits.limit]), known, dict(left_out), len(counted.passages), documents)


def _frequency(found: Found, counted: Counted, limits: Limits) -> str | None:
    documents = {counted.passages[at].document for at in found.passages}
    if len(documents) < limits.min_documents and len(found.passages) < limits.min_records:
        return "is too rare"
    if len(found.passages) > max(limits.max_share * len(counted.passages), limits.min_records):
        return "is nearly everywhere"
    return None


def _weakness(candidate: Candidate, limits: Limits) -> str | None:
    if candidate.npmi < limits.min_npmi:
        return "does not hold together"
    return "tells no part from another" if candidate.z < limits.min_z else None


def _parts(passages: Sequence[Passage]) -> list[str]:
    """The part of every passage: its document; in a corpus of one document its page, of one page the record."""
    for parts in ([one.document for one in passages], [one.place for one in passages]):
        if len(set(parts)) > 1:
            return parts
    return [one.id for one in passages]


class _Scores:
    """Scores of terms over the parts of a corpus."""

    def __init__(self, counted: Counted, parts: Sequence[str]) -> None:
        self._counted = counted
        self._parts = parts
        self._words: dict[str, int] = defaultdict(int)
        for part, words in zip(parts, counted.words, strict=True):
            self._words[part] += words
        self._total = max(counted.total_words, 1)
        self._prior = min(_PRIOR_WORDS, _PRIOR_SHARE * self._total)
        self._average = self._total / max(len(self._words), 1)

    def candidate(self, found: Found, name: str) -> Candidate:
        """A term with its scores."""
        in_part: dict[str, int] = defaultdict(int)
        for at, count in found.passages.items():
            in_part[self._parts[at]] += count
        z, part = max((self._log_odds(found.count, part, count), part) for part, count in sorted(in_part.items()))
        ctfidf = in_part[part] / max(self._words[part], 1) * math.log(1 + self._average / found.count)
        npmi = self._npmi(found)
        emphasis = found.weight / found.count
        documents = {self._counted.passages[at].document for at in found.passages}
        return Candidate(
            term=found.term,
            name=name,
            forms=tuple(form for form, _ in sorted(found.forms.items(), key=_often) if form != name)[:5],
            score=round(z * emphasis * math.log2(1 + len(found.term)), 4),
            z=round(z, 4),
            part=part,
            ctfidf=round(ctfidf, 6),
            npmi=round(npmi, 4),
            mentions=found.count,
            documents=len(documents),
            records=len(found.passages),
            quotes=self._quotes(found),
        )

    def _log_odds(self, count: int, part: str, here: int) -> float:
        """z of the log-odds ratio of a term in a part against the rest, under a Dirichlet prior of the whole."""
        prior = max(self._prior * count / self._total, 1e-9)
        words = self._words[part]
        rest_words, there = self._total - words, count - here
        inside = math.log((here + prior) / max(words + self._prior - here - prior, 1e-9))
        outside = math.log((there + prior) / max(rest_words + self._prior - there - prior, 1e-9))
        return (inside - outside) / math.sqrt(1 / (here + prior) + 1 / (there + prior))

    def _npmi(self, found: Found) -> float:
        """How much likelier a phrase is than its two halves by chance, at the weakest joint, by its own rarity."""
        if len(found.term) == 1:
            return 1.0
        counts = self._counted.counts
        together = found.count / self._total
        weakest = min(
            math.log(found.count * self._total / (counts[found.term[:cut]] * counts[found.term[cut:]]))
            for cut in range(1, len(found.term))
        )
        return weakest / -math.log(together) if together < 1 else 1.0

    def _quotes(self, found: Found) -> tuple[Quote, ...]:
        """A few places, where it counts most first; of equals, one a document."""
        passages = self._counted.passages
        order = sorted(found.passages, key=lambda at: (-passages[at].weight, at))
        first: dict[str, int] = {}
        for at in order:
            first.setdefault(passages[at].document, at)
        chosen = list(dict.fromkeys([*first.values(), *order]))[:EVIDENCE_QUOTES]
        return tuple(
            Quote(passages[at].id, form)
            for at in chosen
            if (form := next((form for form in found.forms if form in passages[at].text), None)) is not None
        )


def _inside_longer(counted: Counted) -> dict[Term, float]:
    """For each term, the greatest share of its mentions that one longer term takes."""
    share: dict[Term, float] = {}
    for term, found in counted.terms.items():
        for size in range(1, len(term)):
            for at in range(len(term) - size + 1):
                inner = counted.terms.get(term[at : at + size])
                if inner is not None:
                    share[inner.term] = max(share.get(inner.term, 0.0), found.count / inner.count)
    return share


def _written(found: Found) -> str:
    """The form that is written most often; of equals, the one with fewest capitals, then the first by letters."""
    return min(found.forms.items(), key=_often)[0]


def _often(form: tuple[str, int]) -> tuple[int, int, str]:
    return -form[1], sum(letter.isupper() for letter in form[0]), form[0]
