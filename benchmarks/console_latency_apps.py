"""The apps that `console_latency.py` presses keys in; each is started by it on a pty of its own.

`ours` is the shipped app with its log view, over a run's log that another process writes; above the lines stands the
shipped table with 200 rows that change every second. `naive` shows the same with Textual's own widgets: one call into
the loop and one `RichLog.write` a line, and a `DataTable` that is cleared and filled again. Each key moves the table's
cursor; with it a marker is drawn anew that tells how many keys and how many lines came so far.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from rich.text import Text
from textual.app import App, ComposeResult
from textual.message import Message
from textual.widget import Widget
from textual.widgets import DataTable, RichLog

sys.path.insert(0, str(Path(__file__).parents[1]))

from console.app import SpotterApp
from console.screens import log
from console.widgets.keyed_table import Column, KeyedTable, Row
from console.widgets.ring_log import RingLog
from console.workspace import Workspace

RUN = "01jbenchrun000000000000000"
ROWS, COLUMNS = 200, 10
TABLE_S = 1.0


class Marker(Widget):
    """What the harness looks for on the terminal; drawn in the frame in which the cursor moves, without a layout."""

    DEFAULT_CSS = "Marker { height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._text = Text("")

    def tell(self, keys: int, lines: int) -> None:
        self._text = Text(f"<<{keys:05}:{lines:09}>>")
        self.refresh()

    def render(self) -> Text:
        return self._text


def cells(row: int, tick: int) -> tuple[Text, ...]:
    """A row whose values change with every tick, as figures of machines do."""
    return tuple(
        Text(f"instance-{row:03}" if column == 0 else f"{(row * 7 + column * 13 + tick * 3) % 1000 / 10:.1f}")
        for column in range(COLUMNS)
    )


def ours(folder: Path, *, load: bool) -> SpotterApp:
    """The shipped app on its log view, with the shipped table above the lines; under `load` all rows change."""

    class BenchTable(KeyedTable):
        """The shipped table; a marker tells of its cursor's moves."""

        moves = -1

        def post_message(self, message: Message) -> bool:
            if isinstance(message, KeyedTable.Highlighted):
                self.moves += 1
                self.screen.query_one(Marker).tell(self.moves, self.screen.query_one(RingLog).buffer.end)
            return super().post_message(message)

    class BenchView(log.LogView):
        """The log view with a table above its lines."""

        def __init__(self) -> None:
            super().__init__()
            self.ticks = 0
            self.load = load
            self.bench_table = BenchTable([Column(f"c{number}", 12) for number in range(COLUMNS)], id="bench-table")

        def compose_main(self) -> ComposeResult:
            yield self.bench_table
            yield Marker()
            yield from super().compose_main()

        def on_mount(self) -> None:
            self._fill()  # the log view's own `on_mount` is called, too: handlers of all classes are
            self.set_interval(TABLE_S, self._change)

        def _change(self) -> None:
            if self.load:
                self._fill()

        def _fill(self) -> None:
            self.ticks += 1
            rows = [Row(f"{row:03}", cells(row, self.ticks)) for row in range(ROWS)]
            self.bench_table.show(rows, f"tick {self.ticks}")

        def focus_main(self) -> None:
            self.bench_table.focus_rows()

    shipped, log.LogView = log.LogView, BenchView  # type: ignore[misc]  # what the app makes under this name
    try:
        return SpotterApp(Workspace(folder), "log", RUN)
    finally:
        log.LogView = shipped  # type: ignore[misc]


class NaiveTable(DataTable[Text]):
    """Textual's table; a marker tells of its cursor's moves."""

    moves = 0

    def action_cursor_down(self) -> None:
        super().action_cursor_down()
        self._moved()

    def action_cursor_up(self) -> None:
        super().action_cursor_up()
        self._moved()

    def _moved(self) -> None:
        self.moves += 1
        app = self.app
        assert isinstance(app, Naive)
        app.query_one(Marker).tell(self.moves, app.lines)


class Naive(App[None]):
    """The same, as one would write it first."""

    CSS = "DataTable, RichLog { height: 1fr; }"

    def __init__(self, log: Path) -> None:
        super().__init__()
        self._log = log
        self.lines = self.ticks = 0
        self.stop = threading.Event()

    def compose(self) -> ComposeResult:
        yield NaiveTable(cursor_type="row")
        yield Marker()
        yield RichLog(max_lines=100_000)

    def on_mount(self) -> None:
        table = self.query_one(NaiveTable)
        table.add_columns(*(f"c{number}" for number in range(COLUMNS)))
        self._fill()
        table.focus()
        self.query_one(Marker).tell(0, 0)
        self.set_interval(TABLE_S, self._fill)
        threading.Thread(target=self._follow, daemon=True).start()

    def _fill(self) -> None:
        table, self.ticks = self.query_one(NaiveTable), self.ticks + 1
        at = table.cursor_row
        table.clear()
        for row in range(ROWS):
            table.add_row(*cells(row, self.ticks))
        table.move_cursor(row=at)

    def _follow(self) -> None:
        with self._log.open(encoding="utf-8") as lines:
            while not self.stop.wait(0.01):
                for line in lines:
                    self.call_from_thread(self._write, line.rstrip("\n"))

    def _write(self, line: str) -> None:
        self.lines += 1
        self.query_one(RichLog).write(line)


def main() -> None:
    which, folder = sys.argv[1], Path(sys.argv[2])
    if which == "naive":
        Naive(folder / "out" / "runs" / RUN / "logs" / "job-1.log").run()
    else:
        ours(folder, load=which == "load").run()


if __name__ == "__main__":
    main()
