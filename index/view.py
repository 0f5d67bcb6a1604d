"""The reader's side of a snapshot: one database connection, the mapped vectors, and what is known of every row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from index import columns, postings, quantised, vectors
from index.boosts import Boosts, weights_of
from index.columns import Columns
from index.layout import Current
from index.postings import Postings
from index.quantised import Quantised
from index.rank import is_text
from index.scan import Scan
from index.snapshot import connect, read_meta

Mask = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float32]
Filter = tuple[frozenset[str], frozenset[str], frozenset[int], frozenset[str], frozenset[str]]

_MASKS_KEPT = 32
"""A query is asked again with every letter typed, its filters unchanged."""


@dataclass(frozen=True)
class FoundRecord:
    """What the database holds of one record."""

    row: int
    id: str
    text: str
    type: str
    filename: str | None
    source_file: str | None
    document_id: str | None
    page: int | None
    meta: bytes
    run_id: str
    run_folder: str


class View:
    """A snapshot as of one revision; `refresh` brings it to the newest.

    Its arrays are never changed, only replaced: what was taken of one revision stays right for that revision.
    """

    def __init__(self, current: Current) -> None:
        """Open a snapshot read-only. Raises IndexCorrupt."""
        self.space = current.space
        self.folder = current.folder
        self.db = connect(current.folder, writable=False)
        self.revision = -1
        self.matrix: vectors.Matrix = np.empty((0, self.space.dim), dtype=np.float32)
        self.quantised: Quantised | None = None
        self._postings: Postings | None = None
        try:
            with read_only(self.db):
                self._take(columns.opened(self.folder, self.db))
        except BaseException:
            self.db.close()
            raise

    def close(self) -> None:
        """Let go of the database; the mapping goes with its last user."""
        self.db.close()

    def refresh(self) -> None:
        """See what was committed since; costs microseconds when nothing was. Call it inside a read transaction."""
        if int(read_meta(self.db, "revision")) == self.revision:
            return
        if read_meta(self.db, "identity") == self.columns.identity:
            self._take(columns.caught_up(self.columns, self.db))
        else:
            self._postings = None
            self._take(columns.opened(self.folder, self.db))

    def _take(self, now: Columns) -> None:
        self.columns = now
        self.alive = now.alive
        self.count = int(np.count_nonzero(now.alive))
        text_types = np.array([is_text(name) for name in now.type_names] or [True])
        self.is_text: Mask = text_types[now.type_codes]
        self.type_codes, self.type_names = now.type_codes, now.type_names
        self.document_codes, self.documents = now.document_codes, now.documents
        self.pages, self.page_groups, self.region_groups = now.pages, now.page_groups, now.region_groups
        self.tag_offsets, self.tag_codes, self.tag_names = now.tag_offsets, now.tag_codes, now.tag_names
        self.matrix = vectors.mapped(self.folder / vectors.FILE_NAME, len(now.alive), self.space.dim)
        self.quantised = quantised.opened(self.folder, self.matrix)
        self.scan = Scan(self)
        self.revision = now.revision
        self._masks: dict[Filter, Mask] = {}
        self._weights: tuple[Boosts, Weights] | None = None
        self._run_keys: npt.NDArray[np.int32] | None = None
        if self._postings is not None:
            self._postings = postings.caught_up(self._postings.parts, self.db, self.alive)

    def open_postings(self) -> Postings:
        """Which rows hold which words, opened when first asked for. Call it inside a read transaction."""
        if self._postings is None:
            self._postings = postings.opened(self.folder, self.db, self.columns.identity, self.alive)
        return self._postings

    @property
    def run_keys(self) -> npt.NDArray[np.int32]:
        """Key of the run that delivered each row's record last, (rows,); 0: no record. Read when first asked for."""
        if self._run_keys is None:
            self._run_keys = columns.run_keys(self.db, len(self.alive))
        return self._run_keys

    def run_ids(self) -> dict[int, str]:
        """Run ids by key."""
        return dict(self.db.execute("SELECT run_key, run_id FROM run"))

    def tags_of(self, row: int) -> list[str]:
        """The tags of a row, those of all sources, sorted."""
        return sorted(
            self.tag_names[code] for code in self.tag_codes[self.tag_offsets[row] : self.tag_offsets[row + 1]]
        )

    def weights(self, boosts: Boosts) -> Weights:
        """The weight of every row; kept for the boosts that were asked for last."""
        if self._weights is None or self._weights[0] != boosts:
            self._weights = (boosts, weights_of(self, boosts))
        return self._weights[1]

    def mask(
        self,
        types: Iterable[str] = (),
        documents: Iterable[str] = (),
        pages: Iterable[int] = (),
        tags: Iterable[str] = (),
        runs: Iterable[str] = (),
    ) -> Mask:
        """Which rows are alive and pass every filter that names something; a filter lists alternatives.

        Args:
            types: names of types.
            documents: document ids, source files or file names.
            pages: page numbers.
            tags: tags as they are written; one that ends in `*` stands for all that begin so.
            runs: run ids.
        """
        wanted = (frozenset(types), frozenset(documents), frozenset(pages), frozenset(tags), frozenset(runs))
        if not any(wanted):
            return self.alive
        if wanted not in self._masks:
            if len(self._masks) >= _MASKS_KEPT:
                self._masks.clear()
            self._masks[wanted] = self._made_mask(*wanted)
        return self._masks[wanted]

    def _made_mask(
        self,
        types: frozenset[str],
        documents: frozenset[str],
        pages: frozenset[int],
        tags: frozenset[str],
        runs: frozenset[str],
    ) -> Mask:
        mask = self.alive.copy()
        if types:
            mask &= _any_of([name in types for name in self.type_names], self.type_codes)
        if documents:
            mask &= _any_of([not documents.isdisjoint(place) for place in self.documents], self.document_codes)
        if pages:
            mask &= np.isin(self.pages, list(pages))
        if tags:
            mask &= self._tagged(tags)
        if runs:
            keys = [key for key, run_id in self.run_ids().items() if run_id in runs]
            mask &= np.isin(self.run_keys, keys)
        return mask

    def _tagged(self, tags: frozenset[str]) -> Mask:
        beginnings = tuple(tag[:-1] for tag in tags if tag.endswith("*"))
        wanted = [name in tags or name.startswith(beginnings) for name in self.tag_names]
        hits = np.concatenate([[0], np.cumsum(_any_of(wanted, self.tag_codes))])
        return np.asarray(hits[self.tag_offsets[1:]] > hits[self.tag_offsets[:-1]])

    def records(self, rows: Sequence[int]) -> dict[int, FoundRecord]:
        """The records at these rows."""
        marks = ",".join("?" * len(rows))
        found = self.db.execute(
            "SELECT row, id, text, type, filename, source_file, document_id, page, meta, run_id, folder "  # noqa: S608
            f"FROM record JOIN run USING (run_key) WHERE row IN ({marks})",
            list(rows),
        )
        return {record[0]: FoundRecord(*record) for record in found}


def _any_of(wanted: list[bool], codes: npt.NDArray[np.integer[Any]]) -> Mask:
    return np.asarray(np.array(wanted or [False])[codes])


def read_only(db: sqlite3.Connection) -> _ReadTransaction:
    """A context in which all reads of `db` see one state."""
    return _ReadTransaction(db)


class _ReadTransaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._db.execute("COMMIT")
