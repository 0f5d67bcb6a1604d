"""One marketplace per state directory: a lock that the system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

NAME = "cloud.lock"
ALREADY_SERVED = 3
"""Exit code of a start that found the lock taken."""


class CloudLock:
    """An exclusive lock on a state directory, held until `release` or the end of the process and of those it forked."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / NAME
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Whether the lock is ours now; never waits."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let somebody else serve."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
