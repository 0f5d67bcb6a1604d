"""Does Chroma agree with the ranking snapshot, and if not, what to do."""

from __future__ import annotations

import shlex
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index import vectors
from index.chroma import MAX_BATCH, ChromaBroken, Mirror
from index.chroma_place import chroma_place
from index.embed import Space
from index.errors import IndexCorrupt, IndexEmpty
from index.layout import Layout
from index.progress import Progress, Report, silent
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

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)


def doctor(
    workspace: Path, *, repair: bool = False, report: Report = silent, draw: np.random.Generator | None = None
) -> DoctorReport:
    """Check snapshot, vectors and Chroma against one another, under the writer's lock.

    Args:
        workspace: the folder that holds `.spotter/`.
        repair: write Chroma anew from the snapshot when only Chroma is at fault, and check again.
        report: told of each check.
        draw: chooses the records of the self-queries.

    Raises:
        IndexEmpty: there is no index.
        IndexLocked: it is being written.
        IndexCorrupt: the snapshot can't be opened at all.
    """
    layout = Layout(workspace.absolute())
    current = layout.current()
    if current is None:
        raise IndexEmpty(workspace)
    visit = _Visit(layout, current.space, report, draw or np.random.default_rng())
    snapshot_checks, records = visit.snapshot()
    chroma_checks = visit.chroma()
    repaired = False
    if repair and all(check.ok for check in snapshot_checks) and not all(check.ok for check in chroma_checks):
        visit.write_chroma_anew()
        chroma_checks = visit.chroma()
        repaired = True
    return DoctorReport((*snapshot_checks, *chroma_checks), records, current.space.id, repaired)


class _Visit:
    """The checks of one workspace's index, in two groups: the snapshot, and Chroma against it."""

    def __init__(self, layout: Layout, space: Space, report: Report, draw: np.random.Generator) -> None:
        self._layout = layout
        self._space = space
        self._report = report
        self._draw = draw
        folder = shlex.quote(str(layout.workspace))
        self._anew = f"write Chroma anew from the snapshot: python -m index doctor --workspace {folder} --repair"

    def snapshot(self) -> tuple[list[Check], int]:
        """Check the snapshot by itself; returns the checks and the number of records."""
        with self._store() as store:
            db = store.snapshot.db
            checks = [
                self._check("snapshot database", lambda: _database(db), vectors.REBUILD),
                self._check("word index", lambda: _word_index(db), vectors.REBUILD),
                self._check("vectors", lambda: self._vector_file(store), vectors.REBUILD),
            ]
            return checks, store.snapshot.count

    def chroma(self) -> list[Check]:
        """Check Chroma against the snapshot."""
        with self._store() as store:
            waiting = store.snapshot.pending_count()
            checks = [
                Check(
                    "chroma is up to date",
                    not waiting,
                    f"{waiting} records wait to be written to Chroma" if waiting else "nothing waits to be written",
                    f"run the last ingest again, or {self._anew}" if waiting else "",
                )
            ]
            try:
                with Mirror(chroma_place(self._layout, store.generation)) as mirror:
                    checks += [
                        self._check("chroma holds the same records", lambda: _same_records(store, mirror), self._anew),
                        self._check("chroma's vectors", lambda: self._same_vectors(store, mirror), self._anew),
                        self._check("chroma finds its records", lambda: self._self_queries(store, mirror), self._anew),
                    ]
            except ChromaBroken as error:
                checks.append(Check("chroma opens", False, str(error), self._anew))
            return checks

    def write_chroma_anew(self) -> None:
        """Move Chroma's folder aside and fill a new one from the snapshot."""
        with self._store() as store:
            if self._layout.chroma.exists():
                aside = self._layout.chroma.with_name(f"chroma.broken-{time.strftime('%Y%m%d-%H%M%S')}")
                self._layout.chroma.rename(aside)
            store.snapshot.mirror_anew()
            store.mirror(self._report)

    def _store(self) -> Store:
        return Store(self._layout.workspace, self._space, "doctor")

    def _check(self, name: str, look: Callable[[], _Finding], remedy: str) -> Check:
        """Run one check."""
        self._report(Progress("doctor", name))
        try:
            ok, detail = look()
        except (ChromaBroken, sqlite3.DatabaseError, IndexCorrupt) as error:
            ok, detail = False, str(error)
        return Check(name, ok, detail, "" if ok else remedy)

    def _vector_file(self, store: Store) -> _Finding:
        rows = [row for (row,) in store.snapshot.db.execute("SELECT row FROM record ORDER BY row")]
        matrix = vectors.mapped(store.snapshot.vector_path, store.snapshot.vector_rows, self._space.dim)
        for first in range(0, len(rows), MAX_BATCH):
            lengths = np.linalg.norm(matrix[rows[first : first + MAX_BATCH]].astype(np.float64), axis=1)
            bad = int(np.count_nonzero(~(np.abs(lengths - 1.0) < 1e-2)))
            if bad:
                return False, f"{bad} of the vectors in rows {rows[first]} and after are not of length 1"
        return True, f"{len(rows)} vectors of length 1"

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
