"""Which files make up a log, what they are called on screen, and what their lines say: job logs, operations, events."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from console.language import _
from console.models.log_stamp import Level, clock_time
from console.operations.fleet_book import FleetBook
from console.operations.runbook import Phase, Runbook, RunEntry, RunNotFound
from console.workspace import Workspace

Kind = str
"""`job`, `operations` or `events`: how the file's lines are read."""

_JOB = re.compile(r"job-(\d+)(?:-(.+))?\.log")
_MOMENT = re.compile(r"(?:(\d{4}-\d\d-\d\d)[T ])?(\d{1,2}):(\d\d)(?::(\d\d))?")
_MARKS = {"started": "…", "finished": "✓", "failed": "✗"}


@dataclass(frozen=True, slots=True)
class LogPlace:
    """What a log view is opened at."""

    run: str = ""
    """A run's id or a part of it, `last`, or an instance's number; empty means all live runs."""
    moment: str = ""
    """`12:00:03`, or with a date before it."""

    @classmethod
    def read(cls, argument: str) -> LogPlace:
        """`RUN`, `RUN@12:00:03`, `@12:00:03`, or nothing.

        Raises:
            ValueError: what stands behind `@` is no time; the text says what one looks like.
        """
        run, at, moment = argument.strip().partition("@")
        if at and not _MOMENT.fullmatch(moment.strip()):
            raise ValueError(_("{text} is no time: write RUN@12:00:03").format(text=moment.strip() or "@"))
        return cls(run.strip(), moment.strip())

    def when(self, near: float) -> float | None:
        """The moment in Unix seconds, local time; a clock without a date is the last before `near`."""
        found = _MOMENT.fullmatch(self.moment)
        if found is None:
            return None
        day, hour, minute, second = found[1], int(found[2]), int(found[3]), int(found[4] or 0)
        if day is None:
            return clock_time(hour, minute, second, near)
        try:
            return datetime.fromisoformat(f"{day}T{hour:02}:{minute:02}:{second:02}").timestamp()
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file that grows."""

    path: Path
    name: str
    """Its lines' source on screen: `job 1`, `b2.0`, `laptop`; before it the run's last characters, among several."""
    kind: Kind
    run_id: str


def runs_of(workspace: Workspace, place: LogPlace) -> tuple[RunEntry, ...]:
    """The runs whose logs are meant: one, or all that are not over; when all are, the newest.

    Raises:
        RunNotFound: there is none like that.
    """
    book = Runbook(workspace)
    if place.run:
        return (_run_of(workspace, book, place.run),)
    entries = book.entries()
    living = tuple(
        entry for entry in entries if entry.phase is not Phase.DONE and book.holder(entry.run_id) is not None
    )
    return living or tuple(entries[:1])


def _run_of(workspace: Workspace, book: Runbook, text: str) -> RunEntry:
    """A run by its id or by the number of an instance that works or worked on it."""
    try:
        return book.resolve(text)
    except RunNotFound:
        if not text.isdigit():
            raise
        for entry in book.entries():
            if int(text) in entry.machines or _box_of(workspace, entry, int(text)) is not None:
                return entry
        raise


def _box_of(workspace: Workspace, entry: RunEntry, instance: int) -> str | None:
    """The name of an instance among the boxes of a run in shards."""
    if not entry.sharded:
        return None
    boxes = FleetBook(workspace, entry.run_id).fleet.boxes
    return next((box.name for box in boxes if box.instance_id == instance), None)


def files_of(workspace: Workspace, place: LogPlace, *, events: bool) -> list[LogFile]:
    """The files that make up the log now; more may come while a run goes on.

    Raises:
        RunNotFound: there is no such run.
    """
    entries = runs_of(workspace, place)
    found: list[LogFile] = []
    for entry in entries:
        folder = workspace.run_folder(entry.run_id)
        before = "" if place.run else f"{entry.run_id[-4:]} "
        box = _box_of(workspace, entry, int(place.run)) if place.run.isdigit() and place.run != entry.run_id else None
        if box is None:
            found.append(LogFile(folder / "logs" / "operations.jsonl", f"{before}laptop", "operations", entry.run_id))
            if events:
                found.append(LogFile(folder / "events.jsonl", f"{before}events", "events", entry.run_id))
        for path in sorted((folder / "logs").glob("job-*.log")):
            named = _JOB.fullmatch(path.name)
            part = (named[2] or f"job {named[1]}") if named else path.stem
            if box is None or part.startswith(f"{box}."):
                found.append(LogFile(path, before + part, "job", entry.run_id))
    return found


Read = Callable[[str], "tuple[str, float | None, Level | None] | None"]
"""A line of a file → text, time and level; None for a time or a level that the text itself tells, and for a line that
is none of the log's."""


def read_job(line: str) -> tuple[str, float | None, Level | None] | None:
    """A line as a program wrote it."""
    return line, None, None


def read_operation(line: str) -> tuple[str, float | None, Level | None] | None:
    """A line of the run's operations journal; one that a crash tore is shown as it is."""
    try:
        event = orjson.loads(line)
        text = f"{_clock(event['ts'])} {_MARKS.get(event['state'], '·')} {event['operation']}: {event['message']}"
        return text, float(event["ts"]), Level.ERROR if event["state"] == "failed" else Level.INFO
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return line, None, None


def read_event(line: str) -> tuple[str, float | None, Level | None] | None:
    """A line of the run's events; ticks and measurements, which come by the second, are left out."""
    try:
        event = orjson.loads(line)
        said = _event_words(event)
        if said is None:
            return None
        words, level = said
        return f"{_clock(event['ts'])} {words}", float(event["ts"]), level
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return line, None, None


def _event_words(event: dict[str, Any]) -> tuple[str, Level] | None:
    match event["type"]:
        case "state":
            level = Level.ERROR if event["state"] == "failed" else Level.INFO
            return f"{event['state']} {event.get('message') or ''}".rstrip(), level
        case "stage":
            counts = f"{event['done']}/{event['total']}"
            failed = f", {event['failed']} failed" if event.get("failed") else ""
            return f"{event['stage']} {event['state']} {counts}{failed}", Level.WARNING if failed else Level.INFO
        case "item":
            page = "" if event.get("page") is None else f" page {event['page']}"
            error = event.get("error") or {}
            reason = f": {error.get('message', '')}" if error else ""
            level = Level.ERROR if event["status"] == "failed" else Level.INFO
            return (
                f"{event['stage']} {event['status']} {event['group']}{page} {event['elapsed_s']:.2f} s{reason}",
                level,
            )
        case "log":
            return event["message"], Level[event["level"].upper()]
        case _:
            return None


READERS: dict[Kind, Read] = {"job": read_job, "operations": read_operation, "events": read_event}


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
