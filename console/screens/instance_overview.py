"""The charts of an instance, two beside each other, as high as the screen allows."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Static

from console.language import _
from console.models.chart import AXIS_WIDTH, Chart
from console.widgets.braille import BrailleChart
from console.words import visible

MOST_CHARTS = 8


class ChartsPane(VerticalScroll):
    """Up to eight charts in rows of two; those that are not needed are hidden."""

    def compose(self) -> ComposeResult:
        """Empty charts, and a line for when there are none."""
        yield Static("", id="instance-word", markup=False)
        for number in range(0, MOST_CHARTS, 2):
            with Horizontal(classes="chart-row"):
                yield BrailleChart(id=f"chart-{number}")
                yield BrailleChart(id=f"chart-{number + 1}")

    def on_mount(self) -> None:
        """Nothing is shown before there is something."""
        self.clear()

    @property
    def buckets(self) -> int:
        """Values that a line of a chart can show; 0 while nothing has a size."""
        return max(0, 2 * (self.query_one("#chart-0").size.width - AXIS_WIDTH))

    def show(self, charts: Sequence[Chart], problem: str = "") -> None:
        """Draw them, and above them why they are not newer."""
        line = self.query_one("#instance-word", Static)
        line.display = bool(problem)
        words = _("no newer samples: {problem}").format(problem=visible(problem))
        line.update(Text.assemble((words, "bold yellow")))  # a span: a whole text's `yellow` is the style sheet's own
        for number in range(MOST_CHARTS):
            widget = self.query_one(f"#chart-{number}", BrailleChart)
            if number < len(charts):
                widget.show(charts[number])
            widget.display = number < len(charts)
            assert widget.parent is not None
            if number % 2 == 0:
                row = widget.parent
                assert isinstance(row, Horizontal)
                row.display = number < len(charts)
                row.styles.height = f"{200 / max(2, len(charts) + len(charts) % 2):.2f}%"

    def clear(self) -> None:
        """Forget the instance before."""
        self.show(())

    def say(self, words: str) -> None:
        """A sentence in place of charts."""
        self.show(())
        line = self.query_one("#instance-word", Static)
        line.update(Text(words, style="dim"))
        line.display = True
