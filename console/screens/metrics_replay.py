"""Replay: step through recorded time; the fleet, its load and what happened, as they were at that moment."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from console.language import N_, _
from console.models.chart import Chart
from console.models.instance_charts import WINDOWS, charts_of
from console.models.rows import Column, Row
from console.spoken import brief, duration, usd_per_hour
from console.widgets.braille import BrailleChart
from console.widgets.keyed_table import KeyedTable
from console.words import usd, visible

if TYPE_CHECKING:
    from textual.timer import Timer

    from console.app import SpotterApp
    from console.models.replay import Past, PastInstance

COLUMNS = (
    Column(N_("id"), 11, name="id"),
    Column("GPU", 16, name="gpu"),
    Column(N_("state"), 12, name="state"),
    Column(N_("GPU %"), 6, name="util", numeric=True),
    Column("VRAM", 10, 100, name="vram", numeric=True),
    Column("°C", 4, 100, name="temp", numeric=True),
    Column(N_("$/h"), 9, name="usd", numeric=True),
    Column(N_("spent"), 9, name="spent", numeric=True),
    Column(N_("age"), 9, name="age", numeric=True),
    Column(N_("run"), 9, 100, name="run"),
)
STEPS = 240
"""A span is walked through in so many steps."""
ALL_S = 30 * 86400.0
"""How far back the recorder goes, and with it a replay of everything."""
PLAY_S = 0.5
"""Between two steps while it plays."""
EVENTS_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment, ready to draw."""

    past: Past
    charts: tuple[Chart, ...]
    chosen: int | None


class ReplayPane(Vertical):
    """The moment, two charts of the marked instance up to it, the fleet then, and what had just happened."""

    app: SpotterApp

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.at: float | None = None
        """The moment on screen, Unix seconds of this machine; None before it was entered."""
        self._window_s: float | None = None
        self._asking = False
        self._again = False
        self._playing: Timer | None = None
        self.instance_id: int | None = None
        """The instance whose charts are meant until the cursor goes to another one."""
        self._shown: int | None = None
        """The instance whose charts are on screen."""
        self._fleet: tuple[PastInstance, ...] = ()

    def compose(self) -> ComposeResult:
        """Moment, charts, fleet, events."""
        yield Static("", id="replay-moment", markup=False)
        with Horizontal(id="replay-charts"):
            yield BrailleChart(id="replay-chart-0")
            yield BrailleChart(id="replay-chart-1")
        yield KeyedTable(COLUMNS, id="replay-fleet")
        yield Static("", id="replay-events", markup=False)

    @property
    def table(self) -> KeyedTable:
        """The fleet of the moment."""
        return self.query_one(KeyedTable)

    @property
    def log_place(self) -> str:
        """Where the log of the charted instance's run stands at this moment: `RUN@2026-11-21T12:00:03`, or nothing."""
        run = next((each.run_id for each in self._fleet if each.instance_id == self._shown), None)
        if run is None or self.at is None:
            return ""
        return f"{run}@{time.strftime('%Y-%m-%dT%H:%M:%S', time.localtime(self.at))}"

    @property
    def step_s(self) -> float:
        """Seconds of one step."""
        return max(5.0, (self._window_s or ALL_S) / STEPS)

    @property
    def playing(self) -> bool:
        """Whether time runs."""
        return self._playing is not None

    def set_window(self, seconds: float | None) -> None:
        """Walk in steps that go with another span."""
        self._window_s = seconds
        if self.at is not None:
            self._draw_moment()

    def enter(self, seconds: float | None) -> None:
        """Begin at now, unless a moment was chosen before."""
        self._window_s = seconds
        if self.at is None:
            self.at = self.app.now()
        self._ask()

    def leave(self) -> None:
        """Forget the moment."""
        self.hold()
        self.at = self.instance_id = None

    def go_to(self, at: float, instance_id: int | None) -> None:
        """A moment that somebody came for, with the charts of one instance."""
        self.hold()
        self.at, self.instance_id = min(at, self.app.now()), instance_id
        self._ask()

    def on_keyed_table_highlighted(self, message: KeyedTable.Highlighted) -> None:
        """Charts follow the cursor, unless it only follows the rows."""
        message.stop()
        if message.key is not None and self._shown is not None and message.key != str(self._shown):
            self.instance_id = None
            self._ask()

    def step(self, steps: int) -> None:
        """Another moment, never later than now nor further back than anything is kept."""
        now = self.app.now()
        if self.at is None:
            self.at = now
        self.at = max(now - ALL_S, min(now, self.at + steps * self.step_s))
        if steps > 0 and self.at >= now:
            self.hold()
        self._draw_moment()
        self._ask()

    def play(self) -> None:
        """Let time run, or hold it."""
        if self._playing is not None:
            self.hold()
        elif self.at is not None and self.at < self.app.now():
            self._playing = self.set_interval(PLAY_S, lambda: self.step(1))
        else:
            self.app.say(_("This is now: go back first, with the comma."))
        self._draw_moment()

    def hold(self) -> None:
        """Time stands still."""
        if self._playing is not None:
            self._playing.stop()
            self._playing = None

    def _ask(self) -> None:
        """Read the moment in a thread; of several that were asked meanwhile the last one."""
        if self.at is None or not self.app.live:
            self._draw_moment()
            return
        if self._asking:
            self._again = True
            return
        self._asking = True
        at, app = self.at, self.app
        key = self.instance_id if self.instance_id is not None else self.table.cursor_key
        width = 2 * max(20, self.query_one("#replay-chart-0").size.width)

        def ask() -> tuple[Scene | None, str]:
            try:
                return read_scene(app, at, int(key) if key else None, width), ""
            except Exception as error:  # noqa: BLE001 - shown where the moment would be
                return None, str(error) or type(error).__name__

        app.in_background(ask, self._heard)

    def _heard(self, answer: tuple[Scene | None, str]) -> None:
        self._asking = False
        if not self.is_attached:
            return
        scene, problem = answer
        if scene is None:
            self.query_one("#replay-moment", Static).update(Text.assemble((visible(problem), "bold yellow")))
        else:
            self.show(scene)
        if self._again:
            self._again = False
            self._ask()

    def show(self, scene: Scene) -> None:
        """Draw a moment."""
        past = scene.past
        self._shown, self._fleet = scene.chosen, past.instances
        self._draw_moment(past)
        self.query_one("#replay-charts").display = bool(scene.charts)
        for number in (0, 1):
            chart = self.query_one(f"#replay-chart-{number}", BrailleChart)
            chart.display = number < len(scene.charts)
            if number < len(scene.charts):
                chart.show(scene.charts[number])
        self.table.show([_row(past, number) for number in range(len(past.instances))], _("the fleet at that moment"))
        words = Text()
        for event in past.events[:EVENTS_SHOWN]:
            clock = time.strftime("%H:%M:%S", time.localtime(event.at))
            who = f"{event.instance_id} " if event.instance_id is not None else ""
            style = "bold red" if event.kind == "failure" else ""
            words.append(f"{clock} {who}{visible(event.kind)}: {visible(event.text)}\n", style=style)
        self.query_one("#replay-events", Static).update(words)

    def _draw_moment(self, past: Past | None = None) -> None:
        if self.at is None:
            return
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append("▶ " if self.playing else "❚❚ ", style="bold")
        line.append(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at)), style="bold")
        back = self.app.now() - self.at
        line.append("  " + (_("{age} ago").format(age=duration(back)) if back >= 1 else _("now")))
        line.append("  " + _("step {step}").format(step=duration(self.step_s)), style="dim")
        if past is not None:
            line.append("  " + _("burn {usd}").format(usd=usd_per_hour(past.burn_usd_per_hour)))
        self.query_one("#replay-moment", Static).update(line)


