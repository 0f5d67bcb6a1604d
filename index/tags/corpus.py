"""What an index holds, read for tags: its records with the tags that they have, in the order of their rows."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from index.errors import IndexEmpty
from index.layout import Layout
from index.snapshot import connect
from index.tags.errors import UnknownRecord
from index.tags.hook import TAG_SOURCE_CATALOG, TagRow
from index.tags.lint import Tagged
from index.view import read_only
from pipeline.core.records import Record, RecordMeta

OWN_SOURCES = ("record", TAG_SOURCE_CATALOG)
"""Sources that tagging by the catalog writes; what others say (a review) it leaves alone."""


@dataclass(frozen=True)
class IndexedRecord:
    """One record of the index."""

    record: Record
    folder: Path
    """Its run's folder, whether it is still there or not."""
    document: str
    """What its document is known by: source file, document id or file name."""
    rows: frozenset[TagRow]
    """Its tags as they are stored: tag, source, score."""

    @property
    def tags(self) -> frozenset[str]:
        """Its tags of all sources."""
        return frozenset(tag for tag, _, _ in self.rows)


@contextmanager
def opened(workspace: Path) -> Iterator[sqlite3.Connection]:
    """The database of the index in use, for reading one state of it. Raises IndexEmpty, IndexCorrupt."""
    current = Layout(workspace.absolute()).current()
    if current is None:
        raise IndexEmpty(workspace)
    db = connect(current.folder, writable=False)
    try:
        with read_only(db):
            yield db
    finally:
        db.close()


def read_corpus(db: sqlite3.Connection, workspace: Path, record_id: str | None = None) -> Iterator[IndexedRecord]:
    """Stream every record, or the one of this id."""
    tags = _tag_rows(db)
    pending = next(tags, None)
    for row, found_id, text, meta, folder in db.execute(
        "SELECT record.row, id, text, meta, folder FROM record JOIN run USING (run_key) "
        "WHERE ? IS NULL OR id = ? ORDER BY record.row",
        (record_id, record_id),
    ):
        found: list[TagRow] = []
        while pending is not None and pending[0] <= row:
            if pending[0] == row:
                found.append(pending[1])
            pending = next(tags, None)
        about = RecordMeta.model_validate(orjson.loads(meta))
        yield IndexedRecord(
            Record(id=found_id, text=text, meta=about),
            workspace / str(folder),
            about.source_file or about.document_id or about.filename or "",
            frozenset(found),
        )


def tagged(db: sqlite3.Connection) -> Tagged:
    """How many records have which tag."""
    (records,) = db.execute("SELECT count(*) FROM record").fetchone()
    by_tag = db.execute("SELECT tag, count(DISTINCT row) FROM record_tag GROUP BY tag ORDER BY tag")
    return Tagged(int(records), dict(by_tag))


def frequencies(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts, most frequent first, equals by name."""
    return dict(sorted(Counter(counts).items(), key=lambda pair: (-pair[1], pair[0])))


def _tag_rows(db: sqlite3.Connection) -> Iterator[tuple[int, TagRow]]:
    for row, tag, source, score in db.execute("SELECT row, tag, source, score FROM record_tag ORDER BY row"):
        yield row, (tag, source, score)


def find_record(workspace: Path, record_id: str) -> IndexedRecord:
    """One record of the index.

    Raises:
        IndexEmpty: there is no index.
        UnknownRecord: it has no record of this id.
    """
    with opened(workspace) as db:
        for one in read_corpus(db, workspace, record_id):
            return one
    raise UnknownRecord(f"The index has no record {record_id!r}; `spotter search … --json` gives ids.")
