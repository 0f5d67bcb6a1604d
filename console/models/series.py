"""A measured value over a span of time, in buckets: what a chart draws. Pure; where nothing was measured is a gap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RAW_GAP_S = 20.0
"""Samples come every 5 s: a longer silence is one."""
MINUTE_GAP_S = 150.0
"""The same between means of a minute."""


@dataclass(frozen=True, slots=True)
class Series:
    """Means of a value in buckets of equal length over [since, until); None where nothing was measured."""

    metric: str
    since: float
    until: float
    values: tuple[float | None, ...]
    last_at: float | None = None
    """When the newest sample within was taken; unix seconds."""
    last: float | None = None
    """Mean of the bucket that it lies in."""

    @property
    def bucket_s(self) -> float:
        """Seconds of one value."""
        return (self.until - self.since) / max(1, len(self.values))

    @property
    def low(self) -> float | None:
        """The least."""
        return min((value for value in self.values if value is not None), default=None)

    @property
    def high(self) -> float | None:
        """The most."""
        return max((value for value in self.values if value is not None), default=None)

    @property
    def mean(self) -> float | None:
        """The mean over the buckets that have a value."""
        known = [value for value in self.values if value is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was measured within one bucket."""

    number: int
    mean: float
    first_at: float
    last_at: float
    coarse: bool
    """Whether any of it is the mean of a minute."""


def fill(
    metric: str, since: float, until: float, count: int, buckets: Iterable[Bucket], last: float | None = None
) -> Series:
    """A series of `count` values out of the buckets in which something was measured.

    A bucket shorter than the time between two samples holds none without there being a gap: between samples that are
    near each other the value goes straight from one to the next. A longer silence stays None.
    """
    values: list[float | None] = [None] * count
    before: Bucket | None = None
    for bucket in sorted(buckets, key=lambda each: each.number):
        if not 0 <= bucket.number < count:
            continue
        values[bucket.number] = bucket.mean
        if before is not None and bucket.number - before.number > 1:
            limit = MINUTE_GAP_S if bucket.coarse or before.coarse else RAW_GAP_S
            if bucket.first_at - before.last_at <= limit:
                steps = bucket.number - before.number
                for step in range(1, steps):
                    values[before.number + step] = before.mean + (bucket.mean - before.mean) * step / steps
        before = bucket
    return Series(metric, since, until, tuple(values), before.last_at if before is not None else None, last)


def thinned(values: Sequence[float | None], count: int) -> list[float | None]:
    """`values` in `count` cells: the mean of what is known in each; fewer values than cells are drawn out."""
    if not values or count < 1:
        return [None] * max(0, count)
    out: list[float | None] = []
    for cell in range(count):
        first = cell * len(values) // count
        part = values[first : max(first + 1, (cell + 1) * len(values) // count)]
        known = [value for value in part if value is not None]
        out.append(sum(known) / len(known) if known else None)
    return out
