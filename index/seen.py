"""Ids met on the way through a file, kept where they take no memory however many they are."""

from __future__ import annotations

import sqlite3


class SeenIds:
    """A set of ids, each with a few bytes, in a temporary database that SQLite puts on the disk once it outgrows 2 MB.

    A Python set of 100,000 ids of usual length takes 15 MB, a dictionary with digests 25 MB.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("CREATE TABLE seen (id BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")

    def __contains__(self, record_id: str) -> bool:
        return self._db.execute("SELECT 1 FROM seen WHERE id = ?", (_stored(record_id),)).fetchone() is not None

    def add(self, record_id: str, value: bytes = b"") -> bytes:
        """Remember an id; returns what was given with it the first time."""
        added = self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (_stored(record_id), value))
        if added.rowcount == 1:
            return value
        found = self._db.execute("SELECT value FROM seen WHERE id = ?", (_stored(record_id),)).fetchone()
        return bytes(found[0])

    def close(self) -> None:
        """Forget everything."""
        self._db.close()


def _stored(record_id: str) -> bytes:
    """As bytes, because an id may hold half a surrogate pair, which SQLite takes as no text."""
    return record_id.encode("utf-8", "surrogatepass")
