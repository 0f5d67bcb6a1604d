"""All records of one generation into another: with their runs, tags and documents, and their vectors where they fit."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from index import vectors
from index.embed import Embedder
from index.ingest import BATCH
from index.layout import Current
from index.progress import Progress, Report
from index.reuse import ChromaStock, free_and_exact, sound
from index.snapshot import NewRecord, connect, read_meta
from index.store import Store
from index.vectors import Matrix, unit


@dataclass(frozen=True)
class Copied:
    """What one copy did."""

    records: int
    embedded: int
    reused: int
    rescued: int = 0
    """Vectors that came from Chroma."""
    replaced: int = 0
    """Of the embedded: vectors that had come with their record, and can't be had again in their own bits."""


@dataclass(frozen=True)
class _Old:
    row: int
    record: NewRecord


def copy_into(
    store: Store, old: Current, embedder: Embedder, report: Report, rescue: ChromaStock | None = None
) -> Copied:
    """Write every record of `old` to an empty store.

    A vector is taken over when the spaces are equal and its checksum (or length) says that it is sound; another one
    is embedded, or comes from `rescue` where embedding costs or can't give the same bits. A vector that came with its
    record is given up when the space is another: the text is embedded like any other, and the vector stays in `old`.

    Raises:
        IndexCorrupt, sqlite3.DatabaseError: the old generation can't be read.
    """
    db = connect(old.folder, writable=False)
    try:
        rows = int(read_meta(db, "vector_rows"))
        same = old.space == store.space
        matrix = vectors.available(old.folder / vectors.FILE_NAME, rows, old.space.dim) if same else None
        total = int(db.execute("SELECT count(*) FROM record").fetchone()[0])
        keys = _copy_runs(db, store)
        done = embedded = rescued = replaced = 0
        for batch in _batches(db, keys, carried=same):
            found: dict[int, Matrix] = {}
            if matrix is not None:
                for at, one in enumerate(batch):
                    if one.row < len(matrix) and sound(matrix[one.row], one.record.vector_crc):
                        found[at] = matrix[one.row]
            missing = [at for at in range(len(batch)) if at not in found]
            if missing and rescue is not None:
                wanted = [at for at in missing if batch[at].record.carried or not free_and_exact(embedder)]
                lacking = [batch[at].record for at in wanted]
                there = rescue.of_records([one.id for one in lacking], [one.hash for one in lacking])
                found |= {wanted[place]: vector for place, vector in there.items()}
                rescued += len(there)
                missing = [at for at in missing if at not in found]
            records = [one.record for one in batch]
            if missing:
                made = embedder.embed([records[at].text for at in missing], kind="doc")
                embedded += len(missing)
                for at, vector in zip(missing, made, strict=True):
                    found[at] = unit(vector, store.space.dim, f"record {records[at].id}")
                    if records[at].carried:
                        replaced += 1
                        records[at] = replace(records[at], carried=False, original_vector=None)
            store.put(records, np.stack([found[at] for at in range(len(batch))]), ())
            _copy_provenance(db, store, keys, [one.id for one in records])
            done += len(batch)
            report(Progress("snapshot", "Copying records", done, total, "records"))
        _copy_documents(db, store, keys)
        return Copied(done, embedded, done - embedded - rescued, rescued, replaced)
    finally:
        db.close()


def copy_tags(old: Current, store: Store, but_of: Container[str]) -> None:
    """Give records that are unchanged since `old` the tags they have there, but for those of these sources."""
    db = connect(old.folder, writable=False)
    try:
        known = {
            record_id: (int(row), digest)
            for row, record_id, digest in store.snapshot.db.execute("SELECT row, id, hash FROM record")
        }
        claims = db.execute("SELECT id, hash, tag, source, score FROM record_tag JOIN record USING (row)")
        kept = [
            (known[record_id][0], tag, source, score)
            for record_id, digest, tag, source, score in claims
            if source not in but_of and record_id in known and known[record_id][1] == digest
        ]
        with store.snapshot.transaction():
            store.snapshot.db.executemany("INSERT OR IGNORE INTO record_tag VALUES (?, ?, ?, ?)", kept)
    finally:
        db.close()


def _copy_runs(db: sqlite3.Connection, store: Store) -> dict[int, int]:
    """Old run key to new."""
    with store.snapshot.transaction(visible=False):
        return {
            key: store.snapshot.run_key(run_id, folder, created_ms)
            for key, run_id, folder, created_ms in db.execute("SELECT run_key, run_id, folder, created_ms FROM run")
        }


def _batches(db: sqlite3.Connection, keys: dict[int, int], *, carried: bool) -> Iterator[list[_Old]]:
    """The old records in the order of their rows; `carried`: whether vectors that came with records stay theirs."""
    last = -1
    while True:
        found = db.execute(
            "SELECT row, id, hash, text, type, producer, filename, source_file, document_id, page, carried, run_key, "
            "meta, region_id, vector_crc, (SELECT vector FROM original_vector o WHERE o.row = record.row) "
            "FROM record WHERE row > ? ORDER BY row LIMIT ?",
            (last, BATCH),
        ).fetchall()
        if not found:
            return
        last = found[-1][0]
        tags: dict[int, list[tuple[str, str, float]]] = {}
        for row, tag, source, score in db.execute(
            "SELECT row, tag, source, score FROM record_tag WHERE row BETWEEN ? AND ?", (found[0][0], last)
        ):
            tags.setdefault(row, []).append((tag, source, score))
        yield [
            _Old(
                r[0],
                NewRecord(
                    row=-1, id=r[1], hash=r[2], text=r[3], type=r[4], producer=r[5], filename=r[6], source_file=r[7],
                    document_id=r[8], page=r[9], carried=bool(r[10]) and carried, run_key=keys[r[11]], meta=r[12],
                    region_id=r[13], vector_crc=r[14], original_vector=r[15] if carried else None,
                    tag_rows=tuple(tags.get(r[0], ())),
                ),
            )
            for r in found
        ]  # fmt: skip


def _copy_provenance(db: sqlite3.Connection, store: Store, keys: dict[int, int], ids: Sequence[str]) -> None:
    marks = ",".join("?" * len(ids))
    found = db.execute(
        f"SELECT record_id, run_key FROM provenance WHERE record_id IN ({marks})",  # noqa: S608
        list(ids),
    )
    with store.snapshot.transaction(visible=False):
        store.snapshot.db.executemany("REPLACE INTO provenance VALUES (?, ?)", [(i, keys[key]) for i, key in found])


def _copy_documents(db: sqlite3.Connection, store: Store, keys: dict[int, int]) -> None:
    found = db.execute("SELECT producer, name, run_key, whole FROM document").fetchall()
    with store.snapshot.transaction(visible=False):
        for producer, name, key, whole in found:
            store.snapshot.note_document(producer, name, keys[key], whole=bool(whole))
