"""`ledger.sqlite`: the truth of what is done, keyed by item, stage and everything that shaped the result."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from pipeline.core.artifacts import Artifact
from pipeline.core.errors import ErrorInfo, UsageError
from pipeline.core.files import write_atomic

Status = Literal["ok", "failed", "rejected"]

WHOLE_RUN = "*"
"""Item id under which a reduce stage's result is kept."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
  item_id TEXT NOT NULL, stage TEXT NOT NULL, cache_key TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('ok', 'failed', 'rejected')),
  attempts INTEGER NOT NULL, elapsed_s REAL NOT NULL, finished_at REAL NOT NULL,
  error_type TEXT, error_message TEXT, retryable INTEGER NOT NULL DEFAULT 0,
  output BLOB NOT NULL, artifacts BLOB NOT NULL,
  PRIMARY KEY (stage, cache_key, item_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS executions (
  id INTEGER PRIMARY KEY, item_id TEXT NOT NULL, stage TEXT NOT NULL, cache_key TEXT NOT NULL,
  attempt INTEGER NOT NULL, outcome TEXT NOT NULL, error_message TEXT,
  session INTEGER NOT NULL, finished_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS sessions (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, started_at REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Result:
    """How an item ended in a stage."""

    item_id: str
    stage: str
    cache_key: str
    status: Status
    attempts: int
    elapsed_s: float
    finished_at: float
    output: dict[str, Any]
    """What later stages read; small. Large things are artifacts."""
    artifacts: tuple[Artifact, ...] = ()
    error: ErrorInfo | None = None

    def bare(self) -> Result:
        """The same without what is large: how it ended, as thousands of them can be held."""
        return replace(self, output={}, artifacts=()) if self.output or self.artifacts else self


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt that came to an end: `ok`, `failed`, `rejected`, or `retried` when another attempt follows."""

    item_id: str
    stage: str
    cache_key: str
    attempt: int
    outcome: str
    finished_at: float
    error_message: str | None = None


class Ledger:
    """One writer, the process that holds the run's lock; readers may look on from other processes."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._read_only = read_only
        if read_only:
            if not path.exists():
                raise UsageError(f"{path} does not exist: the run was not started yet")
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
            return
        if not path.exists():
            write_atomic(path, _empty())
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        # A transaction that power loss undoes is an item done again; `kill -9` loses none.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._session = 0

    def begin_session(self, pid: int, started_at: float) -> int:
        """Note that a process starts working on the run; returns the session's number, from 1."""
        cursor = self._db.execute("INSERT INTO sessions (pid, started_at) VALUES (?, ?)", (pid, started_at))
        self._session = int(cursor.lastrowid or 0)
        return self._session

    def record(self, results: Iterable[Result], executions: Iterable[Execution]) -> None:
        """Store results and the attempts behind them, all or nothing; a result replaces an earlier one of its key."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT OR REPLACE INTO results VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                [_to_row(result) for result in results],
            )
            self._db.executemany(
                "INSERT INTO executions"
                " (item_id, stage, cache_key, attempt, outcome, error_message, session, finished_at)"
                " VALUES (?,?,?,?,?,?,?,?)",
                [
                    (run.item_id, run.stage, run.cache_key, run.attempt, run.outcome, run.error_message, self._session,
                     run.finished_at)
                    for run in executions
                ],
            )  # fmt: skip
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def results(self, stage: str, cache_key: str) -> dict[str, Result]:
        """All results of a stage under one cache key, by item."""
        return {result.item_id: result for result in self.each(stage, cache_key)}

    def each(self, stage: str, cache_key: str) -> Iterator[Result]:
        """The results of a stage under one cache key, one after the other; nothing may be recorded meanwhile."""
        rows = self._db.execute("SELECT * FROM results WHERE stage = ? AND cache_key = ?", (stage, cache_key))
        return map(result_from_row, rows)

    def output(self, item_id: str, stage: str, cache_key: str) -> dict[str, Any]:
        """What a stage handed on about an item that passed it."""
        row = self._db.execute(
            "SELECT output FROM results WHERE stage = ? AND cache_key = ? AND item_id = ?", (stage, cache_key, item_id)
        ).fetchone()
        assert row is not None, f"{stage} has a result for {item_id}"
        output: dict[str, Any] = orjson.loads(row[0])
        return output

    def fingerprint(self, item_id: str, stage: str, cache_key: str) -> tuple[bytes, bytes]:
        """What stands for a stage's result about an item: its output and its files with their hashes, as JSON."""
        row = self._db.execute(
            "SELECT output, artifacts FROM results WHERE stage = ? AND cache_key = ? AND item_id = ?",
            (stage, cache_key, item_id),
        ).fetchone()
        assert row is not None, f"{stage} has a result for {item_id}"
        return row[0], row[1]

    def result(self, item_id: str, stage: str, cache_key: str) -> Result | None:
        """One item's result in a stage."""
        row = self._db.execute(
            "SELECT * FROM results WHERE stage = ? AND cache_key = ? AND item_id = ?", (stage, cache_key, item_id)
        ).fetchone()
        return None if row is None else result_from_row(row)

    def executions(self) -> Iterator[Execution]:
        """Every attempt that ended, oldest first."""
        query = (
            "SELECT item_id, stage, cache_key, attempt, outcome, finished_at, error_message FROM executions ORDER BY id"
        )
        for row in self._db.execute(query):
            yield Execution(*row)

    def close(self) -> None:
        """Close."""
        self._db.close()

    def settle(self) -> bool:
        """Fold the write-ahead log in and close, so that the one file is the whole ledger and may be copied.

        False when somebody else has been reading for so long that it could not be done; nothing is lost then, but the
        file alone is not the whole ledger.
        """
        busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        try:
            self._db.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            # Another connection is open; the file is whole all the same and only stays in write-ahead mode.
            if "locked" not in str(error):
                raise
        self._db.close()
        return not busy


def _empty() -> bytes:
    """A ledger with its tables and no rows: whoever sees the file, or copies it, can read it from the first moment."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_SCHEMA)
        return database.serialize()


def _to_row(result: Result) -> tuple[Any, ...]:
    error = result.error
    artifacts = [artifact.model_dump(mode="json", exclude_none=True) for artifact in result.artifacts]
    return (
        result.item_id, result.stage, result.cache_key, result.status, result.attempts, result.elapsed_s,
        result.finished_at, error and error.type, error and error.message, int(bool(error and error.retryable)),
        orjson.dumps(result.output), orjson.dumps(artifacts),
    )  # fmt: skip


def result_from_row(row: tuple[Any, ...]) -> Result:
    """A row of the table `results`."""
    (
        item_id,
        stage,
        cache_key,
        status,
        attempts,
        elapsed_s,
        finished_at,
        error_type,
        message,
        retryable,
        output,
        files,
    ) = row
    error = None if error_type is None else ErrorInfo(error_type, message, bool(retryable))
    artifacts = tuple(Artifact.model_validate(entry) for entry in orjson.loads(files))
    return Result(
        item_id, stage, cache_key, status, attempts, elapsed_s, finished_at, orjson.loads(output), artifacts, error
    )
