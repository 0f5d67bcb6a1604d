"""Charts as characters: braille lines, sparklines, and a whole chart with axis and figures. Pure functions of values.

A braille character is a grid of 2 by 4 dots, so a chart of 80 by 15 cells has 160 by 60 points. Where nothing was
measured nothing is drawn: a gap is a gap. Colour never tells two lines apart alone: each bears its sign every so often.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from console.language import _
from console.models.series import thinned

Run = tuple[str, str]
"""Characters, and the style that they have: `dim`, `bold`, `line0` … `line3`, `warn`, or nothing."""
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character by row and column."""
BRAILLE = 0x2800
BARS = "▁▂▃▄▅▆▇█"
GAP = "·"
SIGN_EVERY = 24
"""Columns from one sign of a line to the next."""
MOST_LINES = 4
AXIS_WIDTH = 10


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    values: tuple[float | None, ...]
    name: str = ""
    sign: str = ""
    """One character that the line bears where a chart has several."""
    now: float | None = None
    """Its value at the end; None when it is unknown, or too old to be called now."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that a chart shows."""

    title: str
    lines: tuple[Line, ...]
    words: Callable[[float], str]
    """How a value is written: `87 %`."""
    low: float = 0.0
    high: float | None = None
    """The top of the axis; None: a round figure above the most."""
    limit: float | None = None
    """A value that is drawn as a broken line of its own."""
    note: str = ""
    """Why there is nothing newer, or nothing at all."""
    stale: bool = False
    """Whether what it shows is old: then it is grey."""
    begin: str = ""
    """What stands at the left end of the time axis: `-5m`."""
    end: str = ""


def braille_masks(values: Sequence[float | None], width: int, height: int, low: float, high: float) -> list[list[int]]:
    """Dots of a line, row by row, as bits of braille characters; rows run from the top."""
    masks = [[0] * width for _row in range(height)]
    span = high - low or 1.0
    most = 4 * height - 1
    before: int | None = None
    for column, value in enumerate(thinned(values, 2 * width)):
        if value is None:
            before = None
            continue
        level = most - round(max(0.0, min(1.0, (value - low) / span)) * most)
        start, stop = (level, level) if before is None else (min(before, level), max(before, level))
        if before is not None and stop > start:  # the rise belongs to one of its two ends, not to both
            start, stop = (start + 1, stop) if level > before else (start, stop - 1)
        cell, side = divmod(column, 2)
        for dot in range(start, stop + 1):
            masks[dot >> 2][cell] |= DOTS[dot & 3][side]
        before = level
    return masks


def braille_lines(
    values: Sequence[float | None],
    width: int,
    height: int,
    *,
    low: float | None = None,
    high: float | None = None,
) -> list[str]:
    """A line chart of `height` strings of `width` characters; without `low` and `high` it fills the height."""
    known = [value for value in values if value is not None]
    bottom = min(known, default=0.0) if low is None else low
    top = max(known, default=1.0) if high is None else high
    rows = braille_masks(values, width, height, bottom, top)
    return ["".join(chr(BRAILLE + mask) if mask else " " for mask in row) for row in rows]


def sparkline(values: Sequence[float | None], width: int, *, low: float = 0.0, high: float | None = None) -> str:
    """One row of bars for a table; a middle dot where nothing was measured."""
    cells = thinned(values, width)
    top = high if high is not None else max((value for value in cells if value is not None), default=0.0)
    span = top - low
    if span <= 0:
        return "".join(GAP if value is None else BARS[0] for value in cells)
    scale = (len(BARS) - 1) / span
    return "".join(GAP if value is None else BARS[round(max(0.0, min(span, value - low)) * scale)] for value in cells)


