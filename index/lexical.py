"""The query's words against the word index: stems, the last word as a prefix, similar words, words that stand together.

A term is a word of the query with all that counts as it: its stem in full, other words by how many character 4-grams
they share (so a typo, another derivation, a half of a compound still count), and while it is being typed whatever
begins like it. Its frequency in a record is the weighted sum over these, and BM25 takes it from there. Compared with
one BM25 over stems and 4-grams of whole records this needs no second index, and finds as much.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from index.postings import Postings
from index.snapshot import spelling_grams
from index.words import FUNCTION_WORDS, char_grams, folded_words, stem

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

MAX_WORDS = 32
"""Distinct words of a query that are looked up; a longer query is a pasted text, and its first words tell enough."""
_K1 = 1.2
"""How soon another occurrence says nothing new, as in SQLite's bm25()."""
_PREFIX_WEIGHT = 0.5
_SIMILAR_FROM = 0.3
"""Share of a word's 4-grams that another word must hold to count as it, with the square of the share as its weight."""
_RESPELT_WEIGHT = 0.8
"""Weight of a near spelling of a word that no record holds."""
_SIMILAR_KEPT = 32
_PAIR_WEIGHT = 0.4
"""What two neighbours of the query that stand together in a record add, beside the rarer one's weight."""
_PAIR_WITHIN = 4
_MARKED_FROM = 0.5
_SPELLING_CANDIDATES = 200
_SPELLINGS_KEPT = 4
_SHORTEST_CORRECTED = 4
_REMEMBERED_ROWS = 4_000_000


@dataclass(frozen=True)
class Term:
    """One word of a query."""

    word: str
    stems: tuple[str, ...]
    prefix: str | None = None
    """Words that begin so count, too; only for a word still being typed."""


@dataclass(frozen=True)
class Found:
    """What the words of a query say of every record."""

    scores: Scores
    """BM25 with similar words and pairs, (rows,); 0: none of the words."""
    stems: frozenset[str]
    """What to mark in a found text."""
    prefix: str | None = None


@dataclass(frozen=True)
class _Posting:
    """Where something stands, and how often for the record's length."""

    rows: Rows
    frequency: Scores


@dataclass(frozen=True)
class _Scored:
    """What one term adds to the score of its rows."""

    rows: Rows
    scores: Scores
    idf: float
    marks: frozenset[str]
    occurs: bool
    """Whether a record holds the word itself."""


def parse(query: str) -> tuple[Term, ...]:
    """The words of a query in order, each once; the last is a prefix, too, while nothing follows it.

    A single letter after other words is no prefix yet: it would match half the index and tell nothing.
    """
    spoken = folded_words(query)
    distinct = list(dict.fromkeys(spoken))[:MAX_WORDS]
    unfinished = spoken[-1] if spoken and query[-1].isalnum() else None
    if unfinished is not None and len(unfinished) == 1 < len(distinct):
        unfinished = None
    return tuple(Term(word, (stem(word),), word if word == unfinished else None) for word in distinct)


def significant(terms: Sequence[Term]) -> tuple[Term, ...]:
    """The terms without function and question words, unless there are no others; a word being typed stays."""
    kept = tuple(term for term in terms if term.prefix is not None or term.word not in FUNCTION_WORDS)
    return kept or tuple(terms)


