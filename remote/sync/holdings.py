"""What this machine holds of a run: the box's list of artifacts, and which of them were verified here.

All of it lives in the run's `.incoming/`: `listing.jsonl` (the box's list, byte for byte), `held.sqlite`
(what was verified, with the size and time that the file had then) and half-fetched parts. While files arrive there
is `unpublished` too: who finds it without its pull lists what landed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from remote.agent.files import UnsafePath, check_name, sha256_of, write_atomically
from remote.transport import TransportError

INCOMING = ".incoming"
LOCK_LIMIT_S = 600.0
LONGEST_NAME_BYTES = 255
SHA256 = re.compile(r"[0-9a-f]{64}")


class PullBusy(TransportError):
    """Another process has been pulling this run for a long time."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One artifact as the box lists it; the last line of a path wins."""

    path: str
    sha256: str
    size: int
    line: bytes


def parse_listing(data: bytes) -> tuple[dict[str, Listed], tuple[str, ...]]:
    """The artifacts to have here by path, and the names that are refused because they would leave the run's folder.

    A last line without its newline is still being written and is left out. Scratch is not for this machine.
    """
    listed: dict[str, Listed] = {}
    refused = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            row = json.loads(line.decode("utf-8"))
            path, sha256, size = str(row["path"]), str(row["sha256"]), int(row["bytes"])
        except (ValueError, KeyError, TypeError):
            refused.append(line[:200].decode("utf-8", "replace"))
            continue
        try:
            _check(path, sha256, size)
        except UnsafePath:
            refused.append(path)
            continue
        if row.get("retention") == "scratch":
            listed.pop(path, None)
        else:
            listed[path] = Listed(path, sha256, size, line)
    folders = {path[:end] for path in listed for end in range(len(path)) if path[end] == "/"}
    for path in folders & listed.keys():  # a name cannot be a file and a folder
        refused.append(path)
        del listed[path]
    return listed, tuple(refused)


def _check(path: str, sha256: str, size: int) -> None:
    parts = check_name(path).split("/")
    too_long = 4 * len(path) > LONGEST_NAME_BYTES and any(len(os.fsencode(part)) > LONGEST_NAME_BYTES for part in parts)
    if parts[0] == INCOMING or too_long or size < 0 or not SHA256.fullmatch(sha256):
        raise UnsafePath(path)


class Holdings:
    """What is held of one run. Use it inside `open_holdings`."""

    def __init__(self, run_dir: Path, notes: sqlite3.Connection) -> None:
        self.run_dir = run_dir
        self.incoming = run_dir / INCOMING
        self.listing_path = self.incoming / "listing.jsonl"
        self._unpublished = self.incoming / "unpublished"
        self._notes = notes
        notes.execute("CREATE TABLE IF NOT EXISTS held (path TEXT PRIMARY KEY, sha256 TEXT, size INT, mtime_ns INT)")
        rows = notes.execute("SELECT path, sha256, size, mtime_ns FROM held")
        self._held = {os.fsdecode(path): (sha256, size, mtime) for path, sha256, size, mtime in rows}

    def listing(self) -> bytes:
        """The box's list as far as it was fetched."""
        return self.listing_path.read_bytes() if self.listing_path.exists() else b""

    def keep_listing(self, data: bytes) -> None:
        """Remember the box's list."""
        write_atomically(self.listing_path, data)

    def holds(self, item: Listed) -> bool:
        """Whether the file is here and is what the box lists; it is hashed only if it changed since it was verified."""
        try:
            found = os.lstat(f"{self.run_dir}/{item.path}")
        except (FileNotFoundError, NotADirectoryError):
            return False
        if found.st_size != item.size:
            return False
        if self._held.get(item.path) == (item.sha256, found.st_size, found.st_mtime_ns):
            return True
        if sha256_of(self.run_dir / item.path) != item.sha256:
            return False
        self.note([item])
        return True

    def note(self, items: Iterable[Listed]) -> None:
        """Remember that these are here and verified."""
        rows = []
        for item in items:
            found = os.lstat(f"{self.run_dir}/{item.path}")
            self._held[item.path] = (item.sha256, found.st_size, found.st_mtime_ns)
            rows.append((os.fsencode(item.path), *self._held[item.path]))
        with self._notes:
            self._notes.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", rows)

    def expect_files(self) -> None:
        """Say that files will land which `artifacts.jsonl` does not list yet; `publish` takes it back."""
        self._unpublished.touch()

    def publish(self, listed: Iterable[Listed]) -> None:
        """Write `artifacts.jsonl` here: the lines of the box's list whose files are held."""
        lines = b"".join(item.line + b"\n" for item in listed)
        path = self.run_dir / "artifacts.jsonl"
        if not path.exists() or path.read_bytes() != lines:
            write_atomically(path, lines)
        self._unpublished.unlink(missing_ok=True)

    def list_what_landed(self) -> None:
        """Do what a pull that was killed between landing its files and listing them did not come to.

        Its ledger may have landed too, and calls work done whose files no list names: who goes on from here would
        do all of it again.
        """
        if self._unpublished.exists():
            listed, _refused = parse_listing(self.listing())
            self.publish(item for item in listed.values() if self.holds(item))


@contextmanager
def open_holdings(run_dir: Path) -> Iterator[Holdings]:
    """The holdings of a run, for one process at a time.

    Raises:
        PullBusy: another process keeps them for ten minutes.
    """
    incoming = run_dir / INCOMING
    incoming.mkdir(parents=True, exist_ok=True)
    with (incoming / "lock").open("ab") as lock:
        deadline = time.monotonic() + LOCK_LIMIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise PullBusy(f"another process is pulling into {run_dir}; wait for it or end it") from error
                time.sleep(0.1)
        notes = sqlite3.connect(incoming / "held.sqlite")
        notes.execute("PRAGMA journal_mode=WAL")
        notes.execute("PRAGMA synchronous=NORMAL")  # losing the last notes costs hashing their files once more
        try:
            yield Holdings(run_dir, notes)
        finally:
            notes.close()


def list_what_landed(run_dir: Path) -> None:
    """List what a killed pull left unlisted in a run's folder that nobody may be pulling any more.

    Raises:
        PullBusy: another process keeps the folder for ten minutes.
    """
    if (run_dir / INCOMING).is_dir():
        with open_holdings(run_dir) as holdings:
            holdings.list_what_landed()
