"""Fleet: what is rented, how it does, what it costs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from console.actions import bindings_of
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import Column, KeyedTable, Row
from console.words import duration, usd, usd_per_hour

if TYPE_CHECKING:
    from textual.timer import Timer

    from console.app import SpotterApp
    from console.models.fleet import FleetView, InstanceView

POLL_S = 5.0

COLUMNS = (
    Column("id", 10),
    Column("GPU", 13),
    Column("state", 10),
    Column("$/h", 9),
    Column("spent", 7),
    Column("age", 7),
    Column("run", 8),
    Column("label", 28, min_screen=110),
    Column("place", 18, min_screen=140),
    Column("endpoint", 28, min_screen=160),
    Column("message", 40, min_screen=190),
)

_STATE_STYLE = {
    "ready": "bold green",
    "running": "green",
    "loading": "yellow",
    "orphan": "bold red",
    "not listed": "bold red",
}


def fleet_row(view: InstanceView, now: float) -> Row:
    """One instance as table cells."""
    state = "orphan" if view.orphan else view.state
    age = duration(now - view.started_at) if view.started_at else "–"
    return Row(
        str(view.id),
        (
            Text(str(view.id)),
            Text(view.gpu),
            Text(state, style=_STATE_STYLE.get(state, "")),
            Text(usd_per_hour(view.usd_per_hour)),
            Text(usd(view.spent_usd)),
            Text(age),
            Text(view.run_id[-8:] if view.run_id else "–"),
            Text(view.label),
            Text(view.location),
            Text(view.endpoint),
            Text(view.message, style="dim"),
        ),
    )


def fleet_note(view: FleetView) -> str:
    """The line under the table: never «nothing here» when the truth is «nobody answered»."""
    if view.error:
        return f"stale: {view.error}"
    emulated = "EMULATED cloud · " if view.emulated else ""
    if not view.instances:
        return f"{emulated}no instance is rented · n on Runs starts a run, 2 shows offers"
    burn = sum(instance.usd_per_hour for instance in view.instances)
    return f"{emulated}{len(view.instances)} rented · {usd_per_hour(burn)} · today {usd(view.spent_today_usd)}"


class Fleet(Vertical):
    """The instances, asked for anew a few seconds after each answer."""

    BINDINGS = bindings_of("fleet")
    app: SpotterApp

    def compose(self) -> ComposeResult:
        """One table."""
        yield KeyedTable(COLUMNS, id="fleet-table")

    def on_mount(self) -> None:
        """Start asking."""
        self._view: FleetView | None = None
        self._asking = False
        self._timer: Timer | None = None
        self.call_after_refresh(self.poll)  # the first frame does not wait for an answer

    def poll(self) -> None:
        """Ask the cloud and the ledger once; the next question follows the answer."""
        if self._asking:
            return
        self._asking = True

        def ask() -> FleetView:
            from console.models.fleet import FleetView, read_fleet

            try:
                return read_fleet(self.app.session(), previous=self._view)
            except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
                return replace(self._view or FleetView(), error=str(error))

        self.app.in_background(ask, self.show)

    def show(self, view: FleetView) -> None:
        """Draw what was heard and ask again later."""
        self._view, self._asking = view, False
        now = time.time()
        self.query_one(KeyedTable).show([fleet_row(instance, now) for instance in view.instances], fleet_note(view))
        self.app.show_burn(view)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(POLL_S, self.poll)

    def on_show(self) -> None:
        """Keys go to the rows."""
        self.query_one(KeyedTable).focus_rows()

    def action_fleet_refresh(self) -> None:
        """Ask now."""
        self.poll()

    def action_fleet_filter(self) -> None:
        """Open the filter line."""
        self.query_one(KeyedTable).open_filter()

    def action_fleet_destroy(self) -> None:
        """Ask, then destroy the instance that was marked when the key was pressed."""
        key = self.query_one(KeyedTable).cursor_key
        chosen = next((i for i in (self._view.instances if self._view else ()) if str(i.id) == key), None)
        if chosen is None:
            self.app.say("Mark an instance first.")
            return
        loss = (
            f"Run {chosen.run_id[-8:]} works on it: what is not pulled is lost (K on Runs cancels and keeps it).\n"
            if chosen.run_id
            else ""
        )
        detail = (
            f"{chosen.gpu}, {usd_per_hour(chosen.usd_per_hour)}, {usd(chosen.spent_usd)} so far.\n"
            f"{loss}Its disk and everything on it go for good."
        )
        question = Confirm(f"Destroy instance {chosen.id}?", detail, "Destroy", typed=str(chosen.id)[-4:])

        def answered(yes: bool | None) -> None:
            if yes:
                force = ["--force"] if chosen.run_id else []
                self.app.start_process(["destroy", str(chosen.id), "--yes", *force], f"destroy {chosen.id}")

        self.app.push_screen(question, answered)
