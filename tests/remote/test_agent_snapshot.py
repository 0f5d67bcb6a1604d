from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from remote.agent import snapshot
from remote.agent.snapshot import DatabaseBusy, snapshot_sqlite

WRITER = """
import sqlite3, sys, time
path, deadline_sessions = sys.argv[1], int(sys.argv[2])
n = 0
for session in range(deadline_sessions):
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA wal_autocheckpoint=20")
    db.execute("CREATE TABLE IF NOT EXISTS a (n INTEGER PRIMARY KEY, fill BLOB)")
    db.execute("CREATE TABLE IF NOT EXISTS b (n INTEGER PRIMARY KEY, fill BLOB)")
    for _ in range(150):
        n += 1
        db.execute("BEGIN IMMEDIATE")
        for table in "ab":
            db.execute(f"INSERT INTO {table} VALUES (?, randomblob(3000))", (n,))
        db.execute("COMMIT")
        time.sleep(0.002)  # far busier than a run's ledger, and room for a snapshot between two restarts of the log
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA journal_mode=DELETE")
    db.close()
print(n)
"""


def rows(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'b'").fetchone():
            return 0, 0
        (first,), (second,) = (database.execute(f"SELECT count(*) FROM {name}").fetchone() for name in "ab")
        return first, second


def test_every_snapshot_of_a_busy_database_is_one_of_its_states_and_its_writer_is_never_disturbed(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "ledger.sqlite", tmp_path / "a copy" / "ledger.sqlite"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(source), "12"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    seen = []
    while writer.poll() is None:
        try:
            snapshot_sqlite(source, target)
        except (FileNotFoundError, DatabaseBusy):
            continue
        first, second = rows(target)
        assert first == second
        seen.append(first)
    out, error = writer.communicate()
    assert (out, error) == ("1800\n", "")
    snapshot_sqlite(source, target)
    assert rows(target) == (1800, 1800)
    assert seen == sorted(seen)
    assert len(set(seen)) > 5
    assert [path.name for path in target.parent.iterdir()] == ["ledger.sqlite"]


def test_a_writer_can_settle_its_database_in_the_middle_of_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "ledger.sqlite", tmp_path / "copy.sqlite"
    writer = sqlite3.connect(source, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE t (n)")
    writer.execute("INSERT INTO t VALUES (1)")
    copyfile = snapshot.shutil.copyfile
    copies: list[Path] = []

    def settle_after_the_database(source: Path, target: Path) -> Path:
        copies.append(source)
        copied = copyfile(source, target)
        if len(copies) == 1:
            writer.execute("INSERT INTO t VALUES (2)")
            assert writer.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
            writer.close()
        return copied

    monkeypatch.setattr(snapshot.shutil, "copyfile", settle_after_the_database)
    snapshot_sqlite(source, target)
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT n FROM t ORDER BY n").fetchall() == [(1,), (2,)]
    assert len(copies) > 1


def test_a_database_that_changes_all_the_time_is_told_and_the_earlier_copy_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "ledger.sqlite", tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(source)) as database:
        database.execute("CREATE TABLE t (n)")
    target.write_bytes(b"earlier")
    stale = tmp_path / "copy.sqlite.00000000.tmp"
    stale.write_bytes(b"of an agent that was killed")
    os.utime(stale, (time.time() - 7200, time.time() - 7200))
    copyfile = snapshot.shutil.copyfile

    def touch(source: Path, target: Path) -> Path:
        copied = copyfile(source, target)
        with closing(sqlite3.connect(source)) as database, database:
            database.execute("INSERT INTO t VALUES (1)")
        return copied

    monkeypatch.setattr(snapshot.shutil, "copyfile", touch)
    monkeypatch.setattr(snapshot, "PAUSE_S", 0)
    with pytest.raises(DatabaseBusy, match="changed during each of 20 attempts"):
        snapshot_sqlite(source, target)
    assert target.read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite", "ledger.sqlite"]
