"""How an operation tells what it does: one small event, folded by progress bars, screens and the run's own log."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import orjson

State = Literal["started", "progress", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class OperationEvent:
    """One thing an operation says."""

    operation: str
    """`plan`, `rent`, `bootstrap`, `push`, `launch`, `watch`, `pull`, `ingest`, `destroy` …"""
    state: State
    message: str
    done: float = 0.0
    total: float | None = None
    unit: str = ""
    raised: bool = False
    """The reason follows as an error, so a terminal need not say it twice."""
    ts: float = field(default_factory=time.time)


Report = Callable[[OperationEvent], None]


class ProgressLike(Protocol):
    """What the packages below report: a phase, a sentence, and how far."""

    @property
    def phase(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def done(self) -> float: ...  # noqa: D102
    @property
    def total(self) -> float | None: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102


def silent(event: OperationEvent) -> None:
    """Report nothing."""


def tee(*reports: Report) -> Report:
    """One report that tells all of `reports`."""

    def tell(event: OperationEvent) -> None:
        for report in reports:
            report(event)

    return tell


def relay(operation: str, report: Report) -> Callable[[ProgressLike], None]:
    """Turn the progress of a package below into events of `operation`."""

    def tell(progress: ProgressLike) -> None:
        report(OperationEvent(operation, "progress", progress.message, progress.done, progress.total, progress.unit))

    return tell


class Step:
    """Context manager that frames an operation: started, then finished with a summary, or failed with the reason."""

    def __init__(self, operation: str, message: str, report: Report) -> None:
        self._operation = operation
        self._message = message
        self._report = report
        self.summary = ""
        """Say here what came of it; shown when the operation finishes."""
        self.failed = False
        """Set where it ended badly without an error to raise; the summary then says why."""

    def __enter__(self) -> Step:
        self._report(OperationEvent(self._operation, "started", self._message))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            state: Literal["finished", "failed"] = "failed" if self.failed else "finished"
            self._report(OperationEvent(self._operation, state, self.summary or self._message))
            return
        reason = "stopped by Ctrl-C" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
        self._report(OperationEvent(self._operation, "failed", reason, raised=True))


class Journal:
    """Keeps what operations said about one run in its `logs/operations.jsonl`; progress ticks are left out."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: OperationEvent) -> None:
        """Append one line, unless it is a mere tick; a full disk must not keep an operation from destroying a box."""
        if event.state == "progress":
            return
        with contextlib.suppress(OSError):
            self._append(orjson.dumps(asdict(event)) + b"\n")

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)
