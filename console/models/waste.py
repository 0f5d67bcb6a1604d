"""The waste radar: which dollars bought no work, by cause. Pure functions of what the ledger and the recorder know.

Every dollar of a span has exactly one cause, so the causes add up to what was spent. What counts is time: of a rented
machine each moment is setup, a job that succeeded, a job that failed, or nothing; of a stopped one only the disk costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from console.models.spend import HOUR_S, Rental

if TYPE_CHECKING:
    from remote.ledger import JobRow

Cause = Literal["work", "idle", "gpu-idle", "setup", "failed", "stopped", "traffic", "settled"]
"""work: a job that did not fail. idle: rented, and no job on it. gpu-idle: a job worked while the GPU did not, as far
as it was recorded. setup: until the first job, or until it was ready for one. failed: a job that failed. stopped:
storage of a machine that is stopped. traffic and settled: what bytes cost, and what the cloud's bill differed by."""
WASTE: tuple[Cause, ...] = ("idle", "gpu-idle", "failed", "setup", "stopped")
"""The causes that buy nothing, in the order in which an operator can do something about them."""
KEPT_EXIT_CODES = frozenset({0, 3, 4, 5})
"""Succeeded, incomplete, cancelled, interrupted: what these finished is kept."""
FAILED_STATES = frozenset({"failed", "lost"})
ENDED_STATES = frozenset({"exited", "cancelled", "failed", "lost"})
IDLE_BELOW_PERCENT = 5.0

IdleShare = Callable[[int, float, float], float | None]
"""Share of a span in which an instance's GPUs were idle, as recorded; None when nothing was."""


@dataclass(frozen=True, slots=True)
class Wasted:
    """Dollars of one instance and one cause."""

    instance_id: int
    gpu: str
    cause: Cause
    usd: float
    seconds: float


def job_failed(job: JobRow) -> bool:
    """Whether what a job did was for nothing."""
    if job.exit_code is not None:
        return job.exit_code not in KEPT_EXIT_CODES
    return job.state in FAILED_STATES


def nothing_recorded(_instance_id: int, _begin: float, _end: float) -> float | None:
    """No recorder: nobody knows how busy GPUs were."""
    return None


def causes(
    rentals: Iterable[Rental], since: float, now: float, idle_share: IdleShare = nothing_recorded
) -> list[Wasted]:
    """Every dollar of [since, now] with its cause, instance by instance.

    Args:
        rentals: what the ledger counted.
        since: Unix seconds in the cloud's time.
        now: likewise.
        idle_share: how idle GPUs were within a span, by the recorder.
    """
    found: list[Wasted] = []
    for rental in rentals:
        sums: dict[Cause, list[float]] = {}

        def add(cause: Cause, usd: float, seconds: float, sums: dict[Cause, list[float]] = sums) -> None:
            known = sums.setdefault(cause, [0.0, 0.0])
            known[0] += usd
            known[1] += seconds

        for begin, end, cause in _spans(rental, since, now):
            usd_per_s = sum(_running_price(rental, begin)) / HOUR_S
            share = idle_share(rental.instance.instance_id, begin, end) if cause == "work" else None
            idle_s = (end - begin) * share if share is not None else 0.0
            if idle_s:
                add("gpu-idle", usd_per_s * idle_s, idle_s)
            add(cause, usd_per_s * (end - begin - idle_s), end - begin - idle_s)
        for hour in rental.traffic:
            if hour.hour_at + HOUR_S > since:
                add("traffic", hour.usd, 0.0)
        for change in rental.adjustments:
            if change.at >= since:
                add("settled", change.usd, 0.0)
        row = rental.instance
        found += [Wasted(row.instance_id, row.gpu_name, cause, usd, s) for cause, (usd, s) in sums.items() if usd or s]
    return found


def by_cause(found: Iterable[Wasted]) -> dict[Cause, float]:
    """Dollars by cause."""
    sums: dict[Cause, float] = {}
    for each in found:
        sums[each.cause] = sums.get(each.cause, 0.0) + each.usd
    return sums


def wasted_usd(found: Iterable[Wasted]) -> float:
    """What bought nothing."""
    return sum(each.usd for each in found if each.cause in WASTE)


def _spans(rental: Rental, since: float, now: float) -> list[tuple[float, float, Cause]]:
    """The time in which anything of it was billed, cut where its cause or its price changes."""
    ends = [(meter.started_at, now if meter.ended_at is None else meter.ended_at) for meter in rental.meters]
    if not ends:
        return []
    first, last = max(since, min(begin for begin, _end in ends)), min(now, max(end for _begin, end in ends))
    jobs = [(job.launched_at, _end_of(job, now), job_failed(job)) for job in rental.jobs]
    setup_until = _setup_until(rental, last)
    moments = {first, last, setup_until, *(moment for span in ends for moment in span)}
    moments |= {moment for begin, end, _failed in jobs for moment in (begin, end)}
    cuts = sorted(moment for moment in moments if first <= moment <= last)
    spans: list[tuple[float, float, Cause]] = []
    for begin, end in pairwise(cuts):
        gpu, disk = _running_price(rental, begin)
        if end > begin and (gpu or disk):
            spans.append((begin, end, _cause(rental, jobs, setup_until, begin)))
    return spans


def _cause(rental: Rental, jobs: Sequence[tuple[float, float, bool]], setup_until: float, at: float) -> Cause:
    here = [failed for begin, end, failed in jobs if begin <= at < end]
    if here:
        return "failed" if all(here) else "work"
    if at < setup_until:
        return "setup"
    billed = any(
        meter.kind == "gpu" and meter.started_at <= at and (meter.ended_at is None or at < meter.ended_at)
        for meter in rental.meters
    )
    return "idle" if billed else "stopped"


def _running_price(rental: Rental, at: float) -> tuple[float, float]:
    """Dollars an hour of GPU and of disk at a moment."""
    running = [
        meter for meter in rental.meters if meter.started_at <= at and (meter.ended_at is None or at < meter.ended_at)
    ]
    return (
        sum(meter.usd_per_hour for meter in running if meter.kind == "gpu"),
        sum(meter.usd_per_hour for meter in running if meter.kind == "disk"),
    )


def _setup_until(rental: Rental, last: float) -> float:
    """Until its first job, or, without one, until it was ready for one."""
    began = [job.launched_at for job in rental.jobs]
    if began:
        return min(began)
    return rental.ready_at if rental.ready_at is not None else last


def _end_of(job: JobRow, now: float) -> float:
    """When a job ended; the ledger notes it when the laptop hears of it."""
    return job.updated_at if job.exit_code is not None or job.state in ENDED_STATES else now
