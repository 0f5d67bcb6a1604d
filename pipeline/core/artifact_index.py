"""What an `artifacts.jsonl` lists, by path, without holding it in memory: 10,000 pages list a million files."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

CACHE_KIB = 8192
"""What SQLite keeps of it in memory."""
_BATCH = 5000


class ArtifactIndex:
    """The last line of every path; a table in SQLite's own temporary file, gone when this object is.

    Not for several threads at once, but for one after the other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{CACHE_KIB};"
            "CREATE TABLE listed (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, entry BLOB NOT NULL) WITHOUT ROWID"
        )
        self.catch_up()

    def catch_up(self) -> None:
        """Take in the whole lines that the file got since the last time; a torn one is passed over."""
        for lines in _batches(self._new_lines()):
            self.note(lines)

    def note(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take in lines, as JSON values."""
        rows = [(entry["path"], entry["sha256"], _digest(entry)) for entry in entries]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO listed VALUES (?,?,?)", rows)
        self._db.execute("COMMIT")

    def sha256(self, path: str) -> str | None:
        """What a path was last listed with; None when it is not listed."""
        row = self._db.execute("SELECT sha256 FROM listed WHERE path = ?", (path,)).fetchone()
        return None if row is None else str(row[0])

    def holds(self, entry: Mapping[str, Any]) -> bool:
        """Whether the last line of a path is this very one."""
        row = self._db.execute("SELECT entry FROM listed WHERE path = ?", (entry["path"],)).fetchone()
        return row is not None and row[0] == _digest(entry)

    def close(self) -> None:
        """Let the temporary file go."""
        self._db.close()

    def _new_lines(self) -> Iterator[Mapping[str, Any]]:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                try:
                    value = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                if isinstance(value, dict):
                    yield value


def _digest(entry: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS), digest_size=12).digest()


def _batches(lines: Iterator[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    batch: list[Mapping[str, Any]] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
