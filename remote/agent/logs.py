"""Logs of any length as pieces with global byte offsets: written by one small process a job, read as one file.

    log            the newest piece, which grows
    log.<offset>   older ones, each named by the place of its first byte in the whole

A job writes into a pipe, and this process from there to the pieces. It lives as long as anything that has the pipe
open, whatever becomes of the supervisor. Two jobs may append to one log: each holds a shared lock on the newest piece,
and it is put aside only by one that can have it alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

CHUNK_BYTES = 256 * 1024
PIPE_BYTES = 1024 * 1024
F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)
FULL_DISK_TRIES = 30
FULL_DISK_PAUSE_S = 1.0
READ_TRIES = 50


class FileShrank(Exception):
    """A file that was followed is shorter than what was read of it: it was replaced."""


class LogPieceGone(Exception):
    """The asked part of a log was deleted, as its job allows."""


def make_pipe() -> tuple[int, int]:
    """A pipe with room for a burst: (read end, write end)."""
    source, sink = os.pipe()
    with contextlib.suppress(OSError):  # only Linux can, and only up to a limit of the system
        fcntl.fcntl(sink, F_SETPIPE_SZ, PIPE_BYTES)
    return source, sink


class LogWriter:
    """Appends to a log, putting full pieces aside and deleting the oldest beyond the cap."""

    def __init__(self, path: Path, piece_bytes: int, keep_bytes: int | None) -> None:
        self._path = path
        self._piece_bytes = piece_bytes
        self._keep_bytes = keep_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open()

    def copy(self, source: int) -> None:
        """All of a pipe, until nobody has its other end open. On a disk that stays full bytes are lost, and told."""
        dropped = 0
        while True:
            data = os.read(source, CHUNK_BYTES)
            if not data:
                return
            if dropped:
                data = f"[{dropped} bytes of output were lost: the disk was full]\n".encode() + data
            dropped = self.append(data)

    def append(self, data: bytes) -> int:
        """Write all of it; returns how many bytes could not be, after half a minute of trying."""
        rest = memoryview(data)
        tries = 0
        while rest:
            room = self._piece_bytes - os.fstat(self._file).st_size
            try:
                rest = rest[os.write(self._file, rest[:room] if room > 0 else rest) :]
                tries = 0
            except OSError:
                tries += 1
                if tries >= FULL_DISK_TRIES:
                    return len(rest)
                time.sleep(FULL_DISK_PAUSE_S)
            if os.fstat(self._file).st_size >= self._piece_bytes:
                with contextlib.suppress(OSError):  # then the piece grows on, and the next write tries again
                    self._turn()
        return 0

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _turn(self) -> None:
        """Put the newest piece aside, unless another writer has it open too."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._file, fcntl.LOCK_SH)  # a lock that could not be changed is gone
            if not self._is_newest(self._file):
                self._reopen()
            return
        if self._is_newest(self._file):
            start = _end_of(pieces(self._path))
            self._path.rename(self._path.with_name(f"{self._path.name}.{start}"))
            self._drop_oldest()
        self._reopen()

    def _drop_oldest(self) -> None:
        """The newest full piece always stays: its name and size tell where the growing one begins."""
        if self._keep_bytes is None:
            return
        kept = 0
        for number, (_start, path) in enumerate(reversed(pieces(self._path))):
            if number > 0 and kept >= self._keep_bytes:
                path.unlink()
            else:
                kept += path.stat().st_size

    def _reopen(self) -> None:
        before, self._file = self._file, self._open()
        os.close(before)

    def _open(self) -> int:
        while True:
            opened = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            fcntl.flock(opened, fcntl.LOCK_SH)
            if self._is_newest(opened):
                return opened
            os.close(opened)  # another writer put it aside just now

    def _is_newest(self, opened: int) -> bool:
        try:
            return os.fstat(opened).st_ino == self._path.stat().st_ino
        except FileNotFoundError:
            return False


def pieces(path: Path) -> list[tuple[int, Path]]:
    """The full pieces of a log with the offset of each, oldest first; none for a log (or any file) in one piece."""
    prefix = f"{path.name}."
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        return []
    starts = [int(name[len(prefix) :]) for name in names if name.startswith(prefix) and name[len(prefix) :].isdigit()]
    return [(start, path.with_name(f"{prefix}{start}")) for start in sorted(starts)]


def read_at(path: Path, offset: int, max_bytes: int) -> tuple[int, bytes]:
    """(size of the whole, bytes from `offset` on): at most `max_bytes`, and never over the end of a piece.

    Raises:
        FileShrank: the whole is shorter than `offset`.
        LogPieceGone: `offset` lies in a piece that was deleted; the text names the first byte that is kept.
    """
    for _attempt in range(READ_TRIES):
        with contextlib.suppress(_Turned):
            return _read_at(path, offset, max_bytes)
    raise OSError(f"{path} is put aside faster than it can be read")


class _Turned(Exception):
    """The pieces changed during a look."""


def _read_at(path: Path, offset: int, max_bytes: int) -> tuple[int, bytes]:
    full = pieces(path)
    try:
        with path.open("rb") as newest:
            if pieces(path) != full:
                raise _Turned
            start = _end_of(full)
            size = start + os.fstat(newest.fileno()).st_size
            if offset >= start:
                if offset > size:
                    raise FileShrank(f"{path} has {size} bytes now, {offset} were read before")
                newest.seek(offset - start)
                return size, newest.read(max_bytes) if size > offset else b""
    except FileNotFoundError:
        if pieces(path) != full:
            raise _Turned from None
        size = _end_of(full)
        if offset >= size:
            if offset > size:
                raise FileShrank(f"{path} has {size} bytes now, {offset} were read before") from None
            return size, b""
    if offset < full[0][0]:
        raise LogPieceGone(f"{path} is kept from byte {full[0][0]} on; what was before is deleted ({offset} was asked)")
    start, piece = next(each for each in reversed(full) if each[0] <= offset)
    try:
        with piece.open("rb") as file:
            file.seek(offset - start)
            return size, file.read(max_bytes)
    except FileNotFoundError:
        raise _Turned from None


def size_of(path: Path) -> int:
    """The size of the whole; 0 without a file."""
    for _attempt in range(READ_TRIES):
        with contextlib.suppress(_Turned):
            full = pieces(path)
            size = _end_of(full) + (path.stat().st_size if path.exists() else 0)
            if pieces(path) == full:
                return size
    raise OSError(f"{path} is put aside faster than it can be looked at")


def _end_of(full: list[tuple[int, Path]]) -> int:
    """Where the growing piece begins."""
    if not full:
        return 0
    start, newest = full[-1]
    try:
        return start + newest.stat().st_size
    except FileNotFoundError:
        raise _Turned from None
