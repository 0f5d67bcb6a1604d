"""One change of a shared SQLite file: whatever breaks it, nothing of it stays and the next one can begin."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote.transaction import transaction


@pytest.fixture
def file(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None, timeout=0, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("CREATE TABLE machines (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE bills (machine INTEGER REFERENCES machines DEFERRABLE INITIALLY DEFERRED)")
    yield connection
    connection.close()


def ids(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM machines ORDER BY id")]


def add(file: sqlite3.Connection, lock: threading.RLock, number: int, then: type[BaseException] | None = None) -> None:
    with transaction(file, lock) as connection:
        connection.execute("INSERT INTO machines VALUES (?)", (number,))
        if then is not None:
            raise then


def bill_nobody(file: sqlite3.Connection, lock: threading.RLock) -> None:
    """What the file takes at first, and refuses at the end."""
    with transaction(file, lock) as connection:
        connection.execute("INSERT INTO machines VALUES (1)")
        connection.execute("INSERT INTO bills VALUES (7)")


@pytest.mark.parametrize("broken_by", [ValueError, KeyboardInterrupt])
def test_what_raises_leaves_nothing_and_lets_the_next_one_in(
    file: sqlite3.Connection, broken_by: type[BaseException]
) -> None:
    lock = threading.RLock()
    with pytest.raises(broken_by):
        add(file, lock, 1, then=broken_by)
    add(file, lock, 2)
    assert (ids(file), file.in_transaction) == ([2], False)


def test_an_end_that_the_file_refuses_is_told_and_undone(file: sqlite3.Connection) -> None:
    lock = threading.RLock()
    with pytest.raises(sqlite3.IntegrityError):
        bill_nobody(file, lock)
    assert (ids(file), file.in_transaction) == ([], False)


def test_while_another_process_writes_nothing_begins(file: sqlite3.Connection, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    lock = threading.RLock()
    with transaction(other, threading.RLock()), pytest.raises(sqlite3.OperationalError, match="locked"):
        add(file, lock, 3)
    other.close()
    add(file, lock, 4)
    assert ids(file) == [4]


def test_threads_of_one_connection_wait_for_each_other(file: sqlite3.Connection) -> None:
    lock, begun = threading.RLock(), threading.Event()

    def later() -> None:
        begun.set()
        add(file, lock, 2)

    with transaction(file, lock) as connection:
        connection.execute("INSERT INTO machines VALUES (1)")
        thread = threading.Thread(target=later)
        thread.start()
        assert begun.wait(10)
        assert ids(file) == [1]
    thread.join(10)
    assert ids(file) == [1, 2]
