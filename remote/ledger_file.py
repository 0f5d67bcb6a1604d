"""The SQLite file under the ledger: for many threads and processes at once, each change on disk when it returns."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from remote.clock import SYSTEM_CLOCK, Clock
from remote.ledger_schema import MIGRATIONS
from remote.transaction import transaction

BUSY_TIMEOUT_MS = 15_000


class LedgerTooNew(Exception):
    """The file was written by a newer Spotter."""


class LedgerFile:
    """An open ledger (WAL, synchronous FULL), brought to today's tables; every method of its heirs is one transaction.

    `clock` is the time that rows are written in and that what runs now is billed until: the cloud's own.
    """

    def __init__(self, path: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.path = path
        self.clock = clock
        self._lock = threading.RLock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._migrate()

    def close(self) -> None:
        """Close the file; other objects on it go on."""
        with self._lock:
            self._connection.close()

    def _now(self) -> float:
        return self.clock.time()

    def _write(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._connection, self._lock)

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def _migrate(self) -> None:
        with self._write() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise LedgerTooNew(
                    f"{self.path} was written by a newer Spotter (version {version}, this one knows "
                    f"{len(MIGRATIONS)}); upgrade Spotter, or use another workspace"
                )
            for number, migrate in enumerate(MIGRATIONS[version:], start=version + 1):
                migrate(connection)
                connection.execute(f"PRAGMA user_version = {number}")


def as_json(value: Mapping[str, object]) -> str:
    """A mapping as one line, the same for the same content."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
