"""A broken snapshot made again as the next generation, from everything that still holds its records.

In this order: the run folders and files that it was made from; what can still be read of the broken database, row by
row, each vouched for by the checksum of its vector; and Chroma, whose texts and vectors are as good and whose metadata
are as Chroma keeps them (flat). Vectors are embedded again where that is free; else they come from Chroma, the
embedding cache or the embedder, in this order. Nothing is taken into use when records would be lost, unless it is said
that this is accepted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from index import vectors
from index.chroma import ChromaBroken, ChromaRecord, Mirror
from index.chroma_place import chroma_place
from index.chroma_probe import crash_of
from index.copying import copy_into
from index.errors import BadSource, IndexCorrupt, WouldLose
from index.generations import begin, clear_unfinished, note_state, remove, take_into_use
from index.ingest import BATCH, ingest_into
from index.inventory import note, read_inventory
from index.layout import DATABASE, Current, Layout
from index.lock import WriterLock
from index.progress import Report
from index.reuse import ChromaStock, Reusing, embedder_or_stock, free_and_exact, sound
from index.snapshot import NewRecord, connect, read_meta
from index.sources import Source, find_sources
from index.store import Store
from index.tags.hook import workspace_hook
from pipeline.core.records import RecordFormatError

RESTORED = "restored"
"""Producer and run of records that no run or file holds any more."""
_ADDED_BY_THE_MIRROR = ("content_hash", "provider", "model")


@dataclass(frozen=True)
class Repaired:
    """What one repair of a snapshot did."""

    generation: str
    records: int
    from_sources: int
    """Records read again from runs and files."""
    from_database: int
    """Records that the broken database still gave."""
    from_chroma: int
    """Records of which only Chroma knew; their metadata are as flat as Chroma keeps them."""
    vectors_from_chroma: int
    embedded: int
    replaced: int
    """Vectors that had come with their record and were embedded anew."""
    lost: int

    def __str__(self) -> str:
        came = [
            f"{count} {what}"
            for count, what in (
                (self.from_sources, "from runs and files"),
                (self.from_database, "from the broken database"),
                (self.from_chroma, "from Chroma (text and vector; metadata as Chroma keeps them)"),
            )
            if count
        ]
        made = f"{self.vectors_from_chroma} vectors from Chroma, {self.embedded} embedded"
        worse = f"; {self.replaced} vectors that came with their records were embedded anew" if self.replaced else ""
        gone = f"; {self.lost} records are lost" if self.lost else ""
        return f"{self.generation}: {self.records} records ({', '.join(came)}; {made}){worse}{gone}"


def repair_vectors(layout: Layout, broken: Current, report: Report) -> Repaired:
    """Copy a generation whose database is sound and whose vector file is not; bad vectors come from Chroma or anew."""
    with WriterLock(layout.lock, "a repair of the index's vectors") as lock, ExitStack() as closing:
        clear_unfinished(layout)
        stock = _chroma(layout, broken, closing)
        candidate = begin(layout, broken.space, "a repair")
        try:
            with Store(layout.workspace, broken.space, "", generation=candidate, lock=lock) as store:
                done = copy_into(store, broken, embedder_or_stock(broken.space, layout.workspace), report, stock)
                store.mirror(report)
        except BaseException:
            remove(candidate)
            raise
        _switch(layout, broken, candidate, "its vector file was damaged")
        return Repaired(
            candidate.name, done.records, 0, done.records, 0, done.rescued, done.embedded, done.replaced, lost=0
        )


def repair_snapshot(layout: Layout, broken: Current, report: Report, *, accept_loss: bool) -> Repaired:
    """Make a snapshot again whose database can't be read.

    Raises:
        WouldLose: records can't be brought back and `accept_loss` was not said; the broken generation stays in use.
        EmbedderUnavailable: texts have to be embedded, and nobody can.
    """
    with WriterLock(layout.lock, "a repair of the index") as lock, ExitStack() as closing:
        clear_unfinished(layout)
        stock = _chroma(layout, broken, closing)
        sources, gone_records, gone = _sources(layout)
        candidate = begin(layout, broken.space, "a repair")
        try:
            with Store(layout.workspace, broken.space, "", generation=candidate, lock=lock) as store:
                maker = embedder_or_stock(broken.space, layout.workspace)
                embedder = Reusing(maker, [] if stock is None or free_and_exact(maker) else [stock])
                hook = workspace_hook(layout.workspace)
                read = ingest_into(store, sources, embedder, report, hook, mirror=False).records if sources else 0
                known = {record_id for (record_id,) in store.snapshot.db.execute("SELECT id FROM record")}
                salvaged, seen = _salvage(broken, store, known)
                from_chroma = 0 if stock is None else _restore(stock, store, known)
                lost = max(len((seen | set(stock.hashes if stock else ())) - known),
                           gone_records - salvaged - from_chroma, 0)  # fmt: skip
                if (lost or not store.snapshot.count) and not accept_loss:
                    raise WouldLose(_what_is_lost(lost, gone, store.snapshot.count))
                store.mirror(report)
                records = store.snapshot.count
        except BaseException:
            remove(candidate)
            raise
        _switch(layout, broken, candidate, "its database was damaged")
        return Repaired(
            candidate.name, records, read, salvaged, from_chroma, embedder.reused + from_chroma, embedder.embedded, 0,
            lost,
        )  # fmt: skip


def _what_is_lost(lost: int, gone: list[str], left: int) -> str:
    where = f" They came from {', '.join(gone[:5])}, which is not there any more." if gone else ""
    return (
        f"{lost or 'All'} records can't be brought back from runs, files or Chroma, so nothing was changed "
        f"({left} can).{where} Put those files back, or accept the loss: spotter index doctor --repair --accept-loss"
    )


def _switch(layout: Layout, broken: Current, candidate: Current, why: str) -> None:
    take_into_use(layout, candidate, f"made again from {broken.name}: {why}")
    note_state(broken, "broken", why)
    db = connect(candidate.folder, writable=False)
    try:
        note(layout, db)
    finally:
        db.close()


def _chroma(layout: Layout, broken: Current, closing: ExitStack) -> ChromaStock | None:
    """What Chroma holds of the broken generation; None when that can't be read either."""
    place = chroma_place(layout, broken)
    if not place.begun or crash_of(place):
        return None
    try:
        return ChromaStock(closing.enter_context(Mirror(place)))
    except ChromaBroken:
        return None


