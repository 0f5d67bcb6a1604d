"""Figures over time: what was spent on what, how fast runs were, what bought nothing, how quality went; a replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import ContentSwitcher, Static

from console.language import N_, _
from console.models.chart import Chart
from console.models.metrics_charts import burn_chart, day_chart, quality_chart, run_chart
from console.models.metrics_rows import cells_of, summary, waste_bars
from console.models.rows import Column, Row
from console.screens.metrics_replay import ReplayPane
from console.screens.view import PolledView
from console.widgets.braille import BrailleChart
from console.widgets.keyed_table import KeyedTable
from console.widgets.table_lines import TableLines
from console.words import visible

if TYPE_CHECKING:
    from console.models.recorder import MoneyPoint
    from console.operations.metrics import MetricsReport, Place

SECTIONS = {
    "day": N_("Days"), "run": N_("Runs"), "gpu": N_("GPUs"), "waste": N_("Waste"), "quality": N_("Quality"),
    "replay": N_("Replay"),
}  # fmt: skip
WINDOWS: tuple[tuple[str, float | None], ...] = (
    (N_("all"), None), (N_("1 h"), 3600.0), (N_("6 h"), 6 * 3600.0), (N_("24 h"), 86400.0),
    (N_("7 d"), 7 * 86400.0), (N_("30 d"), 30 * 86400.0), (N_("90 d"), 90 * 86400.0),
)  # fmt: skip
COLUMNS = {
    "day": (
        Column(N_("day (UTC)"), 11, name="day"), Column(N_("spent"), 9, numeric=True), Column("GPU", 9, numeric=True),
        Column(N_("disk"), 9, numeric=True), Column(N_("traffic"), 9, 100, numeric=True),
        Column(N_("settled"), 9, 100, numeric=True), Column(N_("GPU h"), 7, numeric=True),
        Column(N_("pages"), 7, numeric=True),
    ),
    "run": (
        Column(N_("run"), 9), Column(N_("state"), 11), Column(N_("pages"), 11, numeric=True),
        Column(N_("failed"), 7, numeric=True), Column(N_("pages/h"), 8, numeric=True),
        Column(N_("spent"), 9, numeric=True), Column(N_("models"), 9, 120, numeric=True),
        Column(N_("per 1,000"), 10, numeric=True), Column(N_("all time"), 9, 120, numeric=True),
        Column(N_("ended"), 12, 100, numeric=True),
    ),
    "gpu": (
        Column("GPU", 18), Column(N_("spent"), 9, numeric=True), Column("GPU $", 9, numeric=True),
        Column(N_("disk"), 9, numeric=True), Column(N_("traffic"), 9, 100, numeric=True),
        Column(N_("settled"), 9, 100, numeric=True), Column(N_("GPU h"), 7, numeric=True),
        Column(N_("$ per GPU h"), 12, numeric=True),
    ),
    "waste": (
        Column(N_("instance"), 11), Column("GPU", 18), Column(N_("cause"), 20), Column(N_("dollars"), 10, numeric=True),
        Column(N_("share"), 6, numeric=True), Column(N_("time"), 9, numeric=True),
    ),
    "quality": (
        Column(N_("when"), 16), Column(N_("subject"), 8), Column(N_("after"), 11), Column("R@1", 6, numeric=True),
        Column("R@5", 6, numeric=True), Column("nDCG@10", 8, 100, numeric=True),
        Column("MRR@10", 7, 100, numeric=True), Column(N_("change"), 16), Column(N_("gate"), 30),
    ),
}  # fmt: skip

RUN_ID_LENGTH = 26
SLACK_S = 60.0
"""A log goes on for a while after a run's last event."""


@dataclass(frozen=True, slots=True)
class MetricsNews:
    """What one look brought."""

    report: MetricsReport
    money: tuple[MoneyPoint, ...]
    """Burn and credit as consoles noted them, in this machine's time."""
    heard_at: float
    """Unix seconds of this machine."""


