"""The query's words against the word index: stems, the last word as a prefix, near spellings of unknown words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from index.snapshot import spelling_grams
from index.words import folded_words, stem

MAX_WORDS = 32
"""Distinct words of a query that are looked up; a longer query is a pasted text, and its first words tell enough."""
_SPELLING_CANDIDATES = 100
_SPELLINGS_KEPT = 4
_SHORTEST_CORRECTED = 4
_REMEMBERED = 5_000
_WORD_WEIGHT = 0.5
"""BM25 weight of a prefix match beside 1 for a stem."""


@dataclass(frozen=True)
class Term:
    """One word of a query with everything that counts as it."""

    word: str
    stems: tuple[str, ...]
    prefix: str | None = None
    """Words that begin so count, too; only for a word still being typed."""


@dataclass(frozen=True)
class Matches:
    """Rows that match, with their BM25 scores (higher is better), in no order."""

    rows: list[int]
    scores: list[float]


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


def expression(terms: Sequence[Term], operator: Literal["AND", "OR"]) -> str:
    """The FTS5 query of terms. Folded words hold letters and digits only, so that quoting them is safe."""
    clauses = []
    for term in terms:
        parts = [f'stems : "{one}"' for one in term.stems]
        if term.prefix is not None:
            parts.append(f'words : "{term.prefix}" *')
        clauses.append(f"({' OR '.join(parts)})")
    return f" {operator} ".join(clauses)


def matching(db: sqlite3.Connection, terms: Sequence[Term], operator: Literal["AND", "OR"]) -> Matches:
    """Every record that holds all (AND) or any (OR) of the terms, scored by BM25."""
    found = db.execute(
        f"SELECT rowid, bm25(lexical, {_WORD_WEIGHT}, 1.0) FROM lexical WHERE lexical MATCH ?",  # noqa: S608
        (expression(terms, operator),),
    ).fetchall()
    return Matches([row for row, _ in found], [-score for _, score in found])


class Spelling:
    """Widens terms that no record holds by the index's most similar words; remembers what it found.

    A query is looked up with every letter typed, so all but its last word come again and again.
    """

    def __init__(self) -> None:
        self._revision = -1
        self._known: dict[Term, Term] = {}

    def widen(self, db: sqlite3.Connection, terms: Sequence[Term], revision: int) -> tuple[Term, ...]:
        """The terms as they are to be looked up in this revision of the index."""
        if revision != self._revision or len(self._known) > _REMEMBERED:
            self._revision = revision
            self._known = {}
        for term in terms:
            if term not in self._known:
                self._known[term] = _respelled(db, term)
        return tuple(self._known[term] for term in terms)


def _respelled(db: sqlite3.Connection, term: Term) -> Term:
    if len(term.word) < _SHORTEST_CORRECTED or term.word.isdigit() or _occurs(db, term):
        return term
    base = term.stems[0]
    grams = " OR ".join(f'"{gram}"' for gram in spelling_grams(base))
    rows = db.execute(
        "SELECT rowid FROM spelling WHERE spelling MATCH ? ORDER BY rank LIMIT ?", (grams, _SPELLING_CANDIDATES)
    ).fetchall()
    marks = ",".join("?" * len(rows))
    near = db.execute(
        f"SELECT stem, word FROM vocabulary WHERE stem_key IN ({marks})",  # noqa: S608
        [row for (row,) in rows],
    ).fetchall()
    spellings = nearest_spellings(term.word, base, near, open_end=term.prefix is not None)
    return Term(term.word, tuple(dict.fromkeys([base, *spellings])), term.prefix)


def _occurs(db: sqlite3.Connection, term: Term) -> bool:
    found = db.execute("SELECT 1 FROM lexical WHERE lexical MATCH ? LIMIT 1", (expression([term], "OR"),))
    return found.fetchone() is not None


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
