"""Files that appear whole or not at all, names that stay inside their folder, and hashes of trees."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from remote.agent.inside import UnsafePath as UnsafePath
from remote.agent.inside import check_name as check_name
from remote.agent.inside import resolve_inside as resolve_inside

READ_BYTES = 1024 * 1024


@dataclass(frozen=True)
class TreeEntry:
    """One file of a tree: relative name with `/`, permission bits, size, sha256."""

    name: str
    mode: int
    size: int
    sha256: str


def tree_hash(entries: Iterable[TreeEntry]) -> str:
    """A sha256 over names, permission bits and contents."""
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.name):
        name = entry.name.encode("utf-8", "surrogateescape")
        digest.update(b"%o %s %d:" % (entry.mode, entry.sha256.encode("ascii"), len(name)) + name + b"\n")
    return digest.hexdigest()


def sha256_of(path: Path, limit_bytes: int | None = None) -> str:
    """The sha256 of a file, or of its first `limit_bytes`."""
    digest = hashlib.sha256()
    left = limit_bytes
    with path.open("rb") as file:
        while left is None or left > 0:
            data = file.read(READ_BYTES if left is None else min(READ_BYTES, left))
            if not data:
                break
            digest.update(data)
            left = None if left is None else left - len(data)
    return digest.hexdigest()


def continue_at(file: BinaryIO, have: int) -> hashlib._Hash:
    """Keep the first `have` bytes of a half-written file, stand behind them, and return their hash."""
    file.truncate(have)
    file.seek(0)
    digest = hashlib.sha256()
    while True:
        data = file.read(READ_BYTES)
        if not data:
            return digest
        digest.update(data)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, data: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Replace `path` by `data`; readers see the old or the new content. The mode holds from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
    if durable:
        sync_folder(path.parent)


class Flusher:
    """Makes files durable beside their writing, several at once: their fsyncs then share the journal's commits."""

    WORKERS = 8
    BATCH_FILES = 32

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._batches: queue.Queue[list[str] | None] = queue.Queue(maxsize=4 * self.WORKERS)
        self._workers: list[threading.Thread] = []
        self._failures: list[OSError] = []

    def add(self, path: str) -> None:
        """Queue one file that is written to its end, or so far."""
        self._waiting.append(path)
        if len(self._waiting) >= self.BATCH_FILES:
            self._hand_over()

    def finish(self) -> None:
        """Wait until all of them are durable.

        Raises:
            OSError: one could not be made so.
        """
        share = max(1, -(-len(self._waiting) // self.WORKERS))
        while self._waiting:
            rest = self._waiting[share:]
            del self._waiting[share:]
            self._hand_over()
            self._waiting = rest
        for _worker in self._workers:
            self._batches.put(None)
        for worker in self._workers:
            worker.join()
        self._workers = []
        if self._failures:
            raise self._failures[0]

    def _hand_over(self) -> None:
        batch, self._waiting = self._waiting, []
        if len(self._workers) < self.WORKERS:
            self._workers.append(threading.Thread(target=self._work, name="fsync", daemon=True))
            self._workers[-1].start()
        self._batches.put(batch)

    def _work(self) -> None:
        while True:
            batch = self._batches.get()
            if batch is None:
                return
            for path in batch:
                try:
                    _sync_file(path)
                except OSError as error:
                    self._failures.append(error)


def _sync_file(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Landing:
    """Moves finished drafts to their places in batches, so that their fsyncs share the journal's commits."""

    def __init__(self, max_files: int = 256, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._waiting: list[tuple[str, str]] = []
        self._bytes = 0

    def add(self, draft: str | Path, place: str | Path, size: int) -> bool:
        """Queue one complete draft; True when it is time to `land`."""
        self._waiting.append((str(draft), str(place)))
        self._bytes += size
        return len(self._waiting) >= self._max_files or self._bytes >= self._max_bytes

    def land(self) -> list[str]:
        """fsync the drafts, rename them, fsync the folders; the places that are durable now."""
        flusher = Flusher()
        for draft, _place in self._waiting:
            flusher.add(draft)
        flusher.finish()
        folders: set[str] = set()
        for draft, place in self._waiting:
            folder = place.rpartition("/")[0]
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - thousands of them, and Path is slow
                folders.add(folder)
            os.replace(draft, place)  # noqa: PTH105
        for folder in folders:
            sync_folder(Path(folder))
        landed = [place for _draft, place in self._waiting]
        self._waiting, self._bytes = [], 0
        return landed
