"""Records of runs into the index: only what is new or changed costs anything.

A record's id names its place and content, so the same id in several runs is one record: the newest run has the last
word on it, and provenance lists them all. A run that delivers a document replaces what older runs of the same pipeline
said of that document (same document id or same source file): whatever it no longer holds is removed. A run that did not
succeed replaces only the pages it holds records for, so that one failed page does not erase an older, good one.
What people decided about regions (`index.review`) is applied to every run's records on their way in.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import orjson

from index.embed import Embedder
from index.errors import BadVector, TextsRefused
from index.interchange import Line, count_lines, read_lines
from index.inventory import relative
from index.progress import Progress, Report, silent
from index.review.corrections import Corrections, read_corrections
from index.seen import SeenIds
from index.snapshot import NewRecord, StoredRecord
from index.sources import RecordFile, Source, find_sources
from index.store import Store
from index.tags.hook import TagHook
from index.vectors import Matrix, unit
from pipeline.core.records import Record

BATCH = 500


@dataclass(frozen=True)
class Rejection:
    """A record that was not taken, and why."""

    record_id: str
    reason: str


@dataclass(frozen=True)
class IngestResult:
    """What one ingest did; added + updated + unchanged + superseded + duplicates + rejected +
    reviewed_out = read."""

    read: int
    added: int
    updated: int
    unchanged: int
    removed: int
    seconds: float
    superseded: int = 0
    """Records of an older run of a document that a newer run has already replaced."""
    duplicates: int = 0
    """Further lines with an id that the same run had already used; the first counts."""
    reviewed_out: int = 0
    """Records of regions that a person rejected (`spotter review`)."""
    embedded: int = 0
    """Texts that the embedder was asked for."""
    mirrored: int = 0
    """Records written to or deleted from Chroma."""
    rejected: tuple[Rejection, ...] = ()
    records: int = 0
    """Records in the index afterwards."""
    space: str = ""


def ingest(
    paths: Sequence[Path],
    workspace: Path,
    embedder: Embedder,
    report: Report = silent,
    tagging: TagHook | None = None,
    *,
    mirror: bool = True,
) -> IngestResult:
    """Bring the index up to date with run folders (`out/runs/<id>`), folders of them, or NDJSON files.

    A vector that a record carries is used as it is when its provider, model and length are the embedder's; any other
    text is embedded. `tagging` gives a new or changed record its tags; without it a record has those it came with.
    Without `mirror`, what is new waits to be written to Chroma (`index.mirroring`).

    Raises:
        IndexLocked: another process writes this index.
        SpaceMismatch: the index was made with another embedder.
        BadSource: a path holds no records.
        BadPatch: a review's file in the workspace is damaged; nothing was taken.
        pipeline.core.records.RecordFormatError: a line is not a record; what came before it is kept.
    """
    sources = find_sources(paths, workspace)
    with Store(workspace, embedder.space, f"ingest of {len(sources)} run(s)") as store:
        return ingest_into(store, sources, embedder, report, tagging, mirror=mirror)


def ingest_into(
    store: Store,
    sources: Sequence[Source],
    embedder: Embedder,
    report: Report = silent,
    tagging: TagHook | None = None,
    *,
    mirror: bool = True,
) -> IngestResult:
    """Bring an open store, of whichever generation, up to date with these sources; as `ingest`."""
    started = time.monotonic()
    corrections = read_corrections(store.layout.workspace)
    total = sum(count_lines(file.path) for source in sources for file in source.files)
    store.note_sources(sources)
    counts = _Counts()
    for source in sources:
        _RunIngest(store, embedder, source, corrections, counts, total, report, tagging).ingest()
    store.note_sources()
    report(Progress("snapshot", f"Read {counts.read} records", counts.read, total, "records"))
    mirrored = store.mirror(report) if mirror else 0
    return IngestResult(
        read=counts.read,
        added=counts.added,
        updated=counts.updated,
        unchanged=counts.unchanged,
        removed=counts.removed,
        seconds=time.monotonic() - started,
        superseded=counts.superseded,
        duplicates=counts.duplicates,
        reviewed_out=counts.reviewed_out,
        embedded=counts.embedded,
        mirrored=mirrored,
        rejected=tuple(counts.rejected),
        records=store.snapshot.count,
        space=embedder.space.id,
    )


@dataclass
class _Counts:
    read: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    superseded: int = 0
    duplicates: int = 0
    reviewed_out: int = 0
    embedded: int = 0
    rejected: list[Rejection] = field(default_factory=list)


@dataclass
class _Coverage:
    """What one run says of one producer's documents."""

    whole: bool
    """Whether its documents are covered with all their pages, so that the pages need not be remembered."""
    seen: SeenIds = field(default_factory=SeenIds)
    documents: set[str] = field(default_factory=set)
    pages: set[tuple[str, int | None]] = field(default_factory=set)

    def add(self, names: Sequence[str], page: int | None) -> None:
        """A record of a document, known by these names, and of a page of it."""
        self.documents.update(names)
        if not self.whole:
            self.pages.update((name, page) for name in names)

    def covers(self, name: str, page: int | None) -> bool:
        """Whether it has the last word on this page of a document."""
        return self.whole or (name, page) in self.pages


