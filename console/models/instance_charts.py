"""The charts of one box: what the recorder has of it over a window, ready to draw, and honest about its age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from console.language import N_, _
from console.models.chart import MOST_LINES, Chart, Line, round_above
from console.models.series import Series
from console.spoken import brief, duration, gigabytes, per_second, size, watts
from console.words import visible

if TYPE_CHECKING:
    from console.models.recorder import Recorder
    from console.models.recorder_samples import Sample

STALE_S = 30.0
"""Samples come every 5 s and are fetched every 5 to 15 s: older is old."""
HOT_C = 85.0
"""From here on cards slow themselves down."""
MEGABYTE = 1024.0 * 1024.0


@dataclass(frozen=True, slots=True)
class Window:
    """How much of the past charts show."""

    seconds: float | None
    """None: all that is known."""
    label: str


WINDOWS = (
    Window(300.0, N_("5 min")),
    Window(3600.0, N_("1 h")),
    Window(6 * 3600.0, N_("6 h")),
    Window(24 * 3600.0, N_("24 h")),
    Window(None, N_("all")),
)


def percent(value: float) -> str:
    """`87 %`."""
    return f"{value:.0f} %"


def celsius(value: float) -> str:
    """`61 °C`."""
    return f"{value:.0f} °C"


def megabytes(value: float) -> str:
    """Mebibytes with the unit that fits."""
    return size(value * MEGABYTE)


def bytes_per_s(value: float) -> str:
    """`1.2 MiB/s`, `195 KiB/s`: short enough for an axis."""
    number, unit = size(value).split()
    return per_second(f"{float(number):.0f} {unit}" if float(number) >= 10 else f"{number} {unit}")


def round_bytes_above(value: float) -> float:
    """The next of 1, 2, 5, 10 … 500 of a binary unit at or above so many bytes."""
    unit = 1.0
    while value > 1000 * unit and unit < 1024**3:
        unit *= 1024
    return round_above(value / unit) * unit


def charts_of(
    recorder: Recorder, instance_id: int, window: Window, now: float, buckets: int, end: str = ""
) -> tuple[Chart, ...]:
    """GPU, VRAM, power, temperature, CPU, RAM, disk and network of a box up to `now`; without a GPU the last four.

    Args:
        recorder: what is recorded.
        instance_id: the box.
        window: how far back.
        now: Unix seconds; the right end of every chart.
        buckets: values a line.
        end: what stands at the right end of the time axis; by default "now".
    """
    newest = recorder.latest_of([instance_id], at=now).get(instance_id)
    span = recorder.span(instance_id)
    since = now - window.seconds if window.seconds is not None else min(span[0] if span else now, now - 300.0)
    until = now + 1e-3
    stale = newest is None or now - newest.at > STALE_S
    note = note_of(newest, now)
    ends = (f"-{brief(now - since)}", end or _("now"))

    load = recorder.load(instance_id, since, until, buckets)

    def series(metric: str) -> Series:
        return load.get(metric) or Series(metric, since, until, (None,) * buckets)

    def lines(metric: str, current: Callable[[Sample], float | None], name: str = "", sign: str = "") -> Line:
        return Line(series(metric).values, name, sign, None if stale or newest is None else current(newest))

    def chart(title: str, drawn: tuple[Line, ...], words: Callable[[float], str], **more: float | None) -> Chart:
        return Chart(title, drawn, words, note=note, stale=stale, begin=ends[0], end=ends[1], **more)  # type: ignore[arg-type]

    found = []
    if newest is None or newest.gpus or newest.gpu_problem:

        def gpus(metric: str, name: str) -> tuple[Line, ...]:
            return gpu_lines(
                [
                    (gpu.index, series(f"{metric}.{gpu.index}"), None if stale else getattr(gpu, name))
                    for gpu in (newest.gpus if newest is not None else ())
                ]
            )

        card = max(((gpu.vram_total_mb or 0.0) for gpu in newest.gpus), default=0.0) if newest is not None else 0.0
        found += [
            chart(_("GPU"), gpus("gpu", "busy_percent"), percent, high=100.0),
            chart(_("VRAM"), gpus("vram", "vram_used_mb"), megabytes, high=card or None),
            chart(_("Power"), gpus("watts", "power_w"), watts),
            chart(_("Temperature"), gpus("temperature", "temperature_c"), celsius, high=100.0, limit=HOT_C),
        ]
    network = (
        lines("net_in", lambda one: one.net_in_bytes_per_s, _("in"), "↓"),
        lines("net_out", lambda one: one.net_out_bytes_per_s, _("out"), "↑"),
    )
    busiest = max((value for line in network for value in line.values if value is not None), default=0.0)
    disk = newest.disk_total_gb if newest is not None else None
    ram = newest.ram_total_mb if newest is not None else None
    found += [
        chart(_("CPU"), (lines("cpu", lambda one: one.cpu_percent),), percent, high=100.0),
        chart(_("RAM"), (lines("ram", lambda one: one.ram_used_mb),), megabytes, high=ram),
        chart(_("Disk"), (lines("disk", lambda one: one.disk_used_gb),), gigabytes, high=disk),
        chart(_("Network"), network, bytes_per_s, high=round_bytes_above(busiest)),
    ]
    return tuple(found)


def note_of(newest: Sample | None, now: float) -> str:
    """What is wrong with what is shown; empty while it is fresh."""
    if newest is None:
        return _("no samples yet")
    if newest.gpu_problem:
        return visible(newest.gpu_problem)
    age = now - newest.at
    return "" if age <= STALE_S else _("last sample {age} ago").format(age=duration(age))


def gpu_lines(gpus: Sequence[tuple[int, Series, float | None]]) -> tuple[Line, ...]:
    """A line a GPU; of more than four the mean, the least and the most, since nobody can read eight lines."""
    if len(gpus) <= MOST_LINES:
        return tuple(Line(series.values, "", str(index)[-1], now) for index, series, now in gpus)
    columns = [
        [value for value in column if value is not None]
        for column in zip(*(series.values for _index, series, _now in gpus), strict=True)
    ]
    known = [now for _index, _series, now in gpus if now is not None]
    folds: tuple[tuple[str, str, Callable[[Sequence[float]], float]], ...] = (
        (_("mean of {n}").format(n=len(gpus)), "∅", lambda values: sum(values) / len(values)),
        (_("least"), "▽", min),
        (_("most"), "△", max),
    )
    return tuple(
        Line(tuple(fold(column) if column else None for column in columns), name, sign, fold(known) if known else None)
        for name, sign, fold in folds
    )