def _sources(layout: Layout) -> tuple[list[Source], int, list[str]]:
    """Sources that can be read again, how many records those delivered that can't, and these sources' names.

    Without a note of what the index was made from, that is every run of the workspace.
    """
    inventory = read_inventory(layout)
    if not inventory.sources:
        try:
            return find_sources([layout.workspace / "out" / "runs"], layout.workspace), 0, []
        except BadSource:
            return [], 0, []
    found: list[Source] = []
    missing = []
    for source in inventory.sources:
        path = source.path(layout.workspace)
        try:
            found += [] if path is None else find_sources([path], layout.workspace)
        except (BadSource, RecordFormatError):
            path = None
        if path is None and source.records:
            missing.append(source)
    ordered = sorted(found, key=lambda source: (source.created_ms, source.run_id))
    return ordered, sum(source.records for source in missing), [source.run_id for source in missing]


def _salvage(broken: Current, store: Store, known: set[str]) -> tuple[int, set[str]]:
    """Records that the broken database still gives and `known` lacks, and all ids that it gives; `known` grows."""
    count = 0
    seen: set[str] = set()
    try:
        db = connect(broken.folder, writable=False)
    except IndexCorrupt:
        return 0, seen
    try:
        rows = int(read_meta(db, "vector_rows"))
        matrix = vectors.available(broken.folder / vectors.FILE_NAME, rows, broken.space.dim)
        with store.snapshot.transaction(visible=False):
            key = store.snapshot.run_key(RESTORED, f"{broken.name}/{DATABASE}", 0)
        batch: list[NewRecord] = []
        kept: list[vectors.Matrix] = []
        for row, record in _rows(db, rows, key):
            seen.add(record.id)
            if record.id in known or row >= len(matrix) or not sound(matrix[row], record.vector_crc):
                continue
            known.add(record.id)
            batch.append(record)
            kept.append(matrix[row])
            if len(batch) == BATCH:
                store.put(batch, np.stack(kept), ())
                count += len(batch)
                batch, kept = [], []
        if batch:
            store.put(batch, np.stack(kept), ())
        return count + len(batch), seen
    except (sqlite3.DatabaseError, TypeError):
        return count, seen
    finally:
        db.close()


def _rows(db: sqlite3.Connection, rows: int, run_key: int) -> Iterator[tuple[int, NewRecord]]:
    """Every record that can be read, one by one, so that a torn page costs only what stood on it."""
    for row in range(rows):
        try:
            r = db.execute(
                "SELECT id, hash, text, type, producer, filename, source_file, document_id, page, carried, meta, "
                "region_id, vector_crc FROM record WHERE row = ?",
                (row,),
            ).fetchone()
            if r is None:
                continue
            orjson.loads(r[10])
            given = db.execute("SELECT vector FROM original_vector WHERE row = ?", (row,)).fetchone()
            tags = db.execute("SELECT tag, source, score FROM record_tag WHERE row = ?", (row,)).fetchall()
        except (sqlite3.DatabaseError, ValueError):
            continue
        yield row, NewRecord(
            row=-1, id=r[0], hash=r[1], text=r[2], type=r[3], producer=r[4], filename=r[5], source_file=r[6],
            document_id=r[7], page=r[8], carried=bool(r[9]), run_key=run_key, meta=r[10], region_id=r[11],
            vector_crc=r[12], original_vector=None if given is None else given[0], tag_rows=tuple(tags),
        )  # fmt: skip


def _restore(stock: ChromaStock, store: Store, known: set[str]) -> int:
    """Records of which only Chroma knows; `known` grows."""
    with store.snapshot.transaction(visible=False):
        key = store.snapshot.run_key(RESTORED, "Chroma", 0)
    count = 0
    missing = [record_id for record_id in stock.hashes if record_id not in known]
    for first in range(0, len(missing), BATCH):
        ids = missing[first : first + BATCH]
        found = stock.of_records(ids, [stock.hashes[one] for one in ids])
        told = stock.records(ids)
        ready = [(_from_chroma(told[ids[at]], key), vector) for at, vector in found.items() if told[ids[at]].text]
        if ready:
            store.put([record for record, _ in ready], np.stack([vector for _, vector in ready]), ())
            known.update(record.id for record, _ in ready)
            count += len(ready)
    return count


def _from_chroma(found: ChromaRecord, run_key: int) -> NewRecord:
    meta: dict[str, Any] = {
        key.removeprefix("x_") if key.startswith("x_#") else key: value
        for key, value in found.metadata.items()
        if key not in _ADDED_BY_THE_MIRROR
    }
    return NewRecord(
        row=-1,
        id=found.id,
        hash=str(found.metadata.get("content_hash", "")),
        text=found.text,
        type=str(meta.setdefault("type", "NarrativeText")),
        producer=RESTORED,
        filename=meta.get("filename"),
        source_file=meta.get("source_file"),
        document_id=meta.get("document_id"),
        page=meta.get("page"),
        carried=True,
        run_key=run_key,
        meta=orjson.dumps(meta),
        region_id=meta.get("region_id"),
    )
