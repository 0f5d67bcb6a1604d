"""Is the index whole, do its parts agree with one another, and if not, what to do."""

from __future__ import annotations

import shlex
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index import quantised, vectors
from index.chroma import MAX_BATCH, ChromaBroken, Mirror
from index.chroma_place import chroma_place
from index.chroma_probe import crash_of
from index.errors import IndexCorrupt, IndexEmpty
from index.generations import last_used, take_into_use
from index.layout import Current, Layout
from index.lock import WriterLock
from index.progress import Progress, Report, silent
from index.reuse import sound
from index.store import Store

SELF_QUERIES = 200
"""Records drawn at random that must find themselves through Chroma's own index."""
LOST_SHARE_ALLOWED = 0.15
"""Chroma's index is approximate: among near-duplicates it misses some records even when it is healthy, up to one in
twenty in our measurements; writers that trod on each other left four in ten unfindable."""
_NEIGHBOURS = 10
_SAME = 1e-4
"""Cosine distance within which two vectors are the same; Chroma normalises again, with an error near 5e-7."""


_Finding = tuple[bool, str]
"""Whether it is as it should be, and what was seen."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    """What to do; empty when `ok`."""


@dataclass(frozen=True)
class DoctorReport:
    """All checks of one visit."""

    checks: tuple[Check, ...]
    records: int
    space: str
    repaired: bool = False
    repairs: tuple[str, ...] = ()
    """What was done, in words."""

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True)
class _Seen:
    """What one round of checks found."""

    checks: tuple[Check, ...]
    records: int
    current: Current | None

    @property
    def failed(self) -> frozenset[str]:
        return frozenset(check.name for check in self.checks if not check.ok)


def doctor(
    workspace: Path,
    *,
    repair: bool = False,
    accept_loss: bool = False,
    report: Report = silent,
    draw: np.random.Generator | None = None,
) -> DoctorReport:
    """Check pointer, snapshot, vectors and Chroma against one another, under the writer's lock.

    A repair mends what failed, in this order: the pointer is set to the generation that was in use last; a damaged
    database is made again as the next generation (`index.repair`); a word index is made anew from the records' texts;
    a damaged vector file is made again, in the next generation, too; its int8 copies are made anew; Chroma is written
    anew from the snapshot. Then everything is checked again.

    Args:
        workspace: the folder that holds `.spotter/`.
        repair: mend what failed.
        accept_loss: let a repair go on when records can't be brought back.
        report: told of each check.
        draw: chooses the records of the self-queries.

    Raises:
        IndexEmpty: there is no index.
        IndexLocked: it is being written.
        WouldLose: a repair would lose records, and that was not accepted; nothing was changed.
    """
    layout = Layout(workspace.absolute())
    visit = _Visit(layout, report, draw or np.random.default_rng())
    seen = visit.all()
    repairs: list[str] = []
    if repair:
        mends: tuple[tuple[frozenset[str], Callable[[], str]], ...] = (
            (frozenset({POINTER}), visit.mend_pointer),
            (frozenset({DATABASE_CHECK}), lambda: visit.mend_database(accept_loss=accept_loss)),
            (frozenset({WORDS}), visit.mend_words),
            (frozenset({VECTORS}), visit.mend_vectors),
            (frozenset({COPIES}), visit.mend_copies),
            (CHROMA_CHECKS, visit.write_chroma_anew),
        )
        # Mending one thing lets the next be looked at, so everything is checked after each.
        for names, mend in mends:
            if seen.failed & names:
                repairs.append(mend())
                seen = visit.all()
    space = "" if seen.current is None else seen.current.space.id
    return DoctorReport(seen.checks, seen.records, space, bool(repairs), tuple(repairs))


POINTER, DATABASE_CHECK, WORDS, VECTORS = "generation in use", "snapshot database", "word index", "vectors"
COPIES = "int8 copies of the vectors"
CHROMA_CHECKS = frozenset(
    (
        "chroma is up to date",
        "chroma opens",
        "chroma holds the same records",
        "chroma's vectors",
        "chroma finds its records",
    )
)


class _Visit:
    """The checks of one workspace's index: the pointer, the snapshot, and Chroma against it; and how to mend each."""

    def __init__(self, layout: Layout, report: Report, draw: np.random.Generator) -> None:
        self._layout = layout
        self._report = report
        self._draw = draw
        folder = shlex.quote(str(layout.workspace))
        mend = f"spotter -C {folder} index doctor --repair"
        self._anew = f"write Chroma anew from the snapshot: {mend}"
        self._mend = f"mend it: {mend}"

    def all(self) -> _Seen:
        """Every check that can be made. Raises IndexEmpty, IndexLocked."""
        try:
            current = self._layout.current()
        except IndexCorrupt as error:
            return _Seen((Check(POINTER, False, str(error), self._mend),), 0, None)
        if current is None:
            if last_used(self._layout) is None:
                raise IndexEmpty(self._layout.workspace)
            detail = f"{self._layout.pointer} is missing although there are generations"
            return _Seen((Check(POINTER, False, detail, self._mend),), 0, None)
        checks = [Check(POINTER, True, current.name)]
        try:
            with self._store(current) as store:
                found, records = self._snapshot(store), store.snapshot.count
                checks += found
                if all(check.ok for check in found):
                    checks += self._chroma(store)
                return _Seen(tuple(checks), records, current)
        except (IndexCorrupt, sqlite3.DatabaseError) as error:
            broken = Check(DATABASE_CHECK, False, str(error), self._mend)
            return _Seen((*checks, broken), 0, current)

    def _snapshot(self, store: Store) -> list[Check]:
        """Check the snapshot by itself."""
        db = store.snapshot.db
        checks = [
            self._check(DATABASE_CHECK, lambda: _database(db), self._mend),
            self._check(WORDS, lambda: _word_index(db), self._mend),
            self._check(VECTORS, lambda: _vector_file(store), self._mend),
        ]
        if checks[-1].ok:
            checks.append(self._check(COPIES, lambda: _copies(store), self._mend))
        return checks

    def _chroma(self, store: Store) -> list[Check]:
        """Check Chroma against the snapshot."""
        waiting = store.snapshot.pending_count()
        checks = [
            Check(
                "chroma is up to date",
                not waiting,
                f"{waiting} records wait to be written to Chroma" if waiting else "nothing waits to be written",
                f"write them: spotter index mirror; or {self._anew}" if waiting else "",
            )
        ]
        place = chroma_place(self._layout, store.generation)
        self._report(Progress("doctor", "chroma opens"))
        if crash := crash_of(place):
            return [*checks, Check("chroma opens", False, crash, self._anew)]
        try:
            with Mirror(place) as mirror:
                checks += [
                    self._check("chroma holds the same records", lambda: _same_records(store, mirror), self._anew),
                    self._check("chroma's vectors", lambda: self._same_vectors(store, mirror), self._anew),
                    self._check("chroma finds its records", lambda: self._self_queries(store, mirror), self._anew),
                ]
        except ChromaBroken as error:
            checks.append(Check("chroma opens", False, str(error), self._anew))
        return checks

    def mend_pointer(self) -> str:
        """Take the generation into use that was so last. Raises IndexEmpty."""
        with WriterLock(self._layout.lock, "doctor"):
            chosen = last_used(self._layout)
            if chosen is None:
                raise IndexEmpty(self._layout.workspace)
            take_into_use(self._layout, chosen)
            return f"{chosen.name} is in use again, the finished generation that was so last"

    def mend_words(self) -> str:
        """Make the word index anew in its place."""
        with self._store(self._in_use()) as store:
            return f"the word index was made anew from the texts of {store.snapshot.rebuild_words()} records"

    def mend_database(self, *, accept_loss: bool) -> str:
        """Make the snapshot again as the next generation. Raises WouldLose."""
        from index.repair import repair_snapshot

        return str(repair_snapshot(self._layout, self._in_use(), self._report, accept_loss=accept_loss))

    def mend_vectors(self) -> str:
        """Copy the snapshot with sound vectors to the next generation."""
        from index.repair import repair_vectors

        return str(repair_vectors(self._layout, self._in_use(), self._report))

    def mend_copies(self) -> str:
        """Make the int8 copies anew from the vectors."""
        with self._store(self._in_use()) as store:
            quantised.discard(store.snapshot.folder)
            matrix = vectors.mapped(store.snapshot.vector_path, store.snapshot.vector_rows, store.space.dim)
            return f"{quantised.complete(store.snapshot.folder, matrix)} int8 copies were made anew from the vectors"

    def write_chroma_anew(self) -> str:
        """Move Chroma's folder aside, or empty its collection on a server, and fill it from the snapshot."""
        current = self._in_use()
        with self._store(current) as store:
            place = chroma_place(self._layout, current)
            aside = ""
            if place.folder is not None and place.folder.exists():
                moved = place.folder.with_name(f"chroma.broken-{time.strftime('%Y%m%d-%H%M%S')}")
                place.folder.rename(moved)
                aside = f"; what was there is in {moved.name} until `spotter index gc`"
            store.snapshot.mirror_anew()
            return f"{store.mirror(self._report)} records were written to Chroma anew{aside}"

    def _in_use(self) -> Current:
        current = self._layout.current()
        if current is None:
            raise IndexEmpty(self._layout.workspace)
        return current

    def _store(self, current: Current) -> Store:
        return Store(self._layout.workspace, current.space, "doctor")

    def _check(self, name: str, look: Callable[[], _Finding], remedy: str) -> Check:
        """Run one check."""
        self._report(Progress("doctor", name))
        try:
            ok, detail = look()
        except (ChromaBroken, sqlite3.DatabaseError, IndexCorrupt) as error:
            ok, detail = False, str(error)
        return Check(name, ok, detail, "" if ok else remedy)

    def _same_vectors(self, store: Store, mirror: Mirror) -> _Finding:
        rows = store.snapshot.db.execute("SELECT id, row FROM record ORDER BY row").fetchall()
        for first in range(0, len(rows), MAX_BATCH):
            page = rows[first : first + MAX_BATCH]
            theirs = mirror.vectors([record_id for record_id, _ in page])
            ours = store.stored_vectors([row for _, row in page])
            for (record_id, _), vector in zip(page, ours, strict=True):
                other = theirs.get(record_id)
                if other is None:
                    return False, f"Chroma has no vector of record {record_id}"
                if other.shape != vector.shape or not float(vector @ other) > 1 - _SAME:
                    return False, f"Chroma's vector of record {record_id} is not the snapshot's"
            self._report(Progress("doctor", "chroma's vectors", first + len(page), len(rows), "records"))
        return True, f"{len(rows)} vectors are the snapshot's"

    def _self_queries(self, store: Store, mirror: Mirror) -> _Finding:
        rows = store.snapshot.db.execute("SELECT id, row FROM record ORDER BY row").fetchall()
        if not rows:
            return True, "there are none to find"
        places = self._draw.choice(len(rows), min(SELF_QUERIES, len(rows)), replace=False)
        drawn: Sequence[tuple[str, int]] = [rows[place] for place in places]
        neighbours = mirror.nearest(store.stored_vectors([row for _, row in drawn]), min(_NEIGHBOURS, len(rows)))
        lost = [
            record_id
            for (record_id, _), found in zip(drawn, neighbours, strict=True)
            # Records of equal text have equal vectors, so that any of them may come first.
            if record_id not in {other for other, _ in found} and not (found and found[0][1] < _SAME)
        ]
        detail = f"{len(drawn) - len(lost)} of {len(drawn)} drawn records are found by their own vector"
        return len(lost) <= LOST_SHARE_ALLOWED * len(drawn), detail + (f", {lost[0]} is not" if lost else "")


