"""Building an index anew, beside the one in use, which answers until the new one has passed its gate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from index.copying import Copied, copy_into, copy_tags
from index.embed import OFFLINE, Embedder, Priced
from index.embedders.ahead import ahead_of_ingest
from index.embedders.costs import Estimate, Missing
from index.errors import IndexEmpty, UnknownEmbedder
from index.generations import begin, clear_unfinished, note_state, remove, take_into_use
from index.ingest import BATCH, ingest_into
from index.inventory import note
from index.layout import Current, Layout
from index.lock import WriterLock
from index.progress import Progress, Report, silent
from index.reuse import Reusing, SnapshotStock, embedder_or_stock
from index.schema import TAG_SOURCE_RECORD
from index.snapshot import connect
from index.sources import Source, find_sources
from index.store import Store
from index.tags.hook import TAG_SOURCE_CATALOG, workspace_hook


class Verdict(Protocol):
    """What a gate says of a candidate."""

    @property
    def passed(self) -> bool:
        """Whether it may be switched in."""
        ...

    @property
    def reason(self) -> str:
        """One sentence with the figures."""
        ...


Gate = Callable[[Current], Verdict]
_NAMED = 100


@dataclass(frozen=True)
class RebuildResult:
    """What a rebuild did."""

    generation: str
    """Name of the new generation."""
    previous: str | None
    """Name of the one that was in use; it stays until it is collected."""
    space: str
    records_before: int
    records: int
    missing: tuple[str, ...]
    """Ids that the old generation holds and the new one doesn't; the first hundred."""
    missing_count: int
    embedded: int
    reused: int
    """Vectors taken from the old generation."""
    switched: bool
    kept: bool
    """Whether the new generation is still there: always when switched, as told when refused."""
    verdict: str
    """The gate's sentence; empty without a gate."""
    seconds: float


def rebuild(
    workspace: Path,
    sources: Sequence[Path] | None,
    embedder: Embedder | None = None,
    *,
    gate: Gate | None = None,
    keep_refused: bool = False,
    mirror: bool = True,
    report: Report = silent,
) -> RebuildResult:
    """Build the next generation, have it judged, and take it into use.

    Args:
        workspace: the folder that holds `.spotter/`.
        sources: run folders and NDJSON files, which are then all that the new generation holds; None copies every
            record of the generation in use, so that nothing is left out.
        embedder: of the new generation; by default that of the one in use. Texts that the old generation holds in an
            equal space are not embedded again.
        gate: judges the candidate before it is taken into use.
        keep_refused: keep a candidate that was refused, for a look at it (`spotter index generations`).
        mirror: write the candidate to Chroma, too, before it is taken into use.
        report: told how far it is.

    Raises:
        IndexEmpty: there is no index and no source.
        IndexLocked: the index is being written.
        BadSource, RecordFormatError: as `ingest`; the candidate is removed.
    """
    started = time.monotonic()
    layout = Layout(workspace.absolute())
    with WriterLock(layout.lock, "a rebuild of the index") as lock:
        old = layout.current()
        if old is None and sources is None:
            raise IndexEmpty(workspace)
        clear_unfinished(layout)
        chosen = embedder
        if chosen is None:
            if old is None:
                raise UnknownEmbedder(f"A new index needs an embedder: add --embedder {OFFLINE} (lexical, no key).")
            chosen = embedder_or_stock(old.space, layout.workspace)
        found = None if sources is None else find_sources(sources, layout.workspace)
        candidate = begin(layout, chosen.space, "a rebuild")
        try:
            with Store(workspace, chosen.space, "", generation=candidate, lock=lock) as store:
                filled = _fill(store, old, found, chosen, report)
                if mirror:
                    store.mirror(report)
            verdict = None
            if gate is not None:
                report(Progress("gate", "Asking the labelled queries"))
                verdict = gate(candidate)
        except BaseException:
            remove(candidate)
            raise
        passed = verdict is None or verdict.passed
        if passed:
            take_into_use(layout, candidate, "" if verdict is None else verdict.reason)
            _note_sources(layout, candidate)
        elif keep_refused:
            note_state(candidate, "refused", verdict.reason if verdict is not None else "")
        before, missing = _missing(old, candidate)
        if not passed and not keep_refused:
            remove(candidate, served=True)
        return RebuildResult(
            generation=candidate.name,
            previous=None if old is None else old.name,
            space=candidate.space.id,
            records_before=before,
            records=filled.records,
            missing=tuple(missing[:_NAMED]),
            missing_count=len(missing),
            embedded=filled.embedded,
            reused=filled.reused,
            switched=passed,
            kept=passed or keep_refused,
            verdict="" if verdict is None else verdict.reason,
            seconds=time.monotonic() - started,
        )


def estimate_rebuild(workspace: Path, sources: Sequence[Path] | None, embedder: Embedder) -> Estimate | None:
    """What a rebuild would cost; None for an embedder that costs nothing.

    Texts that the old generation holds in an equal space, and those whose vectors are in the cache, cost nothing.
    """
    if not isinstance(embedder, Priced):
        return None
    old = Layout(workspace.absolute()).current()
    same = old is not None and old.space == embedder.space
    if sources is not None:
        return ahead_of_ingest(sources, workspace, embedder, anew=not same)
    missing = Missing()
    if old is not None and not same:
        db = connect(old.folder, writable=False)
        try:
            found = db.execute("SELECT DISTINCT text FROM record")
            while batch := found.fetchmany(BATCH):
                missing += embedder.missing([text for (text,) in batch], kind="doc")
        finally:
            db.close()
    return embedder.estimate(missing)


def _fill(
    store: Store, old: Current | None, sources: Sequence[Source] | None, embedder: Embedder, report: Report
) -> Copied:
    """The candidate's records: from the sources, or all of the old generation's."""
    if sources is None:
        assert old is not None
        return copy_into(store, old, embedder, report)
    stock = SnapshotStock(old) if old is not None and old.space == embedder.space else None
    try:
        reusing = Reusing(embedder, [] if stock is None else [stock])
        hook = workspace_hook(store.layout.workspace)
        done = ingest_into(store, sources, reusing, report, hook, mirror=False)
        if old is not None:
            copy_tags(old, store, {TAG_SOURCE_RECORD, TAG_SOURCE_CATALOG})
        return Copied(done.records, reusing.embedded, reusing.reused)
    finally:
        if stock is not None:
            stock.close()


def _missing(old: Current | None, candidate: Current) -> tuple[int, list[str]]:
    """How many records the old generation holds, and which of them the candidate doesn't."""
    if old is None:
        return 0, []
    before, now = _ids(old), _ids(candidate)
    return len(before), sorted(before - now)


def _ids(current: Current) -> set[str]:
    db = connect(current.folder, writable=False)
    try:
        return {record_id for (record_id,) in db.execute("SELECT id FROM record")}
    finally:
        db.close()


def _note_sources(layout: Layout, current: Current) -> None:
    db = connect(current.folder, writable=False)
    try:
        note(layout, db)
    finally:
        db.close()
