"""Search as you type: lexical and vector hits over all records, joined, from the ranking snapshot alone."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import orjson

from index import lexical
from index.embed import Embedder, embedder_for_space
from index.errors import EmbedderUnavailable, IndexCorrupt, IndexEmpty, SpaceMismatch, UnknownEmbedder
from index.found import MODES, Fusion, Hit, Mode, SearchResult, Why
from index.layout import Current, Layout
from index.rank import best_first, convex_fusion, is_text, with_text_quota
from index.snippet import Snippet, snippet
from index.vectors import REBUILD
from index.view import FoundRecord, Mask, View, read_only

__all__ = ["MODES", "Fusion", "Hit", "Mode", "SearchResult", "Searcher", "Snippet", "Why"]

if TYPE_CHECKING:
    from index.boosts import Boosts
    from index.embed import Matrix

_POOL = 200
"""Best lexical and best vector hits of each kind, text and visual, that go into the joined ranking."""
_ENOUGH_WITH_ALL_WORDS = 200
"""When so many records hold all words of a query, those that hold only some are not looked for."""


@dataclass(frozen=True)
class _Ranked:
    """Rows of one list, best first, with their scores, and how many matched in all."""

    rows: list[int]
    scores: list[float]
    matched: int


_NOTHING = _Ranked([], [], 0)


class Searcher:
    """A read-only view of a workspace's index; opens in milliseconds, sees newer ingests without being reopened.

    One query at a time; it may be made in one thread and used in another.
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
            boosts: weigh types, tags and zones; by default those of the workspace's `tags/boosts.json`.
            generation: name of a generation that need not be the one in use; by default the one in use, followed when
                another is switched in.

        Raises:
            IndexEmpty: there is no index, or nothing in it.
            SpaceMismatch: `embedder` belongs to another space.
            IndexCorrupt: the snapshot can't be read.
        """
        self._layout = Layout(workspace.absolute())
        self._wanted = embedder
        self._lock = threading.Lock()
        self._view: View | None = None
        self._pointer: tuple[int, int] | None = None
        self._embedder: Embedder | None = None
        self._spelling = lexical.Spelling()
        self._note = ""
        with self._lock:
            view = self._open_current()
            if not view.count:
                self._let_go()
                raise IndexEmpty(self._layout.workspace)

    @property
    def space(self) -> str:
        """Id of the space of the index."""
        with self._lock:
            return self._open_current().space.id

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
            query: any text in the language of `index.query`; one that asks for nothing finds nothing.
            k: length of the list.
            mode: how text and visual records share the list.
            types: only records of these types (`meta.type`).
            documents: only records of these documents (document id, source file or file name).
            pages: only records of these pages.
            boosts: instead of the searcher's own, for this query.
            fusion: instead of the default.
            vector: "wait" embeds the query even over the network; "ready" takes a vector that costs no wait, else
                answers by words and sets `vector_pending`; a (dim,) vector is taken as it is; None: words only.
            facets: count what matched, too.
            number: handed back in the result, so that a caller can drop answers that newer queries have overtaken.

        Raises:
            IndexEmpty: the index has been emptied or taken away.
            IndexCorrupt: the snapshot can't be read any more.
        """
        started = time.perf_counter()
        with self._lock:
            view = self._open_current()
            try:
                with read_only(view.db):
                    view.refresh()
                    if not view.count:
                        raise IndexEmpty(self._layout.workspace)
                    hits, total, with_vector = self._find(view, query, k, types, documents)
            except sqlite3.DatabaseError as error:
                raise IndexCorrupt(f"The index can't be read ({error}); {REBUILD}") from error
            return SearchResult(
                query=query,
                hits=hits,
                total=total,
                took_ms=(time.perf_counter() - started) * 1000,
                space=view.space.id,
                label=self._embedder.label if self._embedder is not None and with_vector else None,
                lexical_only=not with_vector,
                note=self._note or ("" if with_vector else "The query holds no word to look for."),
                records=view.count,
                revision=view.revision,
            )

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
        self._view = self._pointer = None
        self._spelling = lexical.Spelling()

    def _open_current(self) -> View:
        """The view of the snapshot in use, opened anew when another one was switched in."""
        try:
            status = os.stat(self._layout.pointer)  # noqa: PTH116
        except FileNotFoundError:
            self._let_go()
            raise IndexEmpty(self._layout.workspace) from None
        pointer = (status.st_ino, status.st_mtime_ns)
        if self._view is not None and pointer == self._pointer:
            return self._view
        self._let_go()
        current = self._layout.current()
        if current is None:
            raise IndexEmpty(self._layout.workspace)
        self._choose_embedder(current)
        self._view = View(current)
        self._pointer = pointer
        return self._view

    def _choose_embedder(self, current: Current) -> None:
        self._note = ""
        if self._wanted is not None:
            if self._wanted.space != current.space:
                raise SpaceMismatch(index_space=current.space.id, other_space=self._wanted.space.id)
            self._embedder = self._wanted
            return
        try:
            self._embedder = embedder_for_space(current.space.id, self._layout.workspace)
        except (EmbedderUnavailable, UnknownEmbedder) as error:
            self._embedder = None
            self._note = f"Found by words only: {error}"

    def _find(
        self, view: View, query: str, k: int, types: Sequence[str], documents: Sequence[str]
    ) -> tuple[tuple[Hit, ...], int, bool]:
        terms = lexical.parse(query)
        if not terms or k < 1:
            return (), 0, False
        terms = self._spelling.widen(view.db, terms, view.revision)
        mask = view.mask(types, documents)
        by_words = _by_words(view, terms, mask)
        by_vector = _NOTHING if self._embedder is None else _by_vector(view, self._embedder, query, mask)
        fused = convex_fusion(
            dict(zip(by_words.rows, by_words.scores, strict=True)),
            dict(zip(by_vector.rows, by_vector.scores, strict=True)),
        )
        ranking = best_first(fused)
        text_rows = {row for row in ranking if view.is_text[row]}
        placed = with_text_quota(ranking, text_rows)[:k]
        before = {row: at for at, row in enumerate(ranking, start=1)}
        words = {
            row: (at, score) for at, (row, score) in enumerate(zip(by_words.rows, by_words.scores, strict=True), 1)
        }
        near = {
            row: (at, score) for at, (row, score) in enumerate(zip(by_vector.rows, by_vector.scores, strict=True), 1)
        }
        found = view.records(placed)
        stems = {one for term in terms for one in term.stems}
        prefix = next((term.prefix for term in terms if term.prefix is not None), None)
        hits = []
        for rank, row in enumerate(placed, start=1):
            lexical_rank, lexical_score = words.get(row, (None, None))
            vector_rank, cosine = near.get(row, (None, None))
            why = Why(
                lexical_rank, lexical_score, vector_rank, cosine, fused[row], before[row], lifted=before[row] > rank
            )
            shown = snippet(found[row].text, stems, prefix)
            hits.append(_hit(found[row], rank, why, shown, self._layout.workspace))
        total = by_words.matched + sum(row not in words for row in by_vector.rows)
        return tuple(hits), total, self._embedder is not None


