"""Search as you type: words and vectors over all records, joined and weighted, from the ranking snapshot alone."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from index.boosts import Boosts
from index.boosts_in_use import BoostsInUse
from index.embed import Embedder, embedder_for_space
from index.errors import EmbedderUnavailable, IndexCorrupt, IndexEmpty, IndexProblem, SpaceMismatch, UnknownEmbedder
from index.facets import facets as facets_of
from index.filters import Filters, filters
from index.found import MODES, Hit, Mode, SearchResult, Why
from index.hits import hit_of
from index.layout import Current, Layout
from index.lexical import Found, WordIndex, parse
from index.query import Query, parse_query
from index.query_vectors import QueryVectors
from index.rank import LEXICAL_SHARE, Fusion
from index.ranking import Arranged, Candidates, Rows, Scores, arranged, candidates
from index.snippet import Snippet, snippet
from index.vectors import REBUILD
from index.view import View, read_only

if TYPE_CHECKING:
    from index.embed import Matrix

__all__ = ["MODES", "Fusion", "Hit", "Mode", "SearchResult", "Searcher", "Snippet", "Why"]


class Searcher:
    """A read-only view of a workspace's index; opens in milliseconds, sees newer ingests without being reopened.

    One query at a time; it may be made in one thread and used in others.
    """

    def __init__(
        self,
        workspace: Path,
        embedder: Embedder | None = None,
        *,
        boosts: Boosts | None = None,
        generation: str | None = None,
    ) -> None:
        """Open the index of a workspace.

        Args:
            workspace: the folder that holds `.spotter/`.
            embedder: makes the query's vector; by default the one of the index's own space.
            boosts: weigh types, tags and zones; by default those of the workspace's `tags/boosts.json` with those of
                the environment's TAG_WEIGHTS on top.
            generation: name or number of a generation that need not be the one in use; by default the one in use,
                followed when another is switched in.

        Raises:
            IndexEmpty: there is no index, or nothing in it.
            UnknownGeneration: there is no generation of this name.
            SpaceMismatch: `embedder` belongs to another space.
            BoostsInvalid: the workspace's boosts, or TAG_WEIGHTS, can't be read.
            IndexCorrupt: the snapshot can't be read.
        """
        self._layout = Layout(workspace.absolute())
        self._wanted = embedder
        self._boosts = BoostsInUse(self._layout.workspace, boosts)
        self._generation = generation
        self._lock = threading.Lock()
        self._view: View | None = None
        self._pointer: tuple[int, int] | None = None
        self._current: Current | None = None
        self._embedder: Embedder | None = None
        self._words: WordIndex | None = None
        self._words_of = -1
        self._vectors: QueryVectors | None = None
        self._note = ""
        with self._lock:
            view = self._open_current()
            if not view.count:
                self._let_go()
                raise IndexEmpty(self._layout.workspace)
            with read_only(view.db):
                view.refresh()
                view.open_postings()
            self._boosts.own()

    @property
    def space(self) -> str:
        """Id of the space of the index."""
        with self._lock:
            return self._open_current().space.id

    @property
    def boosts(self) -> Boosts:
        """What weighs records unless a query brings its own. Raises BoostsInvalid."""
        return self._boosts.own()

    def search(
        self,
        query: str,
        k: int = 20,
        *,
        mode: Mode = "balanced",
        types: Sequence[str] = (),
        documents: Sequence[str] = (),
        pages: Sequence[int] = (),
        boosts: Boosts | None = None,
        fusion: Fusion | None = None,
        vector: Matrix | Literal["wait", "ready"] | None = "wait",
        facets: bool = False,
        number: int = 0,
    ) -> SearchResult:
        """The best `k` records for any string; the last word counts as a prefix while nothing follows it.

        Args:
            query: any text in the language of `index.query`; with filters alone it lists what passes them, in order;
                one that asks for nothing finds nothing.
            k: length of the list.
            mode: how text and visual records share the list.
            types: only records of these types (`meta.type`).
            documents: only records of these documents (document id, source file or file name).
            pages: only records of these pages.
            boosts: instead of the searcher's own, for this query.
            fusion: instead of the one that the boosts were fitted with, or the space's default.
            vector: "wait" embeds the query even over the network; "ready" takes a vector that costs no wait, else
                answers by words and sets `vector_pending`; a (dim,) vector is taken as it is; None: words only.
            facets: count what matched, too.
            number: handed back in the result, so that a caller can drop answers that newer queries have overtaken.

        Raises:
            IndexEmpty: the index has been emptied or taken away.
            IndexCorrupt: the snapshot can't be read any more.
            BoostsInvalid: the workspace's boosts were changed to what can't be read.
        """
        started = time.perf_counter()
        asked = parse_query(query)
        words = asked.words.strip()
        note, pending = "", False
        made = None if isinstance(vector, str) else vector
        with self._lock:
            self._open_current()
            vectors, said = self._vectors, self._note
        if isinstance(vector, str):
            made, pending, note = self._vector(vectors, words, said, wait=vector == "wait")
        vector_ms = (time.perf_counter() - started) * 1000
        with self._lock:
            view = self._open_current()
            while isinstance(vector, str) and vectors is not self._vectors:
                # An index of another space was switched in meanwhile: a query must not meet it with an old vector.
                vectors = self._vectors
                made, pending, note = self._vector(vectors, words, self._note, wait=vector == "wait")
            try:
                with read_only(view.db):
                    view.refresh()
                    if not view.count:
                        raise IndexEmpty(self._layout.workspace)
                    answer = self._answer(view, asked, k, mode, (types, documents, pages), boosts, fusion, made, facets)
            except sqlite3.DatabaseError as error:
                raise IndexCorrupt(f"The index can't be read ({error}); {REBUILD}") from error
        took_ms = (time.perf_counter() - started) * 1000
        return replace(
            answer,
            took_ms=took_ms,
            note=" ".join(filter(None, (asked.note, answer.note, note))),
            vector_pending=pending,
            number=number,
            stages_ms={"vector": vector_ms, **answer.stages_ms},
        )

    def query_vector(self, query: str) -> Matrix | None:
        """The vector of a query, (dim,), asked of the network if it must be; None: the query has no words to embed.

        Other threads can search meanwhile. The answer is remembered, so that `search(vector="ready")` has it at once.

        Raises:
            IndexProblem: the vector can't be made; the text says why.
        """
        with self._lock:
            self._open_current()
            vectors, note = self._vectors, self._note
        words = parse_query(query).words.strip()
        if not words:
            return None
        if vectors is None:
            raise EmbedderUnavailable(note)
        return vectors.fetch(words)

    def warm(self, queries: Sequence[str]) -> None:
        """Make the vectors of many queries in few requests, so that each search has its own at once.

        Raises:
            IndexProblem: they can't be made; the text says why.
        """
        with self._lock:
            self._open_current()
            vectors, note = self._vectors, self._note
        if vectors is None:
            raise EmbedderUnavailable(note)
        vectors.warm([parse_query(query).words.strip() for query in queries])

    def close(self) -> None:
        """Let go of the files; a later search opens them again."""
        with self._lock:
            self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _let_go(self) -> None:
        if self._view is not None:
            self._view.close()
        self._view = self._pointer = self._words = None

    def _open_current(self) -> View:
        """The view of the generation in use, opened anew when another one was switched in; or of the one named."""
        if self._generation is not None:
            if self._view is None:
                self._open(self._layout.generation(self._generation))
        else:
            try:
                status = os.stat(self._layout.pointer)  # noqa: PTH116
            except FileNotFoundError:
                self._let_go()
                raise IndexEmpty(self._layout.workspace) from None
            pointer = (status.st_ino, status.st_mtime_ns)
            if self._view is None or pointer != self._pointer:
                self._let_go()
                current = self._layout.current()
                if current is None:
                    raise IndexEmpty(self._layout.workspace)
                self._open(current)
                self._pointer = pointer
        assert self._view is not None, "opened above"
        return self._view

    def _open(self, current: Current) -> None:
        self._choose_embedder(current)
        self._view = View(current)
        self._current = current

    def _choose_embedder(self, current: Current) -> None:
        self._note = ""
        if self._wanted is not None and self._wanted.space != current.space:
            raise SpaceMismatch(index_space=current.space.id, other_space=self._wanted.space.id)
        if self._vectors is not None and self._vectors.embedder.space == current.space:
            return
        self._vectors = None
        try:
            self._embedder = self._wanted or embedder_for_space(current.space.id, self._layout.workspace)
        except (EmbedderUnavailable, UnknownEmbedder) as error:
            self._embedder = None
            self._note = f"Found by words only: {error}"
            return
        self._vectors = QueryVectors(self._embedder)

    def _vector(
        self, vectors: QueryVectors | None, words: str, note: str, *, wait: bool
    ) -> tuple[Matrix | None, bool, str]:
        """A query's vector if there is one now, whether it is still to come, and why there is none."""
        if not words or vectors is None:
            return None, False, note
        try:
            known = vectors.at_once(words)
            if known is None and wait:
                known = vectors.fetch(words)
        except IndexProblem as error:
            return None, False, f"Found by words only: {error}"
        return known, known is None, note

    def _answer(
        self,
        view: View,
        asked: Query,
        k: int,
        mode: Mode,
        given: tuple[Sequence[str], Sequence[str], Sequence[int]],
        boosts: Boosts | None,
        fusion: Fusion | None,
        vector: Matrix | None,
        with_facets: bool,
    ) -> SearchResult:
        clock = _Clock()
        if self._words is None or self._words_of != view.revision:
            self._words = WordIndex(view.db, view.open_postings(), len(view.alive), view.count)
            self._words_of = view.revision
        chosen, joined, boosts_note = self._boosts.chosen(view.space.id, boosts, fusion)
        narrowed = filters(view, self._words, asked, types=given[0], documents=given[1], pages=given[2])
        mask = narrowed.mask()
        terms = parse(asked.words)
        found = self._words.score(terms) if terms else Found(np.zeros(len(view.alive)), frozenset())
        clock.lap("words")
        listing = not terms and bool(narrowed.by_kind)
        lexical = mask.astype(np.float64) if listing else found.scores
        ranked = Candidates.none()
        if k >= 1 and (terms or listing):
            ranked = candidates(
                view,
                lexical,
                vector if terms else None,
                mask,
                None if chosen.is_neutral else view.weights(chosen),
                fusion=joined,
                lexical_share=LEXICAL_SHARE if chosen.lexical_share is None else chosen.lexical_share,
                noise_cosine=self._embedder.noise_cosine if self._embedder is not None else 0.0,
                wanted=k,
            )
        placed = arranged(view, ranked, mode, k)
        clock.lap("rank")
        hits = self._hits(view, placed, ranked, chosen, found, k, listing=listing)
        clock.lap("records")
        counted = None
        if with_facets:
            matched = lexical > 0
            matched[ranked.rows] = True
            counted = facets_of(view, matched, narrowed if terms or listing else Filters(view.alive, {}))
            clock.lap("facets")
        by_vector = vector is not None and bool(terms)
        assert self._current is not None, "a view is open"
        return SearchResult(
            query=asked.text,
            hits=hits,
            total=ranked.total,
            took_ms=0.0,
            space=view.space.id,
            label=self._embedder.label if self._embedder is not None and by_vector else None,
            lexical_only=not by_vector,
            note=narrowed.note or ("" if terms or listing else "The query holds no word to look for."),
            records=view.count,
            revision=view.revision,
            generation=self._current.name,
            mode=mode,
            fusion=joined,
            facets=counted,
            boosts_note=boosts_note,
            stages_ms=clock.laps_ms,
        )

    def _hits(
        self, view: View, placed: Arranged, ranked: Candidates, boosts: Boosts, found: Found, k: int, *, listing: bool
    ) -> tuple[Hit, ...]:
        shown = placed.rows[:k]
        at = {row: place for place, row in enumerate(ranked.rows.tolist())}
        lexical_ranks = _ranks_of(ranked.lexical, ranked.rows)
        vector_ranks = _ranks_of(ranked.cosines, ranked.rows)
        relevance_ranks = _ranks_of(ranked.relevance, ranked.rows)
        members = [row for kept in shown for row in placed.similar.get(kept, ())]
        records = view.records([*shown, *members])
        hits = []
        for rank, row in enumerate(shown, start=1):
            place, record = at[row], records[row]
            tags = view.tags_of(row)
            factors = boosts.explain(record.type, tags)
            by_words = not listing and ranked.lexical[place] > 0
            by_vector = ranked.cosines[place] > 0
            before = placed.rank_before_quota[row]
            why = Why(
                lexical_rank=int(lexical_ranks[place]) if by_words else None,
                lexical_score=float(ranked.lexical[place]) if by_words else None,
                vector_rank=int(vector_ranks[place]) if by_vector else None,
                cosine=float(ranked.cosines[place]) if by_vector else None,
                fused=float(ranked.relevance[place]),
                rank_before_quota=before,
                lifted=before > rank,
                type_boost=factors.type_boost,
                tag=factors.tag,
                tag_boost=factors.tag_boost,
                zone=factors.zone,
                zone_boost=factors.zone_boost,
                rank_by_relevance=int(relevance_ranks[place]),
                rank_by_score=place + 1,
            )
            marked = snippet(record.text, found.stems, found.prefix)
            similar = tuple(records[member].id for member in placed.similar.get(row, ()))
            score = float(ranked.scores[place])
            hits.append(hit_of(record, rank, score, why, marked, similar, tuple(tags), self._layout.workspace))
        return tuple(hits)


def _ranks_of(scores: Scores, rows: Rows) -> Rows:
    """1-based rank of each of these scores among them; equal scores by row."""
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.lexsort((rows, -scores))] = np.arange(1, len(scores) + 1)
    return ranks


class _Clock:
    """Where the time of one query went."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps_ms[name] = (now - self._last) * 1000
        self._last = now
