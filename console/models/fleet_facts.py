"""What this machine's own files know of the fleet: runs at work, figures of the boxes, the operator's notes.

Nothing here asks a cloud or a box. A `FleetFacts` is kept between two looks, so that each reads only what was appended.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from console.models.fleet import Load, Work
from console.models.run_view import EventFile, RunView
from console.operations.runbook import Phase, Runbook, RunEntry

if TYPE_CHECKING:
    from console.models.recorder import Recorder
    from console.models.recorder_samples import Sample
    from console.operations.session import Session

TREND_S = 600.0
"""How far back the little charts and the search for leaks look."""
TREND_POINTS = 20
LAST_LINES = 5
TAIL_BYTES = 16_384
LONGEST_LINE = 400


class FleetFacts:
    """Follows the runs that have machines, and the figures of those. Not thread-safe: one look at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._workspace = session.workspace
        self._cloud = session.cloud_name
        self._runbook = Runbook(session.workspace)
        self._followed: dict[str, _Followed] = {}

    def look(self) -> FactsNow:
        """Which run is where now."""
        entries = self._runbook.entries()
        kept = {entry.run_id for entry in entries if entry.machines}
        self._followed = {run_id: each for run_id, each in self._followed.items() if run_id in kept}
        return FactsNow(self, entries, read_notes(self._workspace.state, self._cloud))

    def work_of(self, entry: RunEntry) -> Work:
        """A run, as far as its files here tell."""
        followed = self._followed.get(entry.run_id)
        if followed is None:
            followed = self._followed[entry.run_id] = _Followed(self._workspace.run_folder(entry.run_id))
        driver = None if entry.phase is Phase.DONE else self._runbook.holder(entry.run_id)
        return followed.work(entry, driver)

    def load_of(self, instance_id: int) -> Load | None:
        """The newest figures of a box that a recorder noted; None without any.

        A recorder that cannot be read hides no machine and no money: who records tells of it.
        """
        try:
            recorder = self._recorder()
            newest = recorder.latest(instance_id) if recorder is not None else None
            if recorder is None or newest is None:
                return None
            since, until = newest.at - TREND_S, newest.at + 1.0
            trend = {
                name: recorder.series(instance_id, name, since, until, TREND_POINTS).values
                for name in ("gpu", "vram", "cpu", "ram")
            }
        except sqlite3.Error:
            return None
        return load_from(newest, trend)

    def _recorder(self) -> Recorder | None:
        """The recorder, once somebody made its file: looking at the fleet makes none."""
        from console.models.recorder import FILE

        return self._session.recorder if (self._workspace.state / FILE).exists() else None


class FactsNow:
    """One look: what is asked for is read when it is asked for."""

    def __init__(self, facts: FleetFacts, entries: list[RunEntry], notes: dict[int, str]) -> None:
        self._facts = facts
        self._notes = notes
        self._working: dict[int, RunEntry] = {}
        self._unpulled: dict[int, str] = {}
        self._freed_at: dict[int, float] = {}
        self._works: dict[str, Work] = {}
        for entry in entries:
            for machine in entry.machines:
                if entry.phase is not Phase.DONE:
                    self._working[machine] = entry
                if entry.freed_at is not None:
                    self._freed_at[machine] = max(entry.freed_at, self._freed_at.get(machine, 0.0))
                if entry.phase.reached(Phase.LAUNCHED) and not entry.phase.reached(Phase.PULLED):
                    self._unpulled[machine] = entry.run_id

    def of(self, instance_id: int) -> dict[str, Any]:
        """Fields of an `InstanceView`."""
        entry = self._working.get(instance_id)
        return {
            "run_id": entry.run_id if entry is not None else None,
            "unpulled_run": self._unpulled.get(instance_id),
            "work": self._work(entry) if entry is not None else None,
            "load": self._facts.load_of(instance_id),
            "note": self._notes.get(instance_id, ""),
            "freed_at": self._freed_at.get(instance_id),
        }

    def _work(self, entry: RunEntry) -> Work:
        if entry.run_id not in self._works:
            self._works[entry.run_id] = self._facts.work_of(entry)
        return self._works[entry.run_id]


