"""One run, live: stages with their counts, what failed and why, and its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Log, Static

from console.actions import bindings_of
from console.models.run_cost import cost_words
from console.models.run_view import RunView, StageView
from console.screens.runs import STATE_STYLE, ask_cancel
from console.words import bar, count, duration

if TYPE_CHECKING:
    from console.app import SpotterApp
    from console.models.run_reader import RunNews, RunReader

REFRESH_S = 0.2
LOG_LINES = 20_000
TALL_SCREEN = 40


def stage_table(view: RunView) -> Table:
    """The stages as a grid: bar, counts, rate, time to go."""
    table = Table.grid(padding=(0, 1))
    for _ in range(7):
        table.add_column(no_wrap=True)
    for stage in view.stages.values():
        table.add_row(*_stage_cells(stage))
    return table


def _stage_cells(stage: StageView) -> tuple[Text, ...]:
    fraction = stage.done / stage.total if stage.total else float(stage.state == "finished")
    mark = {"finished": "✓", "started": "▸"}.get(stage.state, " ")
    failed = Text(f"{stage.failed} failed", style="bold red") if stage.failed else Text("")
    pace = f"{stage.rate_per_s:.1f}/s" if stage.state == "started" and stage.rate_per_s else ""
    eta = f"{duration(stage.eta_s)} to go" if stage.state == "started" and stage.eta_s else ""
    took = duration(stage.elapsed_s) if stage.state == "finished" else ""
    return (
        Text(mark, style="green" if mark == "✓" else "cyan"),
        Text(stage.name, style="bold"),
        Text(bar(fraction, 20), style="green" if stage.state == "finished" else "cyan"),
        Text(f"{stage.done}/{stage.total}"),
        failed,
        Text(pace + took),
        Text(eta, style="dim"),
    )


def failure_lines(news: RunNews, limit: int) -> Text:
    """What failed, with its reason; says how many more there are."""
    text = Text()
    for failure in news.failures[:limit]:
        text.append("✗ ", style="bold red")
        text.append(f"{failure.name} ", style="bold")
        text.append(f"{failure.stage}: {failure.reason}\n")
    if news.failed > limit:
        text.append(f"… and {news.failed - limit} more: see report.md of the run\n", style="dim")
    return text


def run_head(news: RunNews) -> Text:
    """One line: which run, what state, how long, how many failures; a second one says what went wrong."""
    entry, view = news.entry, news.view
    text = Text()
    text.append(f"{entry.pipeline} ", style="bold")
    text.append(f"{entry.run_id}  ", style="dim")
    state = entry.state if entry.phase == "done" else view.state
    text.append(state, style=STATE_STYLE.get(state, "bold"))
    if entry.phase != "done":
        text.append(f"  {entry.phase.value}")
    if entry.machines and entry.phase != "done":
        several = len(entry.machines) > 1
        text.append(f"  on {'instances' if several else 'instance'} {', '.join(map(str, entry.machines))}")
    if view.started_at and view.last_event_at:
        text.append(f"  {duration(view.last_event_at - view.started_at)}")
    if news.failed:
        text.append(f"  {count(news.failed, 'failure')}", style="bold red")
    if words := cost_words(news.cost):
        text.append(f"\n{words}", style="dim")
    if entry.problem:
        text.append(f"\n{entry.problem}", style="bold yellow")
    return text


class Run(Vertical):
    """The live view of one run; it reads this machine's copy of events and log, whoever replicates them."""

    BINDINGS = bindings_of("run")
    app: SpotterApp

    def compose(self) -> ComposeResult:
        """Head, stages, failures, log."""
        yield Static("", id="run-head", markup=False)
        yield Static("", id="run-stages")
        yield Static("", id="run-failures")
        yield Log(id="run-log", max_lines=LOG_LINES, highlight=False)

    def on_mount(self) -> None:
        """Nothing is shown before a run is opened."""
        self._reader: RunReader | None = None
        self._reading = False
        self._timer = self.set_interval(REFRESH_S, self.look, pause=True)

    def open(self, run_id: str) -> None:
        """Show this run."""
        from console.models.run_reader import RunReader

        self._reader = RunReader(self.app.workspace, run_id)
        log = self.query_one(Log)
        log.clear()
        log.auto_scroll = True
        self.look()
        self._timer.resume()
        log.focus()

    def on_hide(self) -> None:
        """What is hidden reads and draws nothing."""
        self._timer.pause()

    def on_show(self) -> None:
        """Coming back to it, it goes on."""
        if self._reader is not None:
            self._timer.resume()

    def look(self) -> None:
        """Read what was appended, in a thread, one look at a time."""
        reader = self._reader
        if reader is None or self._reading:
            return
        self._reading = True

        def read() -> tuple[RunReader, RunNews | str]:
            try:
                return reader, reader.look()
            except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
                return reader, str(error) or type(error).__name__

        self.app.in_background(read, self.show)

    def show(self, answer: tuple[RunReader, RunNews | str]) -> None:
        """Draw what was read; an answer about a run that is no longer open is dropped."""
        self._reading = False
        reader, news = answer
        if reader is not self._reader:
            self.look()
            return
        if isinstance(news, str):
            self.query_one("#run-head", Static).update(Text(news, style="bold red"))
            self._timer.pause()
            return
        self.query_one("#run-head", Static).update(run_head(news))
        self.query_one("#run-stages", Static).update(stage_table(news.view))
        failures = self.query_one("#run-failures", Static)
        failures.display = news.failed > 0
        failures.update(failure_lines(news, 12 if self.app.size.height >= TALL_SCREEN else 4))
        if news.new_lines:
            self.query_one(Log).write_lines(news.new_lines)
        elif news.entry.phase == "done":
            self._timer.pause()  # nothing more will come

    def action_run_follow(self) -> None:
        """Stick to the end of the log, or stop sticking."""
        log = self.query_one(Log)
        log.auto_scroll = not log.auto_scroll
        if log.auto_scroll:
            log.scroll_end(animate=False)
        self.app.say("following the log" if log.auto_scroll else "log stands still; f follows again")

    def action_run_cancel(self) -> None:
        """Ask, then stop this run."""
        if self._reader is not None:
            ask_cancel(self.app, self._reader.run_id)
