"""Files of equal rows that are appended to and never changed, such as vectors.

How many rows count is written elsewhere, when they are on disk; what lies behind them is the remains of a writer that
was killed, and the next one overwrites it.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path


def write_behind(path: Path, offset: int, data: bytes | memoryview) -> None:
    """Let a file end with `data` at `offset`, and wait until the disk has it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        view = memoryview(data).cast("B")
        while view:
            written = os.pwrite(handle, view, offset)
            offset += written
            view = view[written:]
        os.ftruncate(handle, offset)
        os.fsync(handle)
    finally:
        os.close(handle)


def mapped(path: Path, size: int) -> mmap.mmap | None:
    """The first `size` bytes of a file, at least one, mapped into memory read-only; None when it is shorter.

    Raises FileNotFoundError.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < size:
            return None
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