class _RunIngest:
    """One run's records on their way into the store."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        source: Source,
        corrections: Corrections,
        counts: _Counts,
        total: int,
        report: Report,
        tagging: TagHook | None,
    ) -> None:
        self._store = store
        self._tagging = tagging
        self._snapshot = store.snapshot
        self._embedder = embedder
        self._source = source
        self._counts = counts
        self._total = total
        self._report = report
        self._corrections = corrections
        self._replaced_documents: dict[tuple[str, str], bool] = {}
        with self._snapshot.transaction(visible=False):
            self._run_key = self._snapshot.run_key(
                source.run_id, relative(source.folder, store.layout.workspace), source.created_ms
            )
        self._orders = self._snapshot.run_orders()

    def ingest(self) -> None:
        for file in self._source.files:
            coverage = _Coverage(self._source.whole)
            for batch in _batches(read_lines(file.path)):
                self._take(file, batch, coverage)
                self._report(Progress("snapshot", self._source.run_id, self._counts.read, self._total, "records"))
            self._remove_vanished(file.producer, coverage)

    def _take(self, file: RecordFile, batch: Sequence[Line], coverage: _Coverage) -> None:
        self._counts.read += len(batch)
        fresh: list[Line] = []
        for line in batch:
            record = line.record
            if not record.id or not record.text.strip():
                self._counts.rejected.append(
                    Rejection(record.id, "it has no text to search" if record.id else "it has no id")
                )
            elif record.id in coverage.seen:
                self._counts.duplicates += 1
            elif (reviewed := self._corrections.corrected(line)) is None:
                self._leave_out(file, line, coverage)
            else:
                coverage.seen.add(record.id)
                fresh.append(reviewed)
        known = self._snapshot.known([line.record.id for line in fresh])
        writes: list[tuple[NewRecord, Line, StoredRecord | None]] = []
        again: list[str] = []
        again_newest: list[str] = []
        for line in fresh:
            record = line.record
            names = document_names(record)
            old = known.get(record.id)
            outdated = old is not None and self._is_newer(old.run_key)
            if old is not None and old.hash == line.digest:
                self._counts.unchanged += 1
                if old.run_key != self._run_key:
                    (again if outdated else again_newest).append(record.id)
            elif outdated or any(self._replaced(file.producer, name) for name in names):
                self._counts.superseded += 1
                continue
            else:
                writes.append((self._new_record(file, line), line, old))
            coverage.add(names, record.meta.page)
        self._write(writes)
        if again or again_newest:
            with self._snapshot.transaction():
                self._snapshot.seen_again(again, self._run_key, newest=False)
                self._snapshot.seen_again(again_newest, self._run_key, newest=True)

    def _leave_out(self, file: RecordFile, line: Line, coverage: _Coverage) -> None:
        """Let what a person rejected vanish as if this run no longer held it: its page counts as covered."""
        self._counts.reviewed_out += 1
        names = document_names(line.record)
        if not any(self._replaced(file.producer, name) for name in names):
            coverage.add(names, line.record.meta.page)

    def _write(self, writes: Sequence[tuple[NewRecord, Line, StoredRecord | None]]) -> None:
        dim = self._embedder.space.dim
        ready: list[tuple[NewRecord, StoredRecord | None]] = []
        found: dict[int, Matrix] = {}
        wanting: dict[str, list[int]] = {}
        for new, line, old in writes:
            record = new
            if new.carried and line.vector is not None:
                try:
                    vector = unit(line.vector, dim, f"record {new.id}")
                except BadVector as error:
                    self._counts.rejected.append(Rejection(new.id, str(error)))
                    continue
                found[len(ready)] = vector
                if not np.array_equal(vector, line.vector):
                    record = replace(new, original_vector=line.vector.astype("<f4").tobytes())
            elif old is not None and old.text == new.text and not old.carried:
                found[len(ready)] = self._store.stored_vectors([old.row])[0]
            else:
                wanting.setdefault(new.text, []).append(len(ready))
            ready.append((record, old))
        if wanting:
            found |= self._embedded(wanting, ready)
        taken = sorted(found)
        if not taken:
            return
        ready = [ready[at] for at in taken]
        replaced = [old.row for _, old in ready if old is not None]
        self._store.put([new for new, _ in ready], np.stack([found[at] for at in taken]), replaced)
        self._counts.updated += len(replaced)
        self._counts.added += len(ready) - len(replaced)

    def _embedded(
        self, wanting: dict[str, list[int]], ready: Sequence[tuple[NewRecord, StoredRecord | None]]
    ) -> dict[int, Matrix]:
        """Vectors of texts by their places in `ready`; a text that the server does not take costs its records only."""
        try:
            embedded = self._embedder.embed(list(wanting), kind="doc")
        except TextsRefused as refusal:
            texts = list(wanting)
            for at, reason in sorted(refusal.reasons.items()):
                for place in wanting[texts[at]]:
                    self._counts.rejected.append(Rejection(ready[place][0].id, reason))
            left = {text: places for at, (text, places) in enumerate(wanting.items()) if at not in refusal.reasons}
            return self._embedded(left, ready) if left else {}
        self._counts.embedded += len(wanting)
        dim = self._embedder.space.dim
        found: dict[int, Matrix] = {}
        for places, vector in zip(wanting.values(), embedded, strict=True):
            found |= dict.fromkeys(places, unit(vector, dim, f"record {ready[places[0]][0].id}"))
        return found

    def _new_record(self, file: RecordFile, line: Line) -> NewRecord:
        record, meta = line.record, line.record.meta
        space = self._embedder.space
        return NewRecord(
            row=-1,
            id=record.id,
            hash=line.digest,
            text=record.text,
            type=meta.type,
            producer=file.producer,
            filename=meta.filename,
            source_file=meta.source_file,
            document_id=meta.document_id,
            page=meta.page,
            carried=(
                line.vector is not None
                and (record.provider, record.model) == (space.provider, space.model)
                and len(line.vector) == space.dim
            ),
            run_key=self._run_key,
            meta=orjson.dumps(line.meta),
            region_id=meta.region_id,
            tag_rows=None if self._tagging is None else self._tagging(record, self._source.folder),
        )

    def _is_newer(self, run_key: int) -> bool:
        return self._orders[run_key] > self._orders[self._run_key]

    def _replaced(self, producer: str, name: str) -> bool:
        """Whether a newer run has already replaced this document as a whole."""
        key = (producer, name)
        if key not in self._replaced_documents:
            newest = self._snapshot.document_run(producer, name)
            self._replaced_documents[key] = newest is not None and newest[1] and self._is_newer(newest[0])
        return self._replaced_documents[key]

    def _remove_vanished(self, producer: str, coverage: _Coverage) -> None:
        """Remove what older runs, or an older state of this one, said of the documents that this run covers."""
        vanished: dict[int, str] = {}
        for name in sorted(coverage.documents):
            for row, record_id, page, run_key in self._snapshot.of_document(producer, name):
                covered = coverage.covers(name, page)
                if record_id not in coverage.seen and covered and not self._is_newer(run_key):
                    vanished[row] = record_id
        if self._source.whole:
            for row, record_id in self._snapshot.of_run(producer, self._run_key):
                if record_id not in coverage.seen:
                    vanished[row] = record_id
        if vanished:
            with self._snapshot.transaction():
                self._snapshot.remove(sorted(vanished.items()))
            self._counts.removed += len(vanished)
        self._note_documents(producer, coverage.documents)

    def _note_documents(self, producer: str, names: set[str]) -> None:
        stale = []
        for name in sorted(names):
            newest = self._snapshot.document_run(producer, name)
            if newest is None or (newest != (self._run_key, self._source.whole) and not self._is_newer(newest[0])):
                stale.append(name)
        if stale:
            with self._snapshot.transaction(visible=False):
                for name in stale:
                    self._snapshot.note_document(producer, name, self._run_key, whole=self._source.whole)


def document_names(record: Record) -> tuple[str, ...]:
    """What a record's document is known by: its document id and its source file, or only a file name, or nothing."""
    meta = record.meta
    names = [f"id:{meta.document_id}"] if meta.document_id else []
    if meta.source_file:
        names.append(f"source:{meta.source_file}")
    if not names and meta.filename:
        names.append(f"file:{meta.filename}")
    return tuple(names)


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, BATCH)):
        yield batch
