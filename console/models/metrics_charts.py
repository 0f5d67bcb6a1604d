"""The charts over the tables of figures: one a section. Pure functions of a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from console.language import _
from console.models.chart import Chart, Line
from console.models.quality_history import INDEX_METRICS
from console.models.series import Bucket, fill
from console.spoken import usd_per_hour
from console.words import usd

if TYPE_CHECKING:
    from console.models.recorder import MoneyPoint
    from console.operations.metrics import MetricsReport

BUCKETS = 160


def day_chart(report: MetricsReport) -> Chart:
    """Dollars a day."""
    values = tuple(row.usd for row in report.days)
    line = Line(values, now=values[-1] if values else None)
    ends = (report.days[0].key, report.days[-1].key) if report.days else ("", "")
    return Chart(
        _("Spent a day"), (line,), usd, note="" if values else _("nothing was spent"), begin=ends[0], end=ends[1]
    )


def run_chart(report: MetricsReport) -> Chart:
    """Pages an hour of each run, the oldest first."""
    values = tuple(each.pages_per_hour for each in reversed(report.figures))
    now = next((value for value in reversed(values) if value is not None), None)
    note = "" if now is not None else _("no run within this span came far enough")
    return Chart(
        _("Pages an hour, run by run"), (Line(values, now=now),), lambda value: f"{value:,.0f}", note=note,
        begin=_("oldest"), end=_("newest"),
    )  # fmt: skip


def burn_chart(points: Sequence[MoneyPoint], since: float, now: float) -> Chart:
    """Dollars an hour as they burned, where a console was there to note it; times of this machine."""
    begin = since if since > 0 else min((point.at for point in points), default=now - 3600.0)
    width = (now - begin) / BUCKETS or 1.0
    sums: dict[int, list[float]] = {}
    for point in points:
        sums.setdefault(min(BUCKETS - 1, int((point.at - begin) / width)), []).append(point.burn_usd_per_hour)
    buckets = [
        Bucket(number, sum(values) / len(values), begin + number * width, begin + number * width, True)
        for number, values in sums.items()
    ]
    series = fill("burn", begin, now, BUCKETS, buckets)
    last = points[-1].burn_usd_per_hour if points else None
    return Chart(
        _("Burned an hour"), (Line(series.values, now=last),), usd_per_hour,
        note="" if points else _("no console was there to note it"), begin=_when(begin), end=_when(now),
    )  # fmt: skip


def quality_chart(report: MetricsReport) -> Chart:
    """How well the index answered, measurement by measurement; those that were refused are left out."""
    points = [point for point in report.quality.index if not point.refused]
    lines = tuple(
        Line(
            tuple(point.metrics.get(name) for point in points),
            name,
            sign,
            points[-1].metrics.get(name) if points else None,
        )
        for name, sign in zip(INDEX_METRICS, "15nm", strict=True)
    )
    ends = (_when(points[0].at), _when(points[-1].at)) if points else ("", "")
    note = "" if points else _("the index was never evaluated: `spotter index evaluate`")
    return Chart(_("Index"), lines, lambda value: f"{value:.3f}", high=1.0, note=note, begin=ends[0], end=ends[1])


def _when(at: float) -> str:
    return time.strftime("%m-%d %H:%M", time.localtime(at))