class _Followed:
    """One run's events and log as they grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._events = EventFile(folder / "events.jsonl")
        self._counts: tuple[object, ...] = ()
        self._progressed_at: float | None = None

    def work(self, entry: RunEntry, driver: int | None) -> Work:
        self._events.refresh()
        view = self._events.view
        counts = tuple((stage.name, stage.state, stage.done) for stage in view.stages.values())
        if counts != self._counts:
            self._counts = counts
            self._progressed_at = _clipped(view.last_event_at)
        log = self._folder / "logs" / f"job-{entry.attempt}.log"
        done, total = progress(view)
        return Work(
            entry.run_id,
            entry.pipeline,
            view.state if entry.phase.reached(Phase.LAUNCHED) else entry.phase.value,
            done,
            total,
            driver,
            self._progressed_at,
            _newest((self._folder / "events.jsonl", log, self._folder / "logs" / "operations.jsonl")),
            last_lines(log),
            entry.problem or "",
        )


def progress(view: RunView) -> tuple[int, int]:
    """Items through every stage that all items go through, and how many there are."""
    total = max((stage.total for stage in view.stages.values()), default=0)
    done = min((stage.done for stage in view.stages.values() if stage.total == total), default=0)
    return done, total


def load_from(newest: Sample, trend: dict[str, tuple[float | None, ...]]) -> Load:
    """Figures as a screen shows them, of the newest sample and what was before it; shares are 0 to 1."""
    gpu = [value / 100 for value in trend["gpu"] if value is not None]
    cpu = [value / 100 for value in trend["cpu"] if value is not None]
    cards = max(1, len(newest.gpus))
    per_card = newest.vram_total_mb / cards if newest.vram_total_mb else None  # the series is the mean over all cards
    vram = [value / per_card for value in trend["vram"] if value is not None] if per_card else []
    ram = [value / newest.ram_total_mb for value in trend["ram"] if value is not None] if newest.ram_total_mb else []
    known = [index for index, value in enumerate(trend["gpu"]) if value is not None]
    span_s = (known[-1] - known[0]) * TREND_S / max(1, len(trend["gpu"]) - 1) if known else 0.0
    used, total = newest.disk_used_gb, newest.disk_total_gb
    return Load(
        at=newest.at,
        gpu=tuple(gpu),
        vram=tuple(vram),
        span_s=span_s,
        vram_used_mb=newest.vram_used_mb,
        vram_total_mb=newest.vram_total_mb,
        temperature_c=newest.temperature_c,
        power_w=newest.power_w,
        cpu=tuple(cpu),
        ram=tuple(ram),
        disk=used / total if used is not None and total else None,
        disk_free_gb=total - used if used is not None and total is not None else None,
    )


def last_lines(path: Path, count: int = LAST_LINES) -> tuple[str, ...]:
    """The last whole lines of a log, each cut to what a screen could show."""
    try:
        with path.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            handle.seek(max(0, size - TAIL_BYTES))
            lines = handle.read(TAIL_BYTES).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(line[:LONGEST_LINE] for line in lines[-count:])


def read_notes(state: Path, cloud: str) -> dict[int, str]:
    """What the operator wrote on instances of this cloud; empty when nothing was, or the file cannot be read: no
    machine and no money is hidden for that."""
    try:
        told = orjson.loads(notes_file(state).read_bytes())
        return {int(key): str(text) for key, text in told.get(cloud, {}).items()}
    except (OSError, AttributeError, ValueError):
        return {}


def notes_file(state: Path) -> Path:
    """Where those stand: `{cloud: {instance: text}}`."""
    return state / "instance-notes.json"


def _clipped(at: float | None) -> float | None:
    """A box's clock may be ahead of ours: nothing happened later than now."""
    return None if at is None else min(at, time.time())


def _newest(paths: tuple[Path, ...]) -> float | None:
    found = []
    for path in paths:
        with suppress(FileNotFoundError):
            found.append(path.stat().st_mtime)
    return max(found, default=None)