def _by_words(view: View, terms: Sequence[lexical.Term], mask: Mask) -> _Ranked:
    ranked = _best(lexical.matching(view.db, terms, "AND"), view, mask)
    if len(terms) > 1 and ranked.matched < _ENOUGH_WITH_ALL_WORDS:
        ranked = _best(lexical.matching(view.db, terms, "OR"), view, mask)
    return ranked


def _best(matches: lexical.Matches, view: View, mask: Mask) -> _Ranked:
    rows = np.array(matches.rows, dtype=np.int64)
    scores = np.array(matches.scores, dtype=np.float64)
    wanted = mask[rows]
    return _best_of_each_kind(view, rows[wanted], scores[wanted])


def _by_vector(view: View, embedder: Embedder, query: str, mask: Mask) -> _Ranked:
    vector = embedder.embed([query], kind="query")[0]
    kinds = [mask & view.is_text, mask & ~view.is_text]
    best = view.scan.best_of_each(vector, None, kinds, _POOL, above=embedder.noise_cosine)
    rows = np.concatenate([found.rows for found in best])
    cosines = np.concatenate([found.cosines for found in best]).astype(np.float64)
    return _best_of_each_kind(view, rows, cosines)


def _best_of_each_kind(view: View, rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> _Ranked:
    """The `_POOL` best text rows and the `_POOL` best visual rows in one list, so that neither crowds out the other."""
    kept = []
    text = view.is_text[rows]
    for kind in (text, ~text):
        places = np.flatnonzero(kind)
        if len(places) > _POOL:
            places = places[np.argpartition(-scores[places], _POOL)[:_POOL]]
        kept.append(places)
    places = np.concatenate(kept)
    places = places[np.lexsort((rows[places], -scores[places]))]
    return _Ranked(rows[places].tolist(), scores[places].tolist(), len(rows))


def _hit(record: FoundRecord, rank: int, why: Why, shown: Snippet, workspace: Path) -> Hit:
    meta: dict[str, Any] = orjson.loads(record.meta)
    run_folder = workspace / record.run_folder
    return Hit(
        rank=rank,
        id=record.id,
        text=record.text,
        snippet=shown,
        type=record.type,
        is_text=is_text(record.type),
        filename=record.filename,
        source_file=record.source_file,
        source_path=_inside(workspace, record.source_file),
        document_id=record.document_id,
        page=record.page,
        region_id=meta.get("region_id"),
        label=meta.get("label"),
        tags=tuple(meta.get("tags", ())),
        bbox_px=tuple(meta["bbox_px"]) if meta.get("bbox_px") is not None else None,
        page_size_px=tuple(meta["page_size_px"]) if meta.get("page_size_px") is not None else None,
        crop_path=_inside(run_folder, meta.get("crop")),
        page_image_path=_inside(run_folder, meta.get("page_image")),
        run_id=record.run_id,
        run_folder=run_folder,
        detector=meta.get("detector"),
        analyst=meta.get("analyst"),
        score=why.fused,
        why=why,
    )


def _inside(folder: Path, relative: str | None) -> Path | None:
    """A path that a record names, absolute; None when it names none or one outside the folder it belongs to."""
    if not relative or "\0" in relative:
        return None
    path = os.path.normpath(os.path.join(folder, relative))  # noqa: PTH118
    return Path(path) if path.startswith(os.path.join(folder, "")) else None  # noqa: PTH118