def _vector_file(store: Store) -> _Finding:
    """Every vector against its checksum; one of before there were checksums against its length of 1."""
    rows = store.snapshot.db.execute("SELECT row, id, vector_crc FROM record ORDER BY row").fetchall()
    matrix = vectors.mapped(store.snapshot.vector_path, store.snapshot.vector_rows, store.space.dim)
    bad = [record_id for row, record_id, crc in rows if not sound(matrix[row], crc)]
    if bad:
        return False, f"{len(bad)} of {len(rows)} vectors are not what was written, that of {bad[0]} for one"
    return True, f"{len(rows)} vectors as they were written"


def _copies(store: Store) -> _Finding:
    matrix = vectors.mapped(store.snapshot.vector_path, store.snapshot.vector_rows, store.space.dim)
    wrong = quantised.wrong_rows(store.snapshot.folder, matrix)
    if wrong is None:
        return True, "not of all vectors; searches read the vectors themselves, and the next ingest makes the rest"
    return not len(wrong), f"{len(matrix) - len(wrong)} of {len(matrix)} are what the vectors say"


def _database(db: sqlite3.Connection) -> _Finding:
    said = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    return said == ["ok"], "; ".join(said)


def _word_index(db: sqlite3.Connection) -> _Finding:
    db.execute("INSERT INTO lexical (lexical) VALUES ('integrity-check')")
    missing = db.execute("SELECT count(*) FROM record WHERE row NOT IN (SELECT rowid FROM lexical)").fetchone()[0]
    extra = db.execute("SELECT count(*) FROM lexical WHERE rowid NOT IN (SELECT row FROM record)").fetchone()[0]
    if missing or extra:
        return False, f"{missing} records are missing and {extra} are left over"
    return True, "every record is in it once"


def _same_records(store: Store, mirror: Mirror) -> _Finding:
    ours: dict[str, str] = dict(store.snapshot.db.execute("SELECT id, hash FROM record"))
    theirs = mirror.hashes()
    missing, extra = ours.keys() - theirs.keys(), theirs.keys() - ours.keys()
    stale = {record_id for record_id in ours.keys() & theirs.keys() if ours[record_id] != theirs[record_id]}
    if not (missing or extra or stale):
        return True, f"{len(ours)} records, all as in the snapshot"
    example = next(iter(sorted(missing or extra or stale)))
    return False, (
        f"{len(missing)} records are missing, {len(extra)} left over, {len(stale)} out of date ({example} for one)"
    )
