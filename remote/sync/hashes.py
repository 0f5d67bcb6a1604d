"""What files hashed to when they were last read: a file whose size, times and inode are the same is not read again."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from remote.agent.files import sha256_of

SETTLED_S = 2.0
"""A file younger than this may be written again within one tick of its clock, so its hash is not remembered."""


class HashCache:
    """sha256 by path, kept in one SQLite file. Losing it costs time, never truth; use it as a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._notes = sqlite3.connect(path, timeout=30, check_same_thread=False)
        self._notes.execute(
            "CREATE TABLE IF NOT EXISTS hashes (path BLOB PRIMARY KEY, size INT, mtime_ns INT, ctime_ns INT, "
            "inode INT, sha256 TEXT) WITHOUT ROWID"
        )
        rows = self._notes.execute("SELECT path, size, mtime_ns, ctime_ns, inode, sha256 FROM hashes")
        self._known = {row[0]: row[1:] for row in rows}
        self._fresh: list[tuple[object, ...]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def known(self, path: Path, found: os.stat_result) -> str | None:
        """What the file hashed to, if it is still what was read then."""
        row = self._known.get(_key(path))
        return str(row[4]) if row is not None and row[:4] == _marks(found) else None

    def note(self, path: Path, found: os.stat_result, sha256: str) -> None:
        """Remember what was read; `found` is the file's state before it was read."""
        if time.time() - max(found.st_mtime, found.st_ctime) < SETTLED_S:
            return
        row = (*_marks(found), sha256)
        self._known[_key(path)] = row
        self._fresh.append((_key(path), *row))

    def sha256_of(self, path: Path) -> str:
        """The sha256 of a file, read only if it changed."""
        found = path.stat()
        digest = self.known(path, found)
        if digest is None:
            digest = sha256_of(path)
            self.note(path, found, digest)
        return digest

    def read(self, path: Path, found: os.stat_result) -> tuple[bytes, str]:
        """A small file's content with its sha256."""
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        self.note(path, found, digest)
        return data, digest

    def close(self) -> None:
        """Write down what was learned."""
        with self._notes:
            self._notes.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?)", self._fresh)
        self._fresh = []
        self._notes.close()


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100 - links stay as they stand


def _marks(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