class WordIndex:
    """Scores records by words; remembers what it looked up, since a query comes again with every letter typed.

    Made for one revision of a snapshot.
    """

    def __init__(self, db: sqlite3.Connection, postings: Postings, rows: int, records: int) -> None:
        """Look words up.

        Args:
            db: the snapshot's database, for phrases and similar words.
            postings: which rows hold which words.
            rows: length of the score arrays.
            records: how many of the rows hold a record.
        """
        self._db = db
        self._rows = rows
        self._records = records
        self._index = postings
        self._postings: dict[str, _Posting] = {}
        self._phrases: dict[str, Rows] = {}
        self._terms: dict[Term, _Scored] = {}
        self._remembered_rows = 0

    def score(self, terms: Sequence[Term]) -> Found:
        """Score every record by terms as `parse` gives them."""
        if self._remembered_rows > _REMEMBERED_ROWS:
            self._postings, self._phrases, self._terms, self._remembered_rows = {}, {}, {}, 0
        asked = significant(terms)
        total = np.zeros(self._rows)
        marks: set[str] = set()
        for term in asked:
            scored = self._scored(term)
            total[scored.rows] += scored.scores
            marks |= scored.marks
        for first, second in pairwise(asked):
            one, other = self._scored(first), self._scored(second)
            if one.occurs and other.occurs:
                near = f'stems : NEAR("{first.stems[0]}" "{second.stems[0]}", {_PAIR_WITHIN})'
                total[self._holding(near)] += _PAIR_WEIGHT * min(one.idf, other.idf)
        prefix = next((term.prefix for term in asked if term.prefix is not None), None)
        return Found(total, frozenset(marks), prefix)

    def holding(self, words: Sequence[str], *, open_end: bool = False) -> Rows:
        """Rows that hold these folded words one after the other, as written; an open end may have more letters."""
        return self._holding(f'words : "{" ".join(words)}"{" *" if open_end else ""}')

    def holding_stem(self, word: str) -> Rows:
        """Rows that hold a folded word in any inflection."""
        return self._of_stem(stem(word)).rows

    def _scored(self, term: Term) -> _Scored:
        known = self._terms.get(term)
        if known is None:
            known = self._terms[term] = self._looked_up(term)
            self._remembered_rows += len(known.rows)
        return known

    def _looked_up(self, term: Term) -> _Scored:
        base = term.stems[0]
        own = self._of_stem(base)
        counting = [(1.0, own)]
        marks = {base}
        occurs = len(own.rows) > 0
        if term.prefix is not None:
            begun = _Posting(*self._index.of_prefix(term.prefix))
            counting.append((_PREFIX_WEIGHT, begun))
            occurs = occurs or len(begun.rows) > 0
        if len(term.word) >= _SHORTEST_CORRECTED and not term.word.isdigit() and not (term.prefix and occurs):
            for other, weight in self._similar(term, known=occurs).items():
                counting.append((weight, self._of_stem(other)))
                if weight >= _MARKED_FROM or not occurs:
                    marks.add(other)
        frequency, presence = np.zeros(self._rows), np.zeros(self._rows)
        for weight, posting in counting:
            frequency[posting.rows] += weight * posting.frequency
            presence[posting.rows] = np.maximum(presence[posting.rows], weight)
        rows = np.flatnonzero(presence)
        held = float(presence[rows].sum())
        idf = math.log(1 + max(0.0, self._records - held + 0.5) / (held + 0.5))
        found = frequency[rows]
        return _Scored(rows, idf * (_K1 + 1) * found / (found + _K1), idf, frozenset(marks), occurs=len(own.rows) > 0)

    def _of_stem(self, base: str) -> _Posting:
        known = self._postings.get(base)
        if known is None:
            known = self._postings[base] = _Posting(*self._index.of_stem(base))
            self._remembered_rows += len(known.rows)
        return known

    def _holding(self, expression: str) -> Rows:
        """Rows that match an expression of FTS5."""
        known = self._phrases.get(expression)
        if known is None:
            found = self._db.execute("SELECT rowid FROM lexical WHERE lexical MATCH ?", (expression,)).fetchall()
            known = self._phrases[expression] = np.fromiter((row for (row,) in found), np.int64, count=len(found))
            self._remembered_rows += len(known)
        return known

    def _similar(self, term: Term, *, known: bool) -> dict[str, float]:
        """Stems that count as a term's word, with their weights; the word's own is not among them."""
        base = term.stems[0]
        grams = " OR ".join(f'"{gram}"' for gram in spelling_grams(base))
        rows = self._db.execute(
            "SELECT rowid FROM spelling WHERE spelling MATCH ? ORDER BY rank LIMIT ?", (grams, _SPELLING_CANDIDATES)
        ).fetchall()
        marks = ",".join("?" * len(rows))
        near = self._db.execute(
            f"SELECT stem, word FROM vocabulary WHERE stem_key IN ({marks}) ORDER BY stem_key",  # noqa: S608
            [row for (row,) in rows],
        ).fetchall()
        weights = {} if term.prefix is not None else similarities(term.word, base, near)
        if not known:
            for respelt in nearest_spellings(term.word, base, near, open_end=term.prefix is not None):
                weights[respelt] = max(weights.get(respelt, 0.0), _RESPELT_WEIGHT)
        weights.pop(base, None)
        return dict(sorted(weights.items(), key=lambda one: (-one[1], one[0]))[:_SIMILAR_KEPT])


@lru_cache(maxsize=20_000)
def _grams(word: str) -> frozenset[str]:
    return frozenset(char_grams(word))


def similarities(word: str, base: str, candidates: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Stems whose word or whose stem holds enough of the 4-grams of this one, with the square of the share, below 1.

    Args:
        word: a folded word as typed.
        base: its stem.
        candidates: stems of the index, each with a word that has it.
    """
    of_word, of_stem = _grams(word), _grams(base)
    weights = {}
    for other, written in candidates:
        share = max(len(of_word & _grams(written)) / len(of_word), len(of_stem & _grams(other)) / len(of_stem))
        if share >= _SIMILAR_FROM:
            weights[other] = min(share**2, 0.99)
    return weights


def nearest_spellings(
    word: str, base: str, candidates: Iterable[tuple[str, str]], *, open_end: bool = False
) -> list[str]:
    """The stems fewest typing errors away: at most one error in up to 5 letters, two in more.

    Stems are compared with stems, so that another ending is no error, and words with words, because an error can keep
    a stemmer from seeing the ending.

    Args:
        word: a folded word as typed.
        base: its stem.
        candidates: stems of the index, each with a word that has it.
        open_end: the word is still being typed, so a candidate's beginning may stand for it.
    """
    allowed = 1 if len(word) < 6 else 2
    measured = []
    for kept, written in candidates:
        pairs = {(base, kept), (word, written)}
        if open_end:
            pairs.add((word, written[: len(word)]))
        distance = min(typing_errors(left, right, allowed) for left, right in pairs)
        if distance <= allowed:
            measured.append((distance, abs(len(kept) - len(base)), kept))
    measured.sort()
    return [kept for distance, _, kept in measured if distance == measured[0][0]][:_SPELLINGS_KEPT]


def typing_errors(left: str, right: str, limit: int) -> int:
    """Letters inserted, dropped, replaced or swapped with a neighbour to get from one word to the other.

    Optimal string alignment distance (Damerau 1964 with Levenshtein's recursion); more than `limit` is `limit` + 1.
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    previous: list[int] = []
    current = list(range(len(right) + 1))
    for row, letter in enumerate(left, start=1):
        before, previous, current = previous, current, [row] + [0] * len(right)
        for column, other in enumerate(right, start=1):
            cost = min(previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            current[column] = cost
        if min(current) > limit:
            return limit + 1
    return min(current[-1], limit + 1)
