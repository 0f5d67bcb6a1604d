"""The reader's side of a snapshot: one database connection, the mapped vectors, and a few columns in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from index import quantised, vectors
from index.layout import Current
from index.quantised import Quantised
from index.rank import is_text
from index.scan import Scan
from index.snapshot import connect, read_meta

Mask = npt.NDArray[np.bool_]


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
    """A snapshot as of one revision; `refresh` brings it to the newest."""

    def __init__(self, current: Current) -> None:
        """Open a snapshot read-only. Raises IndexCorrupt."""
        self.space = current.space
        self.vector_path: Path = current.folder / vectors.FILE_NAME
        self.db = connect(current.folder, writable=False)
        self.revision = -1
        self.matrix: vectors.Matrix = np.empty((0, self.space.dim), dtype=np.float32)
        self.alive: Mask = np.empty(0, dtype=np.bool_)
        self.is_text: Mask = np.empty(0, dtype=np.bool_)
        self.quantised: Quantised | None = None
        self.scan = Scan(self)
        try:
            self.refresh()
        except BaseException:
            self.db.close()
            raise

    def close(self) -> None:
        """Let go of the database; the mapping goes with its last user."""
        self.db.close()

    @property
    def count(self) -> int:
        """Records in view."""
        return int(np.count_nonzero(self.alive))

    def refresh(self) -> None:
        """See what was committed since; costs microseconds when nothing was. Call it inside a read transaction."""
        revision = int(read_meta(self.db, "revision"))
        if revision == self.revision:
            return
        rows = int(read_meta(self.db, "vector_rows"))
        known = len(self.alive)
        alive = np.zeros(rows, dtype=np.bool_)
        text = np.zeros(rows, dtype=np.bool_)
        alive[:known] = self.alive
        text[:known] = self.is_text
        for row, kind in self.db.execute("SELECT row, type FROM record WHERE row >= ?", (known,)):
            alive[row] = True
            text[row] = is_text(kind)
        for (row,) in self.db.execute("SELECT row FROM retired WHERE revision > ?", (self.revision,)):
            alive[row] = False
        matrix = vectors.mapped(self.vector_path, rows, self.space.dim)
        self.alive, self.is_text, self.matrix, self.revision = alive, text, matrix, revision
        self.quantised = quantised.opened(self.vector_path.parent, matrix)
        self.scan = Scan(self)

    def mask(self, types: Sequence[str], documents: Sequence[str]) -> Mask:
        """Which rows are alive and of these types and documents (document id, source file or file name)."""
        if not types and not documents:
            return self.alive
        clauses, values = [], []
        if types:
            clauses.append(f"type IN ({','.join('?' * len(types))})")
            values += list(types)
        if documents:
            marks = ",".join("?" * len(documents))
            clauses.append(f"(document_id IN ({marks}) OR source_file IN ({marks}) OR filename IN ({marks}))")
            values += [*documents, *documents, *documents]
        wanted = np.zeros(len(self.alive), dtype=np.bool_)
        found = self.db.execute(f"SELECT row FROM record WHERE {' AND '.join(clauses)}", values)  # noqa: S608
        wanted[[row for (row,) in found]] = True
        return wanted

    def records(self, rows: Sequence[int]) -> dict[int, FoundRecord]:
        """The records at these rows."""
        marks = ",".join("?" * len(rows))
        found = self.db.execute(
            "SELECT row, id, text, type, filename, source_file, document_id, page, meta, run_id, folder "  # noqa: S608
            f"FROM record JOIN run USING (run_key) WHERE row IN ({marks})",
            list(rows),
        )
        return {record[0]: FoundRecord(*record) for record in found}


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
