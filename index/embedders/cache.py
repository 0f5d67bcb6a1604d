"""Vectors that were made before, by content: a text is never paid for twice, and a killed ingest goes on from here.

The key is SHA-256 of the space's id, the kind (document or query) and the text in NFC; neither text nor key of a server
is kept. Every finished request is committed before its vectors are used.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from index.errors import IndexCorrupt

if TYPE_CHECKING:
    from index.embed import Matrix

FOLDER = Path(".spotter") / "embeddings"
"""In a workspace; it survives when the index is moved away or rebuilt."""
FILE = "vectors.sqlite"
BUSY_MS = 30_000
_AT_ONCE = 500
"""Keys asked for in one statement."""


def content_key(space_id: str, kind: Literal["doc", "query"], text: str) -> bytes:
    """The key of a text that is in NFC already."""
    return hashlib.sha256(f"{space_id}\0{kind}\0{text}".encode()).digest()


class VectorCache:
    """Vectors of one length by key; thread-safe, and safe beside other processes."""

    def __init__(self, workspace: Path | None, dim: int) -> None:
        """`workspace` None: kept in memory, for this process only."""
        self._dim = dim
        self._lock = threading.Lock()
        self._path = None if workspace is None else workspace / FOLDER / FILE
        self._db: sqlite3.Connection | None = None

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Matrix]:
        """The vectors that are here, (dim,) float32 each.

        Raises:
            IndexCorrupt: the file is damaged.
        """
        import numpy as np

        found: dict[bytes, Matrix] = {}
        for key, numbers in self._rows("key, numbers", keys):
            if len(numbers) != 4 * self._dim:
                raise self._damaged(f"a vector of {len(numbers)} bytes")
            found[key] = np.frombuffer(numbers, dtype="<f4")
        return found

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Which of these keys are here. Raises IndexCorrupt."""
        return {key for (key,) in self._rows("key", keys)}

    def keep(self, vectors: Mapping[bytes, Matrix]) -> None:
        """Commit vectors. Raises IndexCorrupt."""
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        with self._using() as db, db:
            db.executemany("INSERT OR REPLACE INTO vector (key, numbers) VALUES (?, ?)", rows)

    def _rows(self, columns: str, keys: Sequence[bytes]) -> list[tuple[bytes, ...]]:
        rows: list[tuple[bytes, ...]] = []
        with self._using() as db:
            for first in range(0, len(keys), _AT_ONCE):
                some = keys[first : first + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows += db.execute(f"SELECT {columns} FROM vector WHERE key IN ({marks})", some)  # noqa: S608
        return rows

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The database, for one thread at a time; its errors become sentences."""
        with self._lock:
            try:
                yield self._open()
            except sqlite3.OperationalError as error:
                raise IndexCorrupt(f"The cache of vectors {self._path} can't be used: {error}.") from error
            except sqlite3.DatabaseError as error:
                raise self._damaged(str(error)) from error

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path or ":memory:", timeout=BUSY_MS / 1000, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS vector (key BLOB PRIMARY KEY, numbers BLOB NOT NULL)")
        return self._db

    def _damaged(self, what: str) -> IndexCorrupt:
        return IndexCorrupt(
            f"The cache of vectors {self._path} is damaged ({what}); delete it: what it held is asked for, "
            "and paid, again."
        )
