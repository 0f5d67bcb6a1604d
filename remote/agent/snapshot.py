"""A consistent copy of an SQLite database that another process is writing, without a lock that it could run into.

A reader's connection, `.backup()`'s too, keeps a shared lock on a database in WAL mode, and its writer cannot leave
that mode meanwhile: it gets SQLITE_BUSY at once, whatever its timeout. So the files are copied instead. A write-ahead
log is only appended to until it is begun anew, which changes the salts in its header, and a checkpoint only moves
pages of it into the database. Hence database first, log second, is a state of the database if the header stayed the
same, wherever a checkpoint stood meanwhile; frames that were half-written are dropped by their checksums.
See https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import sqlite3
import time
from pathlib import Path

from remote.agent.files import sha256_of

WAL_HEADER_BYTES = 32
DATABASE_HEADER_BYTES = 100
ATTEMPTS = 20
PAUSE_S = 0.05
STALE_DRAFT_S = 3600.0


class DatabaseBusy(Exception):
    """The database was rewritten during every attempt to copy it."""


def snapshot_sqlite(source: Path, target: Path) -> tuple[int, str]:
    """Replace `target` by a copy of `source` in one file, committed transactions only; its size and sha256.

    Raises:
        FileNotFoundError: there is no such database.
        DatabaseBusy: its log was begun anew, or it was rewritten without one, during each of 20 attempts.
    """
    if not source.is_file():
        raise FileNotFoundError(f"{source} is not there")
    target.parent.mkdir(parents=True, exist_ok=True)
    _drop_stale(target)
    draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE_S)
            if _copy(source, draft):
                break
        else:
            raise DatabaseBusy(f"{source} changed during each of {ATTEMPTS} attempts to copy it; ask again")
        with contextlib.closing(sqlite3.connect(str(draft))) as copy:
            copy.execute("PRAGMA journal_mode = DELETE")  # plays the copied log into the copy
        answer = draft.stat().st_size, sha256_of(draft)
        draft.replace(target)
    finally:
        for leftover in (draft, _wal(draft), draft.with_name(draft.name + "-shm")):
            with contextlib.suppress(FileNotFoundError):
                leftover.unlink()
    return answer


def _copy(source: Path, draft: Path) -> bool:
    """Copy database and log; False when something began anew meanwhile."""
    before = _state(source)
    shutil.copyfile(source, draft)
    with contextlib.suppress(FileNotFoundError):
        _wal(draft).unlink()
    if before[0]:
        try:
            shutil.copyfile(_wal(source), _wal(draft))
        except FileNotFoundError:
            return False
    return _state(source) == before and not source.with_name(source.name + "-journal").exists()


def _state(source: Path) -> tuple[bytes, tuple[int, int, int], bytes]:
    """What must not change during a copy: the log's header, or, without a log, the file itself and its header."""
    try:
        with _wal(source).open("rb") as log:
            header = log.read(WAL_HEADER_BYTES)
    except FileNotFoundError:
        header = b""
    if header:
        return header, (0, 0, 0), b""
    found = source.stat()
    with source.open("rb") as file:
        return header, (found.st_ino, found.st_size, found.st_mtime_ns), file.read(DATABASE_HEADER_BYTES)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _drop_stale(target: Path) -> None:
    """Drafts of agents that were killed."""
    for old in target.parent.glob(f"{target.name}.*.tmp*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > STALE_DRAFT_S:
                old.unlink()
