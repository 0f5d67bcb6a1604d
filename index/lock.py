"""One writer at a time: an advisory file lock that names its holder and dies with it."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict

import orjson

from index.errors import IndexLocked, IndexNotWritable


class _Holder(TypedDict):
    pid: int | None
    host: str
    purpose: str


class WriterLock:
    """Holds `flock` on a file whose content says who holds it, for as long as the context lasts.

    The kernel lets go of it when the holder dies, `kill -9` included, so a stale file blocks nobody.
    """

    def __init__(self, path: Path, purpose: str) -> None:
        self.path = path
        self.purpose = purpose
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Take the lock. Raises IndexLocked, naming the holder, when it is taken; IndexNotWritable."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise IndexNotWritable(
                f"{self.path.parent} can't be written ({error.strerror}); the index needs write permission there."
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(handle)
            os.close(handle)
            raise IndexLocked(self.path, **holder) from None
        except OSError:
            os.close(handle)
            raise
        identity = {"pid": os.getpid(), "host": socket.gethostname(), "purpose": self.purpose, "since": time.time()}
        os.ftruncate(handle, 0)
        os.pwrite(handle, orjson.dumps(identity) + b"\n", 0)
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None


def _holder(handle: int) -> _Holder:
    try:
        said = orjson.loads(os.pread(handle, 4096, 0))
        return {"pid": int(said["pid"]), "host": str(said["host"]), "purpose": str(said["purpose"])}
    except (ValueError, KeyError, TypeError):
        # The holder is between taking the lock and writing its name.
        return {"pid": None, "host": "", "purpose": ""}
