"""Services: Jupyter and whatever else runs on the boxes, each one key away from the browser.

Boxes are asked when the view is opened, by `r`, and after something was started or stopped, never on a timer: to a
box every question is a sign of life, and one that is asked for ever would never give itself back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from console.actions.action import Action, Question
from console.language import _, ngettext
from console.models.services import BoxServices, key_of, read_services
from console.screens.service_rows import (
    COLUMNS,
    ServiceRow,
    service_card,
    service_row,
    start_question,
    stop_question,
)
from console.screens.view import Copyable, PolledView
from console.widgets.keyed_table import KeyedTable
from console.words import visible

if TYPE_CHECKING:
    from console.operations.in_use import Use
    from remote.services import OpenService

TICK_S = 1.0
"""How often ages are drawn anew."""


@dataclass(frozen=True, slots=True)
class Rented:
    """What is rented: instance and GPU."""

    boxes: tuple[tuple[int, str], ...]


class Services(PolledView[Rented]):
    """One row a service. Tunnels that are opened here end with the console; services go on."""

    NAME = "services"
    POLL_S = 0

    def __init__(self) -> None:
        super().__init__()
        self._boxes: tuple[tuple[int, str], ...] = ()
        self._told: dict[int, BoxServices] = {}
        self._asking_box: set[int] = set()
        self._opening: set[str] = set()
        self._opened: dict[str, tuple[OpenService, Use]] = {}

    def compose_main(self) -> ComposeResult:
        """One table."""
        yield KeyedTable(COLUMNS, id="services-table")

    def compose_side(self) -> ComposeResult:
        """The marked service."""
        yield Static(id="services-card", markup=False)

    def on_mount(self) -> None:
        """Ages grow while nobody asks."""
        if self.app.live:
            self.set_interval(TICK_S, self._tick)

    def on_unmount(self) -> None:
        """The tunnels of this console end with it."""
        for key in list(self._opened):
            self._close(key)

    def _tick(self) -> None:
        if self.app.view is self and self._boxes:
            self._draw()

    def open(self, argument: str) -> None:
        """Show the services that a filter keeps, or those of one instance."""
        super().open(argument)
        wanted = argument.strip()
        self.query_one(KeyedTable).set_filter(f"instance:{wanted}" if wanted.isdigit() else wanted)

    # ---- reading and drawing ----

    def read(self) -> Rented:
        """What is rented, by the ledger."""
        rows = sorted(self.app.session().living_rentals(), key=lambda row: row.instance_id)
        return Rented(tuple((row.instance_id, row.gpu_name) for row in rows))

    def show(self, news: Rented) -> None:
        """Draw what is rented, and ask each box by itself: one that does not answer holds no other one up."""
        self._boxes = news.boxes
        for instance_id, _gpu in news.boxes:
            if self.app.live:
                self._ask(instance_id)
        self._draw()

    def show_stale(self, reason: str) -> None:
        """Say why there is nothing newer; the rows stay."""
        super().show_stale(reason)
        self._draw(_("stale: {reason}").format(reason=visible(reason)))

    def _ask(self, instance_id: int) -> None:
        if instance_id in self._asking_box:
            return
        self._asking_box.add(instance_id)
        app = self.app

        def ask() -> BoxServices:
            try:
                return read_services(app.session(), instance_id)
            except Exception as error:  # noqa: BLE001 - said in the box's own row
                return BoxServices(instance_id, error=str(error) or type(error).__name__)

        self.in_background(ask, self.told)

    def told(self, answer: BoxServices) -> None:
        """Draw what a box answered."""
        self._asking_box.discard(answer.instance_id)
        self._told[answer.instance_id] = answer
        self._draw()

    def _rows(self) -> list[ServiceRow]:
        rows = []
        for instance_id, gpu in self._boxes:
            answer = self._told.get(instance_id)
            asking = instance_id in self._asking_box
            if answer is None or answer.error:
                rows.append(ServiceRow(instance_id, gpu, None, asking, error=answer.error if answer else ""))
                continue
            for service in answer.services:
                key = key_of(instance_id, service.name)
                opened = self._opened.get(key)
                local = opened[0].tunnel.local_address if opened is not None else ""
                trouble = (opened[0].tunnel.last_error or "") if opened is not None else ""
                rows.append(
                    ServiceRow(instance_id, gpu, service, asking, local, opening=key in self._opening, error=trouble)
                )
        return rows

    def _draw(self, instead: str = "") -> None:
        now = self.app.now()
        rows = self._rows()
        running = sum(row.service is not None and row.service.alive for row in rows)
        if instead:
            note = instead
        elif rows:
            note = ngettext("{n} service runs", "{n} services run", running).format(n=running)
            if self._opened:
                tunnels = ngettext("{n} tunnel", "{n} tunnels", len(self._opened)).format(n=len(self._opened))
                note += f" · {tunnels}"
            note += " · " + _("r asks the boxes again")
        else:
            note = _("nothing is rented: services run on rented machines")
        self.query_one(KeyedTable).show([service_row(row, now) for row in rows], note)
        self._draw_side()

    def _draw_side(self) -> None:
        row = self._marked()
        self.query_one("#services-card", Static).update(Text() if row is None else service_card(row, self.app.now()))

    def on_keyed_table_highlighted(self, event: KeyedTable.Highlighted) -> None:
        """Tell of the service under the cursor."""
        event.stop()
        self._draw_side()

    def on_keyed_table_opened(self, event: KeyedTable.Opened) -> None:
        """Enter opens it."""
        event.stop()
        self.action_services_open()

    # ---- who is meant ----

    def _marked(self) -> ServiceRow | None:
        key = self.table.cursor_key if self.table is not None else None
        return next((row for row in self._rows() if row.key == key), None)

    def _of(self, targets: Sequence[str]) -> list[ServiceRow]:
        return [row for row in self._rows() if row.key in targets]

    def refusal(self, action: Action) -> str:
        """Each wants a service that stands so."""
        row = self._marked()
        if row is None:
            return _("Nothing is rented.")
        if action.id == "services.close" and row.key not in self._opened:
            return _("No tunnel of this console leads to it.")
        if action.id == "services.open" and (row.service is None or not row.service.alive):
            return _("It does not run: U starts it.")
        return ""

    def copies(self) -> Sequence[Copyable]:
        """The address here, and the command that opens it in any terminal."""
        row = self._marked()
        if row is None or row.service is None:
            return ()
        opened = self._opened.get(row.key)
        found = [Copyable(_("address"), opened[0].url)] if opened is not None else []
        name = row.service.name
        return (*found, Copyable(_("command"), f"spotter service open {name} --on {row.instance_id}"))

    @property
    def problem_count(self) -> int:
        """Boxes that did not answer."""
        return sum(bool(answer.error) for answer in self._told.values())

    # ---- actions ----

    def action_services_open(self) -> None:
        """A tunnel and the browser; what is open already is shown again."""
        row = self._marked()
        if row is None or row.service is None or not row.service.alive:
            self.app.say(_("It does not run: U starts it."))
            return
        key, name, instance_id = row.key, row.service.name, row.instance_id
        if key in self._opening:
            self.app.say(_("it is being opened"))
            return
        before = self._opened.get(key)
        self._opening.add(key)
        self._draw()
        app = self.app

        def ask() -> tuple[tuple[OpenService, Use] | None, bool, str]:
            from console.operations.browser import open_in_browser
            from console.operations.in_use import Use
            from console.operations.services import open_named

            try:
                parts = before or (open_named(app.session(), instance_id, name), Use(app.session(), instance_id))
                return parts, open_in_browser(parts[0].entry_url), ""
            except Exception as error:  # noqa: BLE001 - said below, and the row is free again
                return None, False, str(error) or type(error).__name__

        # the app's own call: a tunnel that comes after the view has gone must be closed all the same
        app.in_background(ask, lambda answer: self._is_open(key, instance_id, *answer))

    def _is_open(
        self, key: str, instance_id: int, parts: tuple[OpenService, Use] | None, shown: bool, why: str
    ) -> None:
        self._opening.discard(key)
        if parts is None:
            self._draw()
            self.app.tell(why, "error")
            return
        opened = parts[0]
        self._opened[key] = parts
        if not self.is_attached:
            self._close(key)
            return
        name = opened.service.name
        self.app.log_command(f"spotter service open {name} --on {instance_id}", opened.url)
        if shown:
            self.app.say(_("{name} is open in the browser: {url}").format(name=name, url=opened.url))
        else:
            self.app.copy_to_clipboard(opened.entry_url)
            self.app.say(
                _("there is no browser here: the address is copied, with its token: {url}").format(url=opened.url)
            )
        self._draw()

    def action_services_close(self) -> None:
        """Close the tunnel of the marked service."""
        row = self._marked()
        if row is not None and row.key in self._opened:
            self._close(row.key)
            self.app.say(_("the tunnel is closed; the service goes on"))
            self._draw()

    def _close(self, key: str) -> None:
        for part in self._opened.pop(key):
            self.app.in_background(part.close, lambda _done: None)

    def action_services_fleet(self) -> None:
        """The machine of the marked service."""
        if (row := self._marked()) is not None:
            self.app.go("instance", str(row.instance_id))

    def question_services_start(self, targets: tuple[str, ...]) -> Question | str:
        """Before a box is changed."""
        return start_question(self._of(targets))

    def question_services_stop(self, targets: tuple[str, ...]) -> Question | str:
        """Before what a service holds in memory is lost."""
        return stop_question(self._of(targets))