class Metrics(PolledView[MetricsNews]):
    """Sections over one span of time; digits choose the span, `n` the section."""

    NAME = "metrics"
    POLL_S = 10.0

    def __init__(self) -> None:
        super().__init__()
        self._section = "day"
        self._window = 4

    def compose_main(self) -> ComposeResult:
        """Sections, a chart, rows."""
        yield Static(self._head(), id="metrics-head", markup=False)
        yield BrailleChart(id="metrics-chart")
        with ContentSwitcher(id="metrics-panes", initial="metrics-day"):
            for name, columns in COLUMNS.items():
                yield KeyedTable(columns, id=f"metrics-{name}")
            yield ReplayPane(id="metrics-replay")

    def compose_side(self) -> ComposeResult:
        """The span in short, and where its dollars went."""
        yield Static("", id="metrics-summary", markup=False)

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Section and span."""
        return (_(SECTIONS[self._section]), _(WINDOWS[self._window][0]))

    @property
    def table(self) -> KeyedTable | None:
        """The rows of the section on screen."""
        if self._section == "replay":
            return next((pane.table for pane in self.query(ReplayPane)), None)
        return next(iter(self.query(f"#metrics-{self._section}").results(KeyedTable)), None)

    @property
    def window_s(self) -> float | None:
        """Seconds of the span; None for all of the past."""
        return WINDOWS[self._window][1]

    def open(self, argument: str) -> None:
        """`waste`, `30d`, or both; `RUN@12:00:03`, as an index hit and the log tell a moment, shows the replay then."""
        super().open(argument)
        spans = {label.replace(" ", ""): number for number, (label, _seconds) in enumerate(WINDOWS)}
        for word in argument.split():
            if word in SECTIONS:
                self._show_section(word)
            elif word in spans:
                self._set_window(spans[word])
            elif "@" in word or len(word) == RUN_ID_LENGTH:
                self._show_moment(word)
            else:
                known = ", ".join((*SECTIONS, *spans))
                self.app.tell(_("{word} is no section and no span ({known})").format(word=word, known=known), "warning")

    def _show_moment(self, word: str) -> None:
        """The replay in the steps of an hour, with the charts of the machine that a run had; at its end by default."""
        from console.models.log_sources import LogPlace

        now = self.app.now()
        try:
            place = LogPlace.read(word)
        except ValueError as error:
            self.app.tell(str(error), "warning")
            return
        if not place.run or (place.run.isdigit() and len(place.run) < RUN_ID_LENGTH):
            self._replay_at(place.when(now) or now, int(place.run) if place.run else None)
            return

        def ask() -> Place:
            from console.operations.metrics import place_of_run

            return place_of_run(self.app.session(), place.run)

        def go(found: Place) -> None:
            end = min(now, found.end + SLACK_S)
            self._replay_at(place.when(end) or end, found.instances[0] if found.instances else None)

        self.in_background(ask, go)

    def _replay_at(self, at: float, instance_id: int | None) -> None:
        self._set_window(1)
        self._show_section("replay")
        self.query_one(ReplayPane).go_to(at, instance_id)

    # ---- news ----

    def read(self) -> MetricsNews:
        """Read ledger, recorder, run folders and reports; no cloud is asked."""
        from console.operations.metrics import read_metrics

        session, now = self.app.session(), self.app.now()
        window = self.window_s
        report = read_metrics(session, 0.0 if window is None else session.clock.time() - window)
        return MetricsNews(report, tuple(session.recorder.money(0.0 if window is None else now - window)), now)

    def show(self, news: MetricsNews) -> None:
        """Draw a report."""
        self.news = news
        report = news.report
        for name in COLUMNS:
            _titles, rows, note = cells_of(report, name)
            runs = [each.run_id for each in report.figures] if name == "run" else []
            self.query_one(f"#metrics-{name}", KeyedTable).show(
                [
                    Row(
                        runs[number] if number < len(runs) else _key(name, cells),
                        tuple(_cell(cell) for cell in cells),
                        problem=_is_problem(cells),
                    )
                    for number, cells in enumerate(rows)
                ],
                note,
            )
        text = Text("\n".join(map(visible, summary(report))), style="bold")
        text.append("\n\n" + _("Where it went") + "\n", style="dim")
        width = max(30, self.query_one("#metrics-summary").size.width)
        text.append("\n".join(waste_bars(report.waste, report.total_usd, width)) or _("nothing was spent"))
        self.query_one("#metrics-summary", Static).update(text)
        self._draw_head()

    def show_stale(self, reason: str) -> None:
        """What is on screen stays."""
        super().show_stale(reason)
        self._draw_head()

    def _head(self) -> Text:
        line = Text(" ", no_wrap=True, overflow="ellipsis")
        for name, title in SECTIONS.items():
            here = name == self._section
            line.append(f"[{_(title)}]" if here else f" {_(title)} ", style="bold reverse" if here else "")
        line.append("  " + _("span {window} (0–6)").format(window=_(WINDOWS[self._window][0])), style="dim")
        if self.stale:
            line.append("  " + _("STALE"), style="bold yellow")
        return line

    def _draw_head(self) -> None:
        self.query_one("#metrics-head", Static).update(self._head())
        chart = self._chart()
        widget = self.query_one("#metrics-chart", BrailleChart)
        widget.display = chart is not None
        if chart is not None:
            widget.show(chart)

    def _chart(self) -> Chart | None:
        if self.news is None or self._section == "replay":
            return None
        report, window = self.news.report, self.window_s
        match self._section:
            case "run":
                return run_chart(report)
            case "gpu":
                since = 0.0 if window is None else self.news.heard_at - window
                return burn_chart(self.news.money, since, self.news.heard_at)
            case "quality":
                return quality_chart(report)
            case _:
                return day_chart(report)

    # ---- sections and spans ----

    def _show_section(self, name: str) -> None:
        self._section = name
        self.query_one("#metrics-panes", ContentSwitcher).current = f"metrics-{name}"
        replay = self.query_one(ReplayPane)
        if self.table is not None:  # at once: the next key may be waiting already
            self.screen.set_focus(self.table.query_one(TableLines))
        replay.enter(self.window_s) if name == "replay" else replay.leave()
        self._draw_head()
        self.app.draw_top()

    def _set_window(self, number: int) -> None:
        self._window = number
        self.query_one(ReplayPane).set_window(self.window_s)
        self._draw_head()
        self.app.draw_top()
        self.poll()

    def _step_section(self, step: int) -> None:
        names = list(SECTIONS)
        self._show_section(names[(names.index(self._section) + step) % len(names)])

    def step_out(self) -> bool:
        """Esc: close the filter, then leave the replay for today."""
        if super().step_out():
            return True
        if self._section == "replay":
            self._show_section("day")
            return True
        return False

    def on_hide(self) -> None:
        """Time stands still while nobody looks."""
        self.query_one(ReplayPane).hold()

    def on_keyed_table_opened(self, message: KeyedTable.Opened) -> None:
        """Enter on a run or an instance shows it."""
        message.stop()
        if message.table.id == "metrics-run" and self.news is not None:
            chosen = next((each for each in self.news.report.figures if each.run_id == message.key), None)
            if chosen is not None:
                self.app.go("run", chosen.run_id)
        elif message.table.id == "metrics-waste":
            self.app.go("instance", message.key.partition(" ")[0])
        elif message.table.id == "replay-fleet":
            self.app.go("instance", message.key)

    # ---- actions ----

    def action_metrics_section(self) -> None:
        """The section to the right."""
        self._step_section(1)

    def action_metrics_section_back(self) -> None:
        """The section to the left."""
        self._step_section(-1)

    def action_metrics_window_0(self) -> None:
        """All of the past."""
        self._set_window(0)

    def action_metrics_window_1(self) -> None:
        """The last hour."""
        self._set_window(1)

    def action_metrics_window_2(self) -> None:
        """Six hours."""
        self._set_window(2)

    def action_metrics_window_3(self) -> None:
        """A day."""
        self._set_window(3)

    def action_metrics_window_4(self) -> None:
        """A week."""
        self._set_window(4)

    def action_metrics_window_5(self) -> None:
        """30 days."""
        self._set_window(5)

    def action_metrics_window_6(self) -> None:
        """90 days."""
        self._set_window(6)

    def _replay(self, steps: int) -> None:
        if self._section != "replay":
            self._show_section("replay")
        self.query_one(ReplayPane).step(steps)

    def action_metrics_back(self) -> None:
        """A step into the past."""
        self._replay(-1)

    def action_metrics_forward(self) -> None:
        """A step towards now."""
        self._replay(1)

    def action_metrics_far_back(self) -> None:
        """Ten steps into the past."""
        self._replay(-10)

    def action_metrics_far_on(self) -> None:
        """Ten steps towards now."""
        self._replay(10)

    def action_metrics_log(self) -> None:
        """The log at the moment on screen."""
        place = self.query_one(ReplayPane).log_place if self._section == "replay" else ""
        if place:
            self.app.go("log", place)
        else:
            self.app.say(_("There is a log only in the replay, of an instance that was rented for a run."))

    def action_metrics_play(self) -> None:
        """Let the time of the replay run, or hold it."""
        if self._section != "replay":
            self._show_section("replay")
        self.query_one(ReplayPane).play()


def _key(section: str, cells: tuple[str, ...]) -> str:
    """A key that stays with its row from look to look."""
    if section == "waste":
        return f"{cells[0]} {cells[2]}"
    return " ".join(cells[:3]) if section == "quality" else cells[0]


def _cell(cell: str) -> Text:
    words = visible(cell)
    failed = words.startswith((_("FAILED: {reason}").partition("{")[0], "▼"))
    return Text(words, style="bold red" if failed else "")


def _is_problem(cells: tuple[str, ...]) -> bool:
    return any(_cell(cell).style for cell in cells)
