"""Files of lines that many processes append to, and that never grow past a bound."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def append_line(path: Path, line: bytes, most_bytes: int) -> None:
    """Append a line in one write to a file that only its owner may read, making its folder.

    A file that has grown to `most_bytes` becomes `name.1.suffix` first, in place of the one before: two are kept.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _with_room(path, most_bytes) as descriptor:
        os.write(descriptor, line)


@contextmanager
def _with_room(path: Path, most_bytes: int) -> Iterator[int]:
    """The file open at its end, and held; one that is long is put aside first, and who had opened it opens the next."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_still_there(path, descriptor):
                continue
            if os.fstat(descriptor).st_size < most_bytes:
                yield descriptor
                return
            path.replace(path.with_suffix(f".1{path.suffix}"))
        finally:
            os.close(descriptor)


def _is_still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
