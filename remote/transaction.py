"""One change of an SQLite file that threads share through one connection: all of it, or nothing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(connection: sqlite3.Connection, lock: threading.RLock) -> Iterator[sqlite3.Connection]:
    """Hold the connection and the file's one place for a writer; commit at the end, undo whatever raises.

    Args:
        connection: in autocommit (`isolation_level=None`).
        lock: what every use of the connection holds.

    Raises:
        sqlite3.OperationalError: another process writes for longer than the connection waits.
    """
    with lock:
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
