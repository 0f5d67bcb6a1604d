"""The writer: one lock, two sides, one order of writes.

Each batch goes (1) vectors to the vector file, synced; (2) records, words, provenance and a note "Chroma needs this"
in one SQLite transaction; (3) later, the noted records to Chroma; (4) the notes are struck out. A kill after (1) leaves
rows that nothing refers to; a kill after (2) or (3) leaves notes, and the next writer brings Chroma up to date from
them, which repeats harmlessly what was done already. So the snapshot is the truth and Chroma follows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import orjson

from index import vectors
from index.chroma import MAX_BATCH, Mirror, MirrorRow, chroma_metadata
from index.chroma_place import chroma_place
from index.embed import Space
from index.errors import IndexCorrupt, SpaceMismatch
from index.generations import note_state, take_into_use
from index.inventory import note
from index.layout import DATABASE, Current, Layout
from index.lock import WriterLock
from index.progress import Progress, Report, silent
from index.snapshot import MirrorSource, NewRecord, Snapshot, TagClaim
from index.sources import Source
from index.vectors import FILE_NAME, REBUILD

Matrix = npt.NDArray[np.float32]


class Store:
    """Snapshot and Chroma of one generation, open for writing."""

    def __init__(
        self,
        workspace: Path,
        space: Space,
        purpose: str,
        *,
        generation: Current | None = None,
        lock: WriterLock | None = None,
    ) -> None:
        """Prepare to write; nothing is opened yet.

        Args:
            workspace: the folder that holds `.spotter/`.
            space: where the vectors live.
            purpose: told to others who want to write.
            generation: the one to write; by default the one in use, made if there is none yet.
            lock: the writer's lock when the caller holds it already; it is the caller's to let go.
        """
        self.layout = Layout(workspace.absolute())
        self.space = space
        self._wanted = generation
        self._held = lock
        self._lock = WriterLock(self.layout.lock, purpose)
        self._snapshot: Snapshot | None = None
        self._generation: Current | None = None

    def __enter__(self) -> Self:
        """Take the lock and open the snapshot.

        Raises:
            IndexLocked: another process writes.
            SpaceMismatch: the workspace's index belongs to another space.
            IndexCorrupt: the snapshot can't be read.
        """
        if self._held is None:
            self._lock.__enter__()
        try:
            self._open()
        except BaseException:
            self._close(None, None, None)
            raise
        return self

    def _open(self) -> None:
        in_use = self.layout.current() if self._wanted is None else None
        if in_use is not None and in_use.space != self.space:
            raise SpaceMismatch(index_space=in_use.space.id, other_space=self.space.id)
        chosen = self._wanted or in_use or Current(self.space, self.layout.snapshot(self.space))
        self._generation = chosen
        if not (chosen.folder / DATABASE).exists() and (in_use is not None or (chosen.folder / FILE_NAME).exists()):
            raise IndexCorrupt(f"{chosen.folder / DATABASE} is missing; {REBUILD}")
        self._snapshot = Snapshot(chosen.folder, self.space)
        if self._wanted is None and in_use is None:
            take_into_use(self.layout, chosen)
        elif not chosen.state_file.exists():
            note_state(chosen, "complete", used=True)
        place = chroma_place(self.layout, chosen)
        if self.snapshot.chroma_url != place.url or (self.snapshot.count and not place.begun):
            self.snapshot.mirror_anew(place.url)

    @property
    def generation(self) -> Current:
        """The generation that is written."""
        assert self._generation is not None, "the store is used outside its context"
        return self._generation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(kind, error, trace)

    def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None
        if self._held is None:
            self._lock.__exit__(kind, error, trace)

    @property
    def snapshot(self) -> Snapshot:
        """The ranking snapshot."""
        assert self._snapshot is not None, "the store is used outside its context"
        return self._snapshot

    def put(self, records: Sequence[NewRecord], matrix: Matrix, replaced_rows: Sequence[int]) -> None:
        """Write a batch of records to the snapshot; `matrix[i]` belongs to `records[i]`, whose row is set here."""
        first = self.snapshot.vector_rows
        vectors.append(self.snapshot.vector_path, first, matrix)
        placed = [
            replace(record, row=first + at, vector_crc=vectors.crc(vector))
            for at, (record, vector) in enumerate(zip(records, matrix, strict=True))
        ]
        with self.snapshot.transaction():
            self.snapshot.write(placed, replaced_rows, first + len(placed))

    def note_sources(self, coming: Sequence[Source] = ()) -> None:
        """Write down, beside the snapshot in use, what it was made from, and what is about to be read."""
        if self._wanted is None:
            note(self.layout, self.snapshot.db, coming)

    def retag(self, tags: Mapping[str, Sequence[TagClaim]], source: str) -> int:
        """Let these be all the tags that `source` gives to each of these records (by id), without embedding anything.

        The tags of other sources stay; those a record came with have the source "record". `mirror` brings them to
        Chroma as a change of metadata only, which is a hundred times cheaper there than writing records.
        Returns how many records changed; when none did, nothing is written.
        """
        return self.snapshot.retag(tags, source)

    def stored_vectors(self, rows: Sequence[int]) -> Matrix:
        """The vectors at these rows, (len(rows), dim)."""
        mapped = vectors.mapped(self.snapshot.vector_path, self.snapshot.vector_rows, self.space.dim)
        return mapped[np.asarray(rows, dtype=np.int64)]

    def mirror(self, report: Report = silent) -> int:
        """Bring Chroma up to date with the snapshot; returns how many records were written or deleted there.

        Chroma is not even opened when it is up to date. Raises ChromaBroken.
        """
        total = self.snapshot.pending_count()
        if not total:
            return 0
        done = 0
        with Mirror(chroma_place(self.layout, self.generation)) as chroma:
            if self.snapshot.chroma_reset:
                chroma.clear()
                self.snapshot.chroma_was_reset()
            while ids := self.snapshot.pending(MAX_BATCH, tags_only=True):
                chroma.set_tags({source.id: source.tags for source in self.snapshot.mirror_sources(ids)})
                self.snapshot.mirrored(ids)
                done += len(ids)
                report(Progress("chroma", "Writing tags to Chroma", done, total, "records"))
            while ids := self.snapshot.pending(MAX_BATCH, tags_only=False):
                rows = self._mirror_rows(ids)
                if rows:
                    chroma.upsert(rows)
                gone = sorted(set(ids) - {row.id for row in rows})
                if gone:
                    chroma.delete(gone)
                self.snapshot.mirrored(ids)
                done += len(ids)
                report(Progress("chroma", "Writing to Chroma", done, total, "records"))
        return done

    def _mirror_rows(self, ids: Sequence[str]) -> list[MirrorRow]:
        sources = self.snapshot.mirror_sources(ids)
        if not sources:
            return []
        matrix = self.stored_vectors([source.row for source in sources])
        return [
            MirrorRow(
                source.id,
                source.text,
                vector,
                chroma_metadata(
                    _with_tags(source),
                    content_hash=source.hash,
                    provider=self.space.provider,
                    model=self.space.model,
                ),
            )
            for source, vector in zip(sources, matrix, strict=True)
        ]


def _with_tags(source: MirrorSource) -> dict[str, Any]:
    """A record's metadata with the tags of all sources in the place of its own."""
    meta: dict[str, Any] = orjson.loads(source.meta)
    return {**meta, "tags": list(source.tags)} if source.tags or "tags" in meta else meta
