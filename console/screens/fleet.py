"""Fleet: what is rented, how it does, what it costs, and what the machines themselves will do about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from console.actions import bindings_of
from console.models.fleet_words import loss_of
from console.screens.fleet_rows import COLUMNS, fleet_note, fleet_row, instance_detail, money_lines
from console.widgets.confirm import Confirm
from console.widgets.keyed_table import KeyedTable

if TYPE_CHECKING:
    from textual.timer import Timer

    from console.app import SpotterApp
    from console.models.fleet import FleetView, InstanceView
    from console.operations.events import OperationEvent
    from console.operations.in_use import Use
    from console.operations.shell import ShellCommand
    from remote.services import OpenService

POLL_S = 5.0
DETAIL_S = 0.5
"""How often the words under the table follow what is under way on the marked instance."""


class Fleet(Vertical):
    """The instances, asked for anew a few seconds after each answer."""

    BINDINGS = bindings_of("fleet")
    app: SpotterApp

    def compose(self) -> ComposeResult:
        """Money, one table, and the marked instance in words."""
        yield Static("", id="fleet-money", markup=False)
        yield KeyedTable(COLUMNS, id="fleet-table")
        yield Static("", id="fleet-detail", markup=False)

    def on_mount(self) -> None:
        """Start asking."""
        self._view: FleetView | None = None
        self._asking = False
        self._timer: Timer | None = None
        self._under_way: dict[int, str] = {}
        self._opened: dict[int, tuple[OpenService, Use]] = {}
        self._detail = Text()
        self.set_interval(DETAIL_S, self._draw_detail)
        self.call_after_refresh(self.poll)  # the first frame does not wait for an answer

    def on_unmount(self) -> None:
        """The tunnels of this console end with it; what they led to goes on."""
        opened, self._opened = self._opened, {}
        for parts in opened.values():
            self._close(parts)

    def _close(self, parts: tuple[OpenService, Use]) -> None:
        for part in parts:
            self.app.in_background(part.close, lambda _done: None)

    def poll(self) -> None:
        """Ask the cloud and the ledger once; the next question follows the answer."""
        if self._asking:
            return
        self._asking = True

        def ask() -> FleetView:
            from console.models.fleet import FleetView, read_fleet

            try:
                view = read_fleet(self.app.session(), previous=self._view)
                self._keep_names(view)
            except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
                return replace(self._view or FleetView(), error=str(error) or type(error).__name__)
            return view

        self.app.in_background(ask, self.show)

    def _keep_names(self, view: FleetView) -> None:
        """Instances came, went or moved: what `ssh` knows of them follows, where that is installed."""
        from console.operations.ssh_config import refresh

        if self._view is None or _reachable(view) != _reachable(self._view):
            refresh(self.app.session())

    def show(self, view: FleetView) -> None:
        """Draw what was heard and ask again later."""
        if not self.is_attached:
            return  # the console is leaving
        self._view, self._asking = view, False
        rows = [fleet_row(instance, view.now or time.time(), time.time()) for instance in view.instances]
        self.query_one(KeyedTable).show(rows, fleet_note(view))
        self.query_one("#fleet-money", Static).update(money_lines(view, self.app.size.width))
        self._draw_detail()
        self.app.show_burn(view)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(POLL_S, self.poll)

    def on_show(self) -> None:
        """Keys go to the rows."""
        self.query_one(KeyedTable).focus_rows()

    def on_resize(self) -> None:
        """A narrow screen gets shorter words."""
        if self._view is not None:
            self.query_one("#fleet-money", Static).update(money_lines(self._view, self.app.size.width))

    def on_data_table_row_highlighted(self, _event: DataTable.RowHighlighted) -> None:
        """Tell of the instance under the cursor."""
        self._draw_detail()

    def _draw_detail(self) -> None:
        chosen = self._marked()
        now = time.time()
        detail = instance_detail(chosen, now, self._under_way.get(chosen.id, "")) if chosen is not None else Text()
        if detail != self._detail:
            self._detail = detail
            self.query_one("#fleet-detail", Static).update(detail)

    def _marked(self) -> InstanceView | None:
        key = self.query_one(KeyedTable).cursor_key
        return next((each for each in (self._view.instances if self._view else ()) if str(each.id) == key), None)

    def _with_marked(self, act: Callable[[InstanceView], None]) -> None:
        """Do something with the instance that is marked now, or say that none is."""
        chosen = self._marked()
        if chosen is None:
            self.app.say("Mark an instance first.")
        elif chosen.standing == "foreign":
            self.app.say(f"Instance {chosen.id} was not rented from this workspace: it is left alone.")
        else:
            act(chosen)

    def action_fleet_refresh(self) -> None:
        """Ask now."""
        self.poll()

    def action_fleet_filter(self) -> None:
        """Open the filter line."""
        self.query_one(KeyedTable).open_filter()

    def action_fleet_destroy(self) -> None:
        """Ask, then destroy the instance that was marked when the key was pressed."""
        self._with_marked(self._ask_to_destroy)

    def _ask_to_destroy(self, chosen: InstanceView) -> None:
        loss, typed = loss_of(chosen, self._view.now if self._view else time.time())
        word = "orphan" if chosen.orphan else "instance"
        question = Confirm(f"Destroy {word} {chosen.id}?", loss, "Destroy", typed=typed)

        def answered(yes: bool | None) -> None:
            if yes:
                force = ["--force"] if typed is not None or chosen.run_id else []
                self.app.start_process(["destroy", str(chosen.id), "--yes", *force], f"destroy {chosen.id}")

        self.app.push_screen(question, answered)

    def action_fleet_shell(self) -> None:
        """Leave the screen to a shell on the marked instance; its end brings the console back."""
        self._with_marked(lambda chosen: self._prepare_ssh(chosen, lambda command: self._run_shell(chosen.id, command)))

    def action_fleet_copy(self) -> None:
        """Copy the command that opens the same shell in any terminal."""

        def copy(command: ShellCommand) -> None:
            self.app.copy_to_clipboard(command.line)
            self.app.say(f"copied: {command.line}")

        self._with_marked(lambda chosen: self._prepare_ssh(chosen, copy))

    def _prepare_ssh(self, chosen: InstanceView, then: Callable[[ShellCommand], None]) -> None:
        def prepare() -> ShellCommand:
            from console.operations.shell import shell_command

            return shell_command(self.app.session(), chosen.id)

        self.app.in_background(prepare, then)

    def _run_shell(self, instance_id: int, command: ShellCommand) -> None:
        from textual.app import SuspendNotSupported

        from console.operations.in_use import in_use
        from console.operations.shell import run_in_terminal

        try:
            with self.app.suspend(), in_use(self.app.session(), instance_id):
                code = run_in_terminal(command)
        except SuspendNotSupported:
            self.app.say(f"This terminal cannot be left; type it in another one: {command.line}")
            return
        self.app.refresh(layout=True)
        if code == 255:
            self.app.notify(f"ssh could not hold {command.endpoint}", severity="error", markup=False)

    def action_fleet_jupyter(self) -> None:
        """Open Jupyter of the marked instance; tunnel and use of the box last as long as this console."""
        self._with_marked(self._open_jupyter)

    def _open_jupyter(self, chosen: InstanceView) -> None:
        if chosen.id in self._under_way:
            self.app.say(f"instance {chosen.id}: {self._under_way[chosen.id]}")
            return
        self._under_way[chosen.id] = "opening Jupyter …"
        self._draw_detail()

        def tell(event: OperationEvent) -> None:
            self._under_way[chosen.id] = f"Jupyter: {event.operation}: {event.message}"

        def ask() -> tuple[OpenService, bool]:
            from console.operations.browser import open_in_browser
            from console.operations.services import open_jupyter

            try:
                opened = open_jupyter(self.app.session(), chosen.id, report=tell)
                return opened, open_in_browser(opened.entry_url)
            finally:
                self._under_way.pop(chosen.id, None)

        self.app.in_background(ask, lambda answer: self._jupyter_opened(chosen.id, *answer))

    def _jupyter_opened(self, instance_id: int, opened: OpenService, shown: bool) -> None:
        from console.operations.in_use import Use

        before = self._opened.get(instance_id)
        self._opened[instance_id] = opened, Use(self.app.session(), instance_id)
        if before is not None:
            self._close(before)
        if shown:
            self.app.say(f"Jupyter of {instance_id} is open in the browser: {opened.url}")
            return
        self.app.copy_to_clipboard(opened.entry_url)
        self.app.say(f"no browser here; its address is copied, with the token: {opened.url}")


def _reachable(view: FleetView) -> set[tuple[int, tuple[str, ...]]]:
    """What names for ssh depend on."""
    return {(each.id, each.endpoints) for each in view.instances}
