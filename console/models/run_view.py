"""A run as its events tell it: state, stages, failures. A pure fold, so the CLI, the app and a replay agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class StageView:
    """One stage's counts."""

    name: str
    state: str = "waiting"
    total: int = 0
    done: int = 0
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    rate_per_s: float = 0.0
    eta_s: float | None = None
    elapsed_s: float = 0.0
    """Of its last session, as the pipeline counted it."""
    started_at: float | None = None
    """Unix seconds at which it first began; a resumed run keeps it."""
    ended_at: float | None = None
    """Unix seconds at which it last finished; None while it works."""

    def wall_s(self, now: float) -> float | None:
        """Seconds from its first beginning to its end, or to `now`; None before it began."""
        if self.started_at is None:
            return None
        return max(0.0, (now if self.ended_at is None else self.ended_at) - self.started_at)


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that a stage gave up on."""

    stage: str
    item: str
    group: str
    page: int | None
    reason: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class RunView:
    """What is known of a run so far."""

    state: str = "queued"
    message: str = ""
    stages: dict[str, StageView] = field(default_factory=dict)
    started_at: float | None = None
    last_event_at: float | None = None
    last_seq: int = -1

    @property
    def ended(self) -> bool:
        """Whether the pipeline has come to an end, good or bad."""
        return self.state in ENDED_STATES

    @property
    def fraction(self) -> float:
        """Share of all stages' items that are done, 0 to 1."""
        total = sum(stage.total for stage in self.stages.values())
        return sum(stage.done for stage in self.stages.values()) / total if total else 0.0


ENDED_STATES = frozenset({"succeeded", "incomplete", "failed", "cancelled", "interrupted"})


def fold(view: RunView, event: dict[str, Any]) -> RunView:
    """`view` after one more event; unknown types only move the clock, so a newer box can say more."""
    ts = event.get("ts")
    view = replace(view, last_event_at=ts or view.last_event_at, last_seq=event.get("seq", view.last_seq))
    match event:
        case {"type": "state", "state": str(state)}:
            started = view.started_at or (ts if state == "running" else None)
            return replace(view, state=state, message=event.get("message") or "", started_at=started)
        case {"type": "stage", "stage": str(), "state": str(state)}:
            at: dict[str, Any] = {"started_at": ts, "ended_at": None} if state == "started" else {"ended_at": ts}
            return _with_stage(view, event, state=state, elapsed_s=event.get("elapsed_s", 0.0), eta_s=None, **at)
        case {"type": "progress", "stage": str()}:
            return _with_stage(view, event, state="started")
        case _:
            return view


def fold_failures(failures: dict[str, Failure], event: dict[str, Any]) -> None:
    """Keep `failures`, by item, after one more event: an item that a resume mends is no failure any more."""
    match event:
        case {"type": "item", "item": str(item), "status": "failed"}:
            error = event.get("error") or {}
            failures[item] = Failure(
                event.get("stage", ""),
                item,
                event.get("group", ""),
                event.get("page"),
                error.get("message", ""),
                bool(error.get("retryable")),
            )
        case {"type": "item", "item": str(item), "status": "ok"}:
            failures.pop(item, None)


_COUNTS = ("total", "done", "ok", "failed", "skipped", "rate_per_s", "eta_s")


def _with_stage(view: RunView, event: dict[str, Any], **changes: Any) -> RunView:
    name = event["stage"]
    counts = {key: event[key] for key in _COUNTS if key in event}
    known = view.stages.get(name, StageView(name))
    if known.started_at is not None:
        changes.pop("started_at", None)
    stage = replace(known, **{**counts, **changes})
    return replace(view, stages={**view.stages, name: stage})


class EventFile:
    """Follows a growing `events.jsonl` on this machine, keeping the fold up to date; `also` is told every event."""

    def __init__(self, path: Path, also: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._path = path
        self._also = also
        self._offset = 0
        self._tail = b""
        self.view = RunView()
        self.failures: dict[str, Failure] = {}
        """What failed, by item, in the order in which it first did."""

    def refresh(self, limit_bytes: int = 1_000_000) -> bool:
        """Read what was appended, at most `limit_bytes`; returns whether anything was.

        A line that is not JSON was torn by a crash and ended by the next writer: it is passed over.
        """
        try:
            with self._path.open("rb") as handle:
                handle.seek(self._offset)
                chunk = handle.read(limit_bytes)
        except FileNotFoundError:
            return False
        if not chunk:
            return False
        self._offset += len(chunk)
        *lines, self._tail = (self._tail + chunk).split(b"\n")
        for line in lines:
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(event, dict):
                self.view = fold(self.view, event)
                fold_failures(self.failures, event)
                if self._also is not None:
                    self._also(event)
        return True

    def catch_up(self) -> RunView:
        """Read to the end of the file; returns the view."""
        while self.refresh():
            pass
        return self.view
