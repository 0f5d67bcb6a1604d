"""How far a demo that runs beside the console is, as its log tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SHOWN_LINES = 40
READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class DemoProgress:
    """What it said last, and how it ended."""

    lines: tuple[str, ...] = ()
    exit_code: int | None = None
    """None while it runs."""
    running: bool = False


def read_demo_log(log: Path, exit_code: Callable[[], int | None]) -> DemoProgress:
    """The end of the log; the exit code is asked first, so that what is read then is all of it."""
    code = exit_code()
    try:
        with log.open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(0, size - READ_BYTES))
            lines = handle.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        lines = []
    return DemoProgress(tuple(lines[-SHOWN_LINES:]), code, running=code is None)
