"""Figures over time in words and cells, for the command line and the screen alike. Pure functions of a report."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from console.language import N_, _, ngettext
from console.models.quality_history import INDEX_METRICS, REGION_METRICS, QualityPoint
from console.models.waste import WASTE, Cause, wasted_usd
from console.spoken import brief, duration
from console.words import bar, usd, visible

if TYPE_CHECKING:
    from console.models.spend import Part, SpendRow
    from console.operations.metrics import MetricsReport, RunFigures

CAUSES: dict[Cause, str] = {
    "work": N_("work"),
    "idle": N_("rented, no job"),
    "gpu-idle": N_("job, GPU idle"),
    "failed": N_("failed jobs"),
    "setup": N_("setup"),
    "stopped": N_("storage of stopped"),
    "traffic": N_("traffic"),
    "settled": N_("settled by the bill"),
}
CHANGES = {"first": "", "same": "=", "better": "▲", "worse": "▼"}
NOTHING = "–"
PARTS: tuple[Part, ...] = ("gpu", "disk", "traffic", "settled")
Cells = tuple[tuple[str, ...], list[tuple[str, ...]], str]
"""Titles, rows, and a note."""


def summary(report: MetricsReport) -> list[str]:
    """The span in three lines: money, pages, waste."""
    days = max(1.0, (report.now - (report.since or _first_day(report))) / 86400.0)
    emulated = _("EMULATED  ") if report.emulated else ""
    lines = [
        emulated
        + _("spent {usd}, {per_day} a day").format(usd=usd(report.total_usd), per_day=usd(report.total_usd / days))
    ]
    pages = ngettext("{n} page", "{n} pages", report.pages).format(n=report.pages)
    failed = ngettext("{n} failure", "{n} failures", report.failed).format(n=report.failed)
    answers = sum(each.answers_usd for each in report.figures)
    machines = sum(each.usd for each in report.figures if each.pages)
    per_1000 = 1000 * machines / report.pages if report.pages else None
    words = [pages, failed]
    if per_1000 is not None:
        words.append(_("{usd} of machines for 1,000 pages").format(usd=usd(per_1000)))
    if answers:
        words.append(_("models on servers {usd}").format(usd=usd(answers)))
    lines.append(", ".join(words))
    lost = wasted_usd(report.wasted)
    share = lost / report.total_usd if report.total_usd > 0 else 0.0
    causes = ", ".join(f"{_(CAUSES[cause])} {usd(report.waste[cause])}" for cause in WASTE if report.waste.get(cause))
    lines.append(
        _("bought nothing: {usd} ({share:.0%})").format(usd=usd(lost), share=share) + (f": {causes}" if causes else "")
    )
    return lines


def _first_day(report: MetricsReport) -> float:
    from datetime import UTC, datetime

    if not report.days:
        return report.now
    return datetime.strptime(report.days[0].key, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()


def waste_bars(waste: dict[Cause, float], total_usd: float, width: int) -> list[str]:
    """Every cause as a bar, what bought nothing first."""
    order = [*WASTE, *(cause for cause in CAUSES if cause not in WASTE)]
    lines = []
    for cause in order:
        amount = waste.get(cause, 0.0)
        if not amount:
            continue
        share = amount / total_usd if total_usd > 0 else 0.0
        mark = "✗" if cause in WASTE else " "
        room = max(4, width - 38)
        lines.append(f"{mark} {_(CAUSES[cause]):<20.20} {usd(amount):>9} {share:>4.0%} {bar(share, room)}")
    return lines


def cells_of(report: MetricsReport, by: str) -> Cells:
    """The rows of one section: `day`, `run`, `gpu`, `waste` or `quality`.

    Raises:
        KeyError: there is no such section.
    """
    return {"day": _days, "run": _runs, "gpu": _gpus, "waste": _waste, "quality": _quality}[by](report)


def _days(report: MetricsReport) -> Cells:
    titles = (_("day (UTC)"), _("spent"), "GPU", _("disk"), _("traffic"), _("settled"), _("GPU h"), _("pages"))
    rows = [
        (row.key, *_money(row), _hours(row.gpu_hours), NOTHING if row.pages is None else str(row.pages))
        for row in reversed(report.days)
    ]
    note = _("{usd} in all, as the ledger has it · pages: of runs that ended that day")
    return titles, rows, note.format(usd=usd(report.total_usd))


def _runs(report: MetricsReport) -> Cells:
    titles = (
        _("run"), _("state"), _("pages"), _("failed"), _("pages/h"), _("spent"), _("models"), _("per 1,000"),
        _("all time"), _("ended"),
    )  # fmt: skip
    spent = {row.key: row for row in report.runs}
    rows = []
    for each in report.figures:
        row = spent.pop(each.run_id, None)
        rows.append(_run(each, row.usd if row is not None else 0.0, report.now))
    for row in spent.values():
        name = row.key[-8:] if row.key else _("no run")
        rows.append((name, NOTHING, NOTHING, NOTHING, NOTHING, usd(row.usd), *[NOTHING] * 4))
    note = _("spent within this span, by the ledger; what models on servers took is beside it, not in it")
    return titles, rows, note


def _run(each: RunFigures, spent_usd: float, now: float) -> tuple[str, ...]:
    return (
        each.run_id[-8:],
        each.state,
        f"{each.pages}/{each.total}",
        str(each.failed) if each.failed else NOTHING,
        NOTHING if each.pages_per_hour is None else f"{each.pages_per_hour:,.0f}",
        usd(spent_usd),
        usd(each.answers_usd) if each.answers_usd else NOTHING,
        NOTHING if each.usd_per_1000 is None else usd(each.usd_per_1000),
        usd(each.usd),
        NOTHING if each.ended_at is None else _("{age} ago").format(age=duration(max(0.0, now - each.ended_at))),
    )


def _gpus(report: MetricsReport) -> Cells:
    titles = ("GPU", _("spent"), "GPU $", _("disk"), _("traffic"), _("settled"), _("GPU h"), _("$ per GPU h"))
    rows = [
        (
            visible(row.key),
            *_money(row),
            _hours(row.gpu_hours),
            usd(row.usd / row.gpu_hours) if row.gpu_hours else NOTHING,
        )
        for row in report.gpus
    ]
    return titles, rows, _("the last column is all that was spent, for an hour in which the GPU was billed")


def _waste(report: MetricsReport) -> Cells:
    titles = (_("instance"), "GPU", _("cause"), _("dollars"), _("share"), _("time"))
    rows: list[tuple[str, ...]] = []
    for each in report.wasted:
        if each.cause not in WASTE or not each.usd:
            continue
        share = each.usd / report.total_usd if report.total_usd > 0 else 0.0
        cause = _(CAUSES[each.cause])
        rows.append(
            (str(each.instance_id), visible(each.gpu), cause, usd(each.usd), f"{share:.0%}", brief(each.seconds))
        )
    lost = usd(wasted_usd(report.wasted))
    return titles, rows, _("{usd} bought nothing, the dearest first").format(usd=lost)


def _quality(report: MetricsReport) -> Cells:
    titles = (_("when"), _("subject"), _("after"), *INDEX_METRICS, _("change"), _("gate"))
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M", time.localtime(point.at)),
            _("index") if point.subject == "index" else _("regions"),
            visible(point.event if point.subject == "index" else point.event[-8:]),
            *_metrics(point),
            _change(point),
            _gate(point),
        )
        for point in sorted((*report.quality.index, *report.quality.regions), key=lambda point: -point.at)
    ]
    note = _("index: R@1, R@5, nDCG@10, MRR@10; regions: AP50, AP75, AP, AR100 of `spotter quality`")
    if report.quality.unreadable:
        n = report.quality.unreadable
        note += " · " + ngettext("{n} report is unreadable", "{n} reports are unreadable", n).format(n=n)
    return titles, rows, note


def _metrics(point: QualityPoint) -> list[str]:
    names = INDEX_METRICS if point.subject == "index" else REGION_METRICS
    return [f"{point.metrics[name]:.3f}" if name in point.metrics else NOTHING for name in names]


def _change(point: QualityPoint) -> str:
    if point.change in ("first", "same"):
        return CHANGES[point.change]
    chance = _(" (chance)") if point.significant is False else ""
    return f"{CHANGES[point.change]} {point.by:+.3f}{chance}"


def _gate(point: QualityPoint) -> str:
    if point.gate is None:
        return NOTHING
    words = _("passed") if point.gate else _("FAILED: {reason}").format(reason=visible(point.reason))
    return _("refused · ") + words if point.refused else words


def _money(row: SpendRow) -> list[str]:
    parts = row.usd_by_part
    return [usd(row.usd), *(usd(parts[part]) if parts.get(part) else NOTHING for part in PARTS)]


def _hours(hours: float) -> str:
    return f"{hours:.1f}" if hours >= 10 else f"{hours:.2f}"
