"""Where the money went: the ledger's meters, traffic and corrections cut into days, runs and GPUs. Pure functions.

The pieces of a span add up to what `Ledger.spent_usd` says of it, to the last digit that floats have. Days are UTC
days, as everywhere with money; times are the cloud's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from remote.ledger import Adjustment, JobRow, Meter, RentedInstance
    from remote.ledger_rows import TrafficHour

DAY_S = 86400.0
HOUR_S = 3600.0
Part = Literal["gpu", "disk", "traffic", "settled"]
"""What was paid for; `settled` is what the cloud's own bill differed by."""


@dataclass(frozen=True, slots=True)
class Rental:
    """One instance with all that the ledger counted of it."""

    instance: RentedInstance
    meters: tuple[Meter, ...]
    traffic: tuple[TrafficHour, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    jobs: tuple[JobRow, ...] = ()
    ready_at: float | None = None
    """When it was ready for work; None when it never was."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Dollars of one instance, one part and one day."""

    instance_id: int
    run_id: str | None
    gpu: str
    part: Part
    day: float
    """The UTC midnight with which it began."""
    usd: float
    gpu_s: float = 0.0
    """Seconds in which its GPU was paid for."""


@dataclass(frozen=True, slots=True)
class SpendRow:
    """Dollars of a day, a run, or a GPU model."""

    key: str
    usd: float
    usd_by_part: dict[Part, float]
    gpu_hours: float
    pages: int | None = None
    """Pages that came of it; None where that cannot be told."""

    @property
    def usd_per_1000(self) -> float | None:
        """Dollars for 1,000 pages; None without pages."""
        return 1000 * self.usd / self.pages if self.pages else None


def day_of(at: float) -> float:
    """The UTC midnight before a moment."""
    return at - at % DAY_S


def pieces(rentals: Iterable[Rental], since: float, now: float) -> Iterator[Piece]:
    """What was spent within [since, now], piece by piece, by the rules of `Ledger.spent_usd`."""
    for rental in rentals:
        row = rental.instance
        known = (row.instance_id, row.run_id, row.gpu_name)
        for meter in rental.meters:
            begin = max(meter.started_at, since)
            end = now if meter.ended_at is None else min(now, meter.ended_at)
            while begin < end:
                stop = min(end, day_of(begin) + DAY_S)
                usd = (stop - begin) * meter.usd_per_hour / HOUR_S
                yield Piece(*known, meter.kind, day_of(begin), usd, stop - begin if meter.kind == "gpu" else 0.0)
                begin = stop
        for hour in rental.traffic:
            if hour.hour_at + HOUR_S > since:
                yield Piece(*known, "traffic", day_of(max(hour.hour_at, since)), hour.usd)
        for change in rental.adjustments:
            if change.at >= since:
                yield Piece(*known, "settled", day_of(change.at), change.usd)


def grouped(found: Iterable[Piece], key: Callable[[Piece], str], pages: dict[str, int] | None = None) -> list[SpendRow]:
    """Pieces of one key as one row, the dearest first."""
    usd: dict[str, dict[Part, float]] = {}
    seconds: dict[str, float] = {}
    for piece in found:
        parts = usd.setdefault(key(piece), {})
        parts[piece.part] = parts.get(piece.part, 0.0) + piece.usd
        seconds[key(piece)] = seconds.get(key(piece), 0.0) + piece.gpu_s
    known = pages or {}
    rows = [
        SpendRow(name, sum(parts.values()), parts, seconds[name] / HOUR_S, known.get(name))
        for name, parts in usd.items()
    ]
    return sorted(rows, key=lambda row: (-row.usd, row.key))


def by_day(found: Sequence[Piece], since: float, now: float) -> list[SpendRow]:
    """Every day from the first with money, or since a moment, until now, oldest first; also those without."""
    rows = {row.key: row for row in grouped(found, lambda piece: day_name(piece.day))}
    if not found and since <= 0:
        return []
    day = day_of(since) if since > 0 else min(piece.day for piece in found)
    days = []
    while day <= now:
        name = day_name(day)
        days.append(rows.pop(name, SpendRow(name, 0.0, {}, 0.0)))
        day += DAY_S
    return days + sorted(rows.values(), key=lambda row: row.key)  # settled for a moment that is still to come


def by_run(found: Iterable[Piece], pages: dict[str, int]) -> list[SpendRow]:
    """Each run, the dearest first; what was rented for none is under an empty key."""
    return grouped(found, lambda piece: piece.run_id or "", pages)


def by_gpu(found: Iterable[Piece]) -> list[SpendRow]:
    """Each GPU model, the dearest first."""
    return grouped(found, lambda piece: piece.gpu)


def total_usd(found: Iterable[Piece]) -> float:
    """All of it."""
    return sum(piece.usd for piece in found)


def day_name(day: float) -> str:
    """`2026-11-21`."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(day, UTC).strftime("%Y-%m-%d")