def read_scene(app: SpotterApp, at: float, chosen: int | None, buckets: int) -> Scene:
    """The fleet at a moment, and charts of one instance up to it; runs in a thread."""
    from console.operations.metrics import read_past

    session = app.session()
    past = read_past(session, at)
    ids = [each.instance_id for each in past.instances]
    if chosen not in ids:
        chosen = ids[0] if ids else None
    charts: tuple[Chart, ...] = ()
    if chosen is not None:
        found = charts_of(session.recorder, chosen, WINDOWS[1], at, buckets)
        clock = time.strftime("%H:%M:%S", time.localtime(at))
        charts = tuple(replace(chart, title=f"{chosen} {chart.title}", end=clock) for chart in found[:2])
    return Scene(past, charts, chosen)


def _row(past: Past, number: int) -> Row:
    each = past.instances[number]
    sample = each.sample
    busy = sample.gpu_percent if sample is not None else None
    used = sample.vram_used_mb if sample is not None else None
    hot = sample.temperature_c if sample is not None else None
    cells = (
        str(each.instance_id),
        visible(each.gpu),
        visible(each.state),
        "–" if busy is None else f"{busy:.0f}",
        "–" if used is None else f"{used / 1024:.1f} GiB",
        "–" if hot is None else f"{hot:.0f}",
        usd_per_hour(each.usd_per_hour),
        usd(each.spent_usd),
        brief(each.rented_for_s),
        (each.run_id or "–")[-8:],
    )
    return Row(str(each.instance_id), tuple(map(Text, cells)), values={"age": each.rented_for_s, "util": busy})
