"""What the ledger of rentals remembers, as values, and the tables that hold it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class RentedInstance:
    """One instance that was or is rented, with what it costs. Times are unix seconds."""

    instance_id: int
    cloud: str
    request_id: str | None
    run_id: str | None
    machine_id: int
    offer_id: int | None
    label: str
    gpu_name: str
    gpu_usd_per_hour: float
    disk_usd_per_hour: float
    state: str
    opened_at: float
    running_at: float | None
    """The GPU is billed from here; the disk from `opened_at`."""
    closed_at: float | None

    @property
    def alive(self) -> bool:
        """Whether it may still cost money: no destroy was confirmed."""
        return self.closed_at is None

    @property
    def usd_per_hour(self) -> float:
        """GPU and disk together."""
        return self.gpu_usd_per_hour + self.disk_usd_per_hour

    def seconds(self, now: float, since: float = 0.0) -> float:
        """Rented time within [since, now]."""
        return _overlap_s(self.opened_at, self.closed_at, since, now)

    def usd(self, now: float, since: float = 0.0) -> float:
        """What it cost within [since, now]: disk from the rental on, the GPU from `running_at` on."""
        gpu_s = _overlap_s(self.running_at, self.closed_at, since, now) if self.running_at is not None else 0.0
        disk_s = self.seconds(now, since)
        return (gpu_s * self.gpu_usd_per_hour + disk_s * self.disk_usd_per_hour) / SECONDS_PER_HOUR


def _overlap_s(start: float, end: float | None, since: float, now: float) -> float:
    return max(0.0, min(now, end if end is not None else now) - max(start, since))


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One wish for a machine and where it stands."""

    request_id: str
    cloud: str
    run_id: str | None
    wanted: dict[str, object]
    state: str
    opened_at: float
    updated_at: float
    closed_at: float | None


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """One change of state."""

    request_id: str | None
    instance_id: int | None
    state: str
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class IntentRow:
    """One call that could cost or save money: written before it is made. `outcome` is None until it is known."""

    intent_id: int
    request_id: str | None
    instance_id: int | None
    operation: str
    label: str
    detail: dict[str, object]
    at: float
    outcome: str | None
    outcome_detail: str
    outcome_at: float | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """The last result of one bootstrap step on one instance."""

    instance_id: int
    step_id: str
    inputs_hash: str
    state: str
    evidence: dict[str, object]
    started_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as last seen."""

    job_id: str
    instance_id: int
    run_id: str | None
    state: str
    exit_code: int | None
    spec: dict[str, object]
    launched_at: float
    updated_at: float


def _first(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE requests (
            request_id TEXT PRIMARY KEY, cloud TEXT NOT NULL, run_id TEXT, wanted TEXT NOT NULL,
            state TEXT NOT NULL, opened_at REAL NOT NULL, updated_at REAL NOT NULL, closed_at REAL) STRICT"""
    )
    connection.execute(
        """CREATE TABLE intents (
            intent_id INTEGER PRIMARY KEY, request_id TEXT, instance_id INTEGER, operation TEXT NOT NULL,
            label TEXT NOT NULL, detail TEXT NOT NULL, at REAL NOT NULL,
            outcome TEXT, outcome_detail TEXT NOT NULL DEFAULT '', outcome_at REAL) STRICT"""
    )
    connection.execute(
        """CREATE TABLE transitions (
            transition_id INTEGER PRIMARY KEY, request_id TEXT, instance_id INTEGER,
            state TEXT NOT NULL, message TEXT NOT NULL, at REAL NOT NULL) STRICT"""
    )
    connection.execute(
        """CREATE TABLE instances (
            instance_id INTEGER PRIMARY KEY, cloud TEXT NOT NULL, request_id TEXT, run_id TEXT,
            machine_id INTEGER NOT NULL, offer_id INTEGER, label TEXT NOT NULL, gpu_name TEXT NOT NULL,
            gpu_usd_per_hour REAL NOT NULL, disk_usd_per_hour REAL NOT NULL, state TEXT NOT NULL,
            opened_at REAL NOT NULL, running_at REAL, closed_at REAL) STRICT"""
    )
    connection.execute(
        """CREATE TABLE steps (
            instance_id INTEGER NOT NULL, step_id TEXT NOT NULL, inputs_hash TEXT NOT NULL, state TEXT NOT NULL,
            evidence TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL,
            PRIMARY KEY (instance_id, step_id)) STRICT"""
    )
    connection.execute(
        """CREATE TABLE jobs (
            job_id TEXT PRIMARY KEY, instance_id INTEGER NOT NULL, run_id TEXT, state TEXT NOT NULL,
            exit_code INTEGER, spec TEXT NOT NULL, launched_at REAL NOT NULL, updated_at REAL NOT NULL) STRICT"""
    )
    connection.execute("CREATE INDEX transitions_of_instance ON transitions (instance_id)")
    connection.execute("CREATE INDEX transitions_of_request ON transitions (request_id)")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first,)
"""Applied in order; `user_version` of the file counts how many it has had."""