def round_above(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … at or above a value; 1 for nothing."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def chart_rows(chart: Chart, width: int, height: int) -> list[list[Run]]:
    """A chart as `height` rows of runs, each `width` characters in all: head, plot with its axis, time axis."""
    if width < AXIS_WIDTH + 4 or height < 3:
        return [_fit([(chart.title, "bold")], width)] + [_fit([], width) for _row in range(height - 1)]
    known = [value for line in chart.lines for value in line.values if value is not None]
    top = chart.high if chart.high is not None else round_above(max([*known, chart.limit or 0.0], default=0.0))
    top = max(top, chart.low + 1e-9)
    plot_height = height - 2
    plot = _plot(chart, known, width - AXIS_WIDTH, plot_height, top)
    labels = {0: chart.words(top), plot_height - 1: chart.words(chart.low)}
    if plot_height >= 7:
        labels[plot_height // 2] = chart.words(top - (top - chart.low) * (plot_height // 2) / (plot_height - 1))
    rows = [_fit(_head(chart, known, width), width)]
    for number, runs in enumerate(plot):
        label = labels.get(number, "")[: AXIS_WIDTH - 1]
        rows.append([(f"{label:>{AXIS_WIDTH - 1}}{'┤' if label else '│'}", "dim"), *runs])
    room = max(1, width - AXIS_WIDTH - len(chart.begin) - len(chart.end))
    rows.append(_fit([(" " * AXIS_WIDTH + chart.begin + " " * room + chart.end, "dim")], width))
    return rows


def _head(chart: Chart, known: Sequence[float], width: int) -> list[Run]:
    """Title, the figures of each line, and what is wrong; least and most where there is room for both."""
    runs: list[Run] = [(chart.title, "bold")]
    for number, line in enumerate(chart.lines[:MOST_LINES]):
        if len(chart.lines) > 1:
            runs.append((f"  {line.sign} {line.name}" if line.name else f"  {line.sign}:", f"line{number}"))
        runs.append((f" {chart.words(line.now)}" if line.now is not None else " –", "" if not chart.stale else "dim"))
    note = f"  {chart.note}" if chart.note and known else ""
    if known:
        least, most = _("min"), _("max")
        ends = f"  {least} {chart.words(min(known))} · {most} {chart.words(max(known))}"
        if sum(len(text) for text, _style in runs) + len(ends) + len(note) <= width:
            runs.append((ends, "dim"))
    if note:
        runs.append((note, "warn"))
    return runs


def _plot(chart: Chart, known: Sequence[float], width: int, height: int, top: float) -> list[list[Run]]:
    if not known:
        empty = [_fit([], width) for _row in range(height)]
        empty[height // 2] = _fit([(f" {chart.note or _('no samples yet')}", "warn" if chart.note else "dim")], width)
        return empty
    styles = [[""] * width for _row in range(height)]
    cells = [[" "] * width for _row in range(height)]
    if chart.limit is not None and chart.low <= chart.limit <= top:
        row = min(height - 1, round((top - chart.limit) / (top - chart.low) * (height - 1)))
        cells[row], styles[row] = ["╌"] * width, ["warn"] * width
    masks = [[0] * width for _row in range(height)]
    lines = chart.lines[:MOST_LINES]
    for number, line in enumerate(lines):
        style = "dim" if chart.stale else f"line{number}"
        signs_at = set(range(SIGN_EVERY // 2 + number * SIGN_EVERY // MOST_LINES, width, SIGN_EVERY))
        for row, bits in enumerate(braille_masks(line.values, width, height, chart.low, top)):
            for column, mask in enumerate(bits):
                if not mask:
                    continue
                masks[row][column] |= mask
                styles[row][column] = style
                if len(lines) > 1 and column in signs_at:
                    signs_at.discard(column)
                    cells[row][column] = line.sign
                elif cells[row][column] in (" ", "╌") or cells[row][column] >= chr(BRAILLE):
                    cells[row][column] = chr(BRAILLE + masks[row][column])
    return [_joined(row, row_styles) for row, row_styles in zip(cells, styles, strict=True)]


def _joined(cells: Sequence[str], styles: Sequence[str]) -> list[Run]:
    """Cells next to each other of one style as one run."""
    runs: list[Run] = []
    begin = 0
    for column in range(1, len(cells) + 1):
        if column == len(cells) or styles[column] != styles[begin]:
            runs.append(("".join(cells[begin:column]), styles[begin]))
            begin = column
    return runs


def _fit(runs: Sequence[Run], width: int) -> list[Run]:
    """Runs cut, or filled up, to `width` characters."""
    fitted: list[Run] = []
    left = width
    for text, style in runs:
        if left <= 0:
            break
        cut = text if len(text) <= left else text[: left - 1] + "…"
        fitted.append((cut, style))
        left -= len(cut)
    if left > 0:
        fitted.append((" " * left, ""))
    return fitted
