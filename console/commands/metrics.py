"""The command about figures over time."""

from __future__ import annotations

import re
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.frame import Json, print_json, session
from console.errors import WrongInput

if TYPE_CHECKING:
    from console.operations.metrics import MetricsReport

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


class By(StrEnum):
    """What rows are about."""

    DAY = "day"
    RUN = "run"
    GPU = "gpu"
    WASTE = "waste"
    QUALITY = "quality"


def metrics(
    since: Annotated[
        str, typer.Option(help="How far back: 12h, 7d, 4w; `all` from the beginning.", metavar="SPAN")
    ] = "7d",
    by: Annotated[By, typer.Option(help="What rows are about.")] = By.DAY,
    as_json: Json = False,
) -> int:
    """Show what was spent, on what, for how many pages, what of it bought nothing, and how quality went."""
    from console.operations.metrics import read_metrics

    here = session()
    span_s = seconds_of(since)
    report = read_metrics(here, 0.0 if span_s is None else here.clock.time() - span_s)
    if as_json:
        print_json(as_data(report))
    else:
        _print(report, by)
    return 0


def seconds_of(span: str) -> float | None:
    """Seconds of `12h`, `7d`, `4w`; None for `all`.

    Raises:
        WrongInput: it is none of these.
    """
    if span == "all":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", span.strip())
    if found is None or not float(found[1]):
        raise WrongInput(f"--since {span}: say how far back as 90m, 12h, 7d or 4w, or `all`")
    return float(found[1]) * _UNITS[found[2]]


def as_data(report: MetricsReport) -> dict[str, Any]:
    """The report as one JSON object; sums that people read are in it, too."""
    said = asdict(report)
    for rows, per_1000 in (
        (said["days"], [row.usd_per_1000 for row in report.days]),
        (said["runs"], [row.usd_per_1000 for row in report.runs]),
        (said["figures"], [row.usd_per_1000 for row in report.figures]),
    ):
        for row, usd in zip(rows, per_1000, strict=True):
            row["usd_per_1000"] = usd
    return said | {"pages": report.pages, "failed": report.failed}


def _print(report: MetricsReport, by: By) -> None:
    from console.models.metrics_rows import cells_of, summary
    from console.terminal import print_table

    print("\n".join(summary(report)))
    print()
    titles, rows, note = cells_of(report, by.value)
    if rows:
        print_table(tuple(titles), [tuple(row) for row in rows], note)
    else:
        print(note)
