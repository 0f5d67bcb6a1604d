"""Files that survive `kill -9`: whole files appear by rename, line files only ever grow."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

_counter = itertools.count()


def write_atomic(path: Path, data: bytes, *, sync_folder: bool = True) -> None:
    """Make `path` hold `data`: temporary neighbour, fsync, rename. A reader sees the old file or the new one."""
    write_chunks_atomic(path, (data,), sync_folder=sync_folder)


def write_chunks_atomic(path: Path, chunks: Iterable[bytes], *, sync_folder: bool = True) -> None:
    """As `write_atomic`, for data that comes piece by piece."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_counter)}.tmp")
    try:
        with temporary.open("wb") as handle:
            for chunk in chunks:
                handle.write(chunk)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync_folder:
        fsync_folder(path.parent)


_DRAFT = re.compile(r"\..*\.(\d+)-\d+\.tmp")


def sweep_drafts(folder: Path) -> None:
    """Remove what `write_atomic` of an earlier session left behind in `folder`; one session at a time holds a run."""
    with os.scandir(folder) as entries:
        drafts = [(entry.path, int(found[1])) for entry in entries if (found := _DRAFT.fullmatch(entry.name))]
    for path, pid in drafts:
        if not _may_write_here(pid):
            Path(path).unlink(missing_ok=True)


def _may_write_here(pid: int) -> bool:
    """Whether `pid` is this process, the one that started it, or another one that either of them started.

    That it lives is not enough: a killed worker may still hang in an fsync or wait to be reaped, and numbers return.
    """
    family = (os.getpid(), os.getppid())
    if pid in family or not Path("/proc/self/stat").exists():
        return pid in family or _is_alive(pid)
    try:
        # "pid (name) state ppid …"; the name may hold anything, so what counts begins behind its last bracket.
        state, parent = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(parent) in family and state not in "ZX"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def fsync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes, fit for hashing."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: Any) -> str:
    """Hex SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


class LineFile:
    """An append-only file of JSON lines.

    A line that a killed writer left torn is ended by a newline, never cut off: others replicate the file by byte
    offset, so bytes once written stay. Readers pass over the line that does not parse.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            os.write(self._handle, b"\n")

    def append(self, values: list[dict[str, Any]], *, sync: bool = False) -> None:
        """Append one line per value, all in one write."""
        data = b"".join(orjson.dumps(value) + b"\n" for value in values)
        while data:
            data = data[os.write(self._handle, data) :]
        if sync:
            os.fsync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def read_lines(path: Path, offset: int = 0) -> Iterator[dict[str, Any]]:
    """The JSON objects of a line file from byte `offset` on; torn lines and a missing file give nothing."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(value, dict):
                yield value
