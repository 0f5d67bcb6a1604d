"""A chart on the line API: its rows are made once for each update, and drawn as they are."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from console.models.chart import Chart, Run, braille_lines, chart_rows, sparkline

__all__ = ["BrailleChart", "braille_lines", "sparkline"]

STYLES = {
    "": Style(),
    "dim": Style(dim=True),
    "bold": Style(bold=True),
    "warn": Style(color="yellow", bold=True),
    "line0": Style(color="green"),
    "line1": Style(color="cyan"),
    "line2": Style(color="magenta"),
    "line3": Style(color="blue"),
}


class BrailleChart(Widget):
    """One chart of as many rows as it is given; `show` swaps all of it."""

    DEFAULT_CSS = "BrailleChart { height: 1fr; min-height: 4; }"

    def __init__(self, chart: Chart | None = None, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._chart = chart
        self._made: tuple[Chart | None, Size] | None = None
        self._rows: list[list[Run]] = []

    @property
    def chart(self) -> Chart | None:
        """What is shown."""
        return self._chart

    def show(self, chart: Chart) -> None:
        """Draw another chart; nothing is drawn when it is the same."""
        if chart != self._chart:
            self._chart = chart
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row."""
        if self._made is None or self._made[0] is not self._chart or self._made[1] != self.size:
            self._made = (self._chart, self.size)
            rows = chart_rows(self._chart, self.size.width, self.size.height) if self._chart is not None else []
            self._rows = rows
        base = self.rich_style
        if y >= len(self._rows):
            return Strip.blank(self.size.width, base)
        return Strip([Segment(text, base + STYLES[style]) for text, style in self._rows[y]], self.size.width)
