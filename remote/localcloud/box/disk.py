"""A disk that is full, without a quota and without root: files of the box's processes can no longer grow.

Writes fail with EFBIG ("File too large") where a real disk says ENOSPC, and `df` tells that nothing is free.
"""

from __future__ import annotations

import contextlib
import sys

import psutil

NO_GROWTH = 'ulimit -S -f 0; trap "" XFSZ; exec "$@"'
"""Run by a shell before a command: its files cannot grow, and it lives to see the error."""


def command_that_cannot_grow(shell: str, argv: list[str]) -> list[str]:
    """`argv`, started in such a way that no file of it grows."""
    return [shell, "-c", NO_GROWTH, "full-disk", *argv]


def stop_growing(box_pid: int) -> None:
    """Let no file of the box's living commands grow (Linux; elsewhere only new commands are stopped)."""
    if sys.platform != "linux":
        return
    for process in psutil.Process(box_pid).children(recursive=True):
        with contextlib.suppress(psutil.Error, PermissionError):
            _least, most = process.rlimit(psutil.RLIMIT_FSIZE)
            process.rlimit(psutil.RLIMIT_FSIZE, (0, most))
