"""Runs: every run of the workspace, how far it is and what became of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from console.actions import bindings_of
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import Column, KeyedTable, Row
from console.words import bar, count, duration

if TYPE_CHECKING:
    from console.app import SpotterApp
    from console.models.runs import RunList, RunRow

POLL_S = 1.0

COLUMNS = (
    Column("run", 8),
    Column("pipeline", 9),
    Column("state", 11),
    Column("progress", 17),
    Column("failed", 6),
    Column("age", 7),
    Column("instance", 10, min_screen=100),
    Column("note", 60, min_screen=150),
)

STATE_STYLE = {
    "succeeded": "green",
    "incomplete": "bold yellow",
    "failed": "bold red",
    "cancelled": "dim",
    "interrupted": "yellow",
    "stopped": "bold yellow",
    "detached": "yellow",
    "running": "cyan",
}


def run_row(row: RunRow, now: float) -> Row:
    """One run as table cells."""
    entry, view = row.entry, row.view
    note = row.note or view.message or f"{entry.phase.value} …"
    return Row(
        entry.run_id,
        (
            Text(entry.run_id[-8:]),
            Text(entry.pipeline),
            Text(row.state, style=STATE_STYLE.get(row.state, "")),
            Text(f"{bar(view.fraction, 12)} {view.fraction:4.0%}"),
            Text(str(row.failed), style="bold red" if row.failed else "dim"),
            Text(duration(now - entry.created_at)),
            Text(_machines(entry.machines)),
            Text(note, style="dim"),
        ),
    )


def _machines(instances: tuple[int, ...]) -> str:
    return f"{len(instances)} boxes" if len(instances) > 1 else str(instances[0]) if instances else "–"


class Runs(Vertical):
    """The list; enter opens one."""

    BINDINGS = bindings_of("runs", but=("runs.open",))  # enter is the table's own
    app: SpotterApp

    class Opened(Message):
        """A run was chosen."""

        def __init__(self, run_id: str) -> None:
            super().__init__()
            self.run_id = run_id

    def compose(self) -> ComposeResult:
        """One table."""
        yield KeyedTable(COLUMNS, id="runs-table")

    def on_mount(self) -> None:
        """Start reading."""
        self._list: RunList | None = None
        self._rows: dict[str, RunRow] = {}
        self.call_after_refresh(self.poll)  # the first frame does not wait for an answer

    def on_show(self) -> None:
        """Keys go to the rows."""
        self.query_one(KeyedTable).focus_rows()

    def poll(self) -> None:
        """Read the runbook and the events once; the next reading follows."""

        def read() -> list[RunRow] | str:
            from console.models.runs import RunList

            try:
                if self._list is None:
                    self._list = RunList(self.app.workspace)
                return self._list.refresh()
            except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
                return str(error) or type(error).__name__

        self.app.in_background(read, self.heard)

    def heard(self, answer: list[RunRow] | str) -> None:
        """Draw what was read, or why it could not be; read again later."""
        if isinstance(answer, str):
            self.query_one(KeyedTable).show(
                [run_row(row, time.time()) for row in self._rows.values()], f"stale: {answer}"
            )
        else:
            self.show(answer)
        self.set_timer(POLL_S, self.poll)

    def show(self, rows: list[RunRow]) -> None:
        """Draw what was read."""
        self._rows = {row.entry.run_id: row for row in rows}
        now = time.time()
        live = sum(1 for row in rows if row.driver is not None)
        note = f"{count(len(rows), 'run')}, {live} live" if rows else "no run yet · n parses everything in data/"
        self.query_one(KeyedTable).show([run_row(row, now) for row in rows], note)

    def on_keyed_table_opened(self, event: KeyedTable.Opened) -> None:
        """Open the run under the cursor."""
        event.stop()
        self.post_message(self.Opened(event.key))

    def action_runs_filter(self) -> None:
        """Open the filter line."""
        self.query_one(KeyedTable).open_filter()

    def action_runs_new(self) -> None:
        """Ask, then start a run over everything in `data/`."""
        session_note = (
            "Parses every document in data/: rents a machine by the workspace's profile, runs docparse, "
            "pulls and indexes the results, and destroys the machine.\nThe same as:  spotter run docparse"
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self.app.start_process(["run", "docparse", "--yes"], "new run")

        self.app.push_screen(Confirm("Start a run?", session_note, "Run"), answered)

    def _marked(self) -> RunRow | None:
        row = self._rows.get(self.query_one(KeyedTable).cursor_key or "")
        if row is None:
            self.app.say("Mark a run first.")
        return row

    def action_runs_resume(self) -> None:
        """Go on with the marked run."""
        row = self._marked()
        if row is None:
            return
        if row.driver is not None:
            self.app.say(f"Run {row.entry.run_id[-8:]} is live: process {row.driver} drives it.")
            return
        if row.entry.phase == "done" and row.entry.state == "succeeded":
            self.app.say(f"Run {row.entry.run_id[-8:]} has succeeded; n starts a new one.")
            return
        run_id = row.entry.run_id

        def answered(yes: bool | None) -> None:
            if yes:
                self.app.start_process(["run", "--resume", run_id, "--yes"], f"resume {run_id[-8:]}")

        detail = "Goes on where it stopped: finished items are not done twice. It may rent a machine."
        self.app.push_screen(Confirm(f"Resume run {run_id[-8:]}?", detail, "Resume"), answered)

    def action_runs_cancel(self) -> None:
        """Ask, then stop the marked run."""
        row = self._marked()
        if row is not None:
            ask_cancel(self.app, row.entry.run_id)


def ask_cancel(app: SpotterApp, run_id: str) -> None:
    """Ask, then stop a run: what is finished stays and is pulled, the instance is destroyed."""
    detail = "What is finished is pulled and stays; the rest can be resumed. Its instance is destroyed."

    def answered(yes: bool | None) -> None:
        if yes:
            app.start_process(["cancel", run_id, "--yes"], f"cancel {run_id[-8:]}")

    app.push_screen(Confirm(f"Cancel run {run_id[-8:]}?", detail, "Cancel the run"), answered)
