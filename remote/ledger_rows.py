"""What the ledger of rentals remembers, as values. Times are unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECONDS_PER_HOUR = 3600.0
BYTES_PER_GB = 1e9

MeterKind = Literal["gpu", "disk"]


@dataclass(frozen=True, slots=True)
class RentedInstance:
    """One instance that was or is rented, and its price. What it cost is in its meters: ask `Ledger.spent_usd`."""

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
    """When the GPU was first billed; the disk is from `opened_at` on."""
    closed_at: float | None
    seen_at: float | None = None
    """When the cloud last listed it."""
    download_usd_per_gb: float = 0.0
    upload_usd_per_gb: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether it may still cost money: no destroy was confirmed."""
        return self.closed_at is None

    @property
    def usd_per_hour(self) -> float:
        """GPU and disk together."""
        return self.gpu_usd_per_hour + self.disk_usd_per_hour


@dataclass(frozen=True, slots=True)
class Meter:
    """A span of time in which a part of an instance was billed; `ended_at` is None while it is."""

    cloud: str
    instance_id: int
    kind: MeterKind
    usd_per_hour: float
    started_at: float
    ended_at: float | None

    def usd(self, now: float, since: float = 0.0) -> float:
        """What it cost within [since, now]."""
        end = now if self.ended_at is None else min(now, self.ended_at)
        return max(0.0, end - max(self.started_at, since)) * self.usd_per_hour / SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes into and out of an instance, and what the host takes for them."""

    bytes_in: int
    bytes_out: int
    usd: float


@dataclass(frozen=True, slots=True)
class TrafficHour:
    """Bytes of one instance within one hour, and what the host takes for them."""

    cloud: str
    instance_id: int
    hour_at: float
    """Its beginning."""
    bytes_in: int
    bytes_out: int
    usd: float


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What the cloud's own bill differed by, written beside the meters: nothing that was counted is overwritten."""

    cloud: str
    instance_id: int
    usd: float
    """To be added to what the meters say; negative when the cloud took less."""
    reason: str
    at: float
    """The moment it counts for."""
    made_at: float


@dataclass(frozen=True, slots=True)
class BadMachine:
    """A machine that failed us not long ago."""

    machine_id: int
    reason: str
    """Of the last time."""
    failures: int
    at: float


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
    cloud: str = ""
    """Empty in rows of before ids were told apart by cloud."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """The last result of one bootstrap step on one instance."""

    cloud: str
    instance_id: int
    step_id: str
    inputs_hash: str
    state: str
    evidence: dict[str, object]
    started_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class JobRow:
    """One process that a run has on one instance."""

    job_id: str
    instance_id: int
    run_id: str | None
    state: str
    exit_code: int | None
    spec: dict[str, object]
    launched_at: float
    updated_at: float
    cloud: str = ""
