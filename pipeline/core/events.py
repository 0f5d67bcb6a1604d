"""`events.jsonl`, the only progress channel of a run: typed lines with a sequence number that never skips."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.core.files import LineFile, read_lines

RunState = Literal["queued", "running", "succeeded", "incomplete", "failed", "cancelled", "interrupted"]
ItemStatus = Literal["ok", "failed", "rejected", "skipped"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    ts: float = 0.0
    """Unix time in seconds."""
    seq: int = 0
    """1, 2, 3 … without a gap, across resumes."""
    run: str = ""


class StateEvent(_Event):
    """The run changed its state."""

    type: Literal["state"] = "state"
    state: RunState
    message: str | None = None


class StageEvent(_Event):
    """A stage began or ended; `total` counts the run's items, those done in earlier sessions included."""

    type: Literal["stage"] = "stage"
    stage: str
    state: Literal["started", "finished"]
    total: int
    done: int
    ok: int
    failed: int
    skipped: int = 0
    """Items that an earlier stage failed."""
    rejected: int = 0
    elapsed_s: float = 0.0


class ProgressEvent(_Event):
    """How far a stage is; at most about four a second."""

    type: Literal["progress"] = "progress"
    stage: str
    total: int
    done: int
    ok: int
    failed: int
    rate_per_s: float
    eta_s: float | None = None


class ItemErrorInfo(BaseModel):
    """Why an item failed."""

    type: str
    message: str
    retryable: bool


class ItemEvent(_Event):
    """An item reached its end in a stage."""

    type: Literal["item"] = "item"
    stage: str
    item: str
    group: str
    page: int | None = None
    status: ItemStatus
    attempt: int
    elapsed_s: float
    error: ItemErrorInfo | None = None


class MetricEvent(_Event):
    """A number worth keeping; also a line of `metrics.jsonl`."""

    type: Literal["metric"] = "metric"
    name: str
    value: float
    unit: str | None = None
    stage: str | None = None


class LogEvent(_Event):
    """A sentence for the operator."""

    type: Literal["log"] = "log"
    level: Literal["debug", "info", "warning", "error"]
    message: str


class HeartbeatEvent(_Event):
    """The run is alive though it has nothing else to say."""

    type: Literal["heartbeat"] = "heartbeat"


Event = Annotated[
    StateEvent | StageEvent | ProgressEvent | ItemEvent | MetricEvent | LogEvent | HeartbeatEvent,
    Field(discriminator="type"),
]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


class EventLog:
    """Appends a run's events; the one writer is the process that holds the run's lock."""

    def __init__(self, path: Path, run_id: str, clock: Callable[[], float] = time.time) -> None:
        self._run_id = run_id
        self._clock = clock
        self._seq = max((int(line.get("seq", 0)) for line in read_lines(path)), default=0)
        self._lines = LineFile(path)
        self.last_ts = 0.0

    def emit(self, *events: Event) -> None:
        """Stamp the events with time, sequence number and run, and append them in one write."""
        lines: list[dict[str, Any]] = []
        for event in events:
            self._seq += 1
            self.last_ts = self._clock()
            stamped = event.model_copy(update={"ts": self.last_ts, "seq": self._seq, "run": self._run_id})
            lines.append(stamped.model_dump(mode="json", exclude_none=not isinstance(event, ProgressEvent)))
        self._lines.append(lines)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def read_events(path: Path, offset: int = 0) -> Iterator[Event]:
    """The events of a file from byte `offset` on; torn lines and types of a newer writer are passed over."""
    for line in read_lines(path, offset):
        try:
            yield _ADAPTER.validate_python(line)
        except ValidationError:
            continue
