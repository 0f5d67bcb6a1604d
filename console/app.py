"""The shell of the app: top line, views, footer, palette, and the one session that they share."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from textwrap import shorten
from typing import TYPE_CHECKING, Literal, TypeVar

from rich.text import Text
from textual.app import App, ComposeResult, SystemCommand
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Footer, Input, Static

from console.actions import ACTIONS, EVERYWHERE, bindings_of
from console.screens.fleet import Fleet
from console.screens.offers import Offers
from console.screens.run import Run
from console.screens.runs import Runs
from console.screens.search import Search
from console.theme import DARK, DARK_NAMES, LIGHT, LIGHT_NAMES
from console.widgets.help import Help
from console.widgets.keyed_table import KeyedTable
from console.words import usd, usd_per_hour
from console.workspace import Workspace

if TYPE_CHECKING:
    from console.models.fleet import FleetView
    from console.operations.session import Session

NARROW_COLUMNS = 110
NOTE_CHARACTERS = 400
"""A note in the corner must leave the screen to be seen; the command of the same name tells all of it."""
VIEWS: dict[str, type[Widget]] = {"fleet": Fleet, "offers": Offers, "runs": Runs, "run": Run, "search": Search}
Answer = TypeVar("Answer")


class SpotterApp(App[None]):
    """Fleet, offers, runs and search over one workspace."""

    CSS_PATH = "app.tcss"
    TITLE = "Spotter"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW_COLUMNS, "-wide")]  # noqa: RUF012
    BINDINGS = bindings_of(EVERYWHERE, but=("everywhere.palette",))

    def __init__(self, workspace: Workspace, view: str = "fleet", query: str = "") -> None:
        super().__init__()
        self.workspace = workspace
        self._first_view = view
        self._query = query
        self._history: list[str] = []
        self._burn = ""
        self._complete = False
        self._wanted: str | None = None
        self._session: Session | None = None
        self._session_lock = threading.Lock()

    def session(self) -> Session:
        """The workspace's session, opened at first use. Call it from a worker: it reads settings and the ledger.

        Raises:
            SettingsError: `spotter.toml` is wrong.
        """
        with self._session_lock:
            if self._session is None:
                from console.operations.session import open_session

                self._session = open_session(self.workspace)
            return self._session

    def compose(self) -> ComposeResult:
        """Top line, views, footer."""
        yield Static("", id="top", markup=False)
        with ContentSwitcher(initial=self._first_view):
            yield VIEWS[self._first_view](id=self._first_view)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Dress up and show the first view."""
        self.animation_level = "none"
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.ansi_theme_dark, self.ansi_theme_light = DARK_NAMES, LIGHT_NAMES
        self.theme = DARK.name
        self.set_interval(1.0, self._draw_top)
        self._draw_top()
        self.call_after_refresh(self._mount_the_rest)

    async def _mount_the_rest(self) -> None:
        """The first frame shows one view; the others are made while the operator looks at it."""
        for name, view in VIEWS.items():
            if name != self._first_view:
                await self.query_one(ContentSwitcher).add_content(view(id=name))
        self._complete = True
        if self._wanted is not None:
            self.go(self._wanted)
        if self._query:
            query = self.query_one("#query", Input)
            query.value = self._query
            query.select_all()  # the next key begins a query of the operator's own

    @property
    def view(self) -> str:
        """The view on screen."""
        return self.query_one(ContentSwitcher).current or "fleet"

    def go(self, view: str, *, remember: bool = True) -> None:
        """Switch to a view; `escape` comes back."""
        if view == self.view:
            return
        if not self._complete:
            self._wanted = view
            return
        if remember:
            self._history.append(self.view)
        self.query_one(ContentSwitcher).current = view
        self._draw_top()

    def _draw_top(self) -> None:
        crumbs = f" SPOTTER ▸ {self.view} "
        clock = time.strftime("%H:%M:%S")
        middle = self._burn
        room = max(1, self.size.width - 2 - len(crumbs) - len(middle) - len(clock) - 1)
        top = Text(no_wrap=True, overflow="ellipsis")
        top.append(crumbs, style="bold")
        top.append(" " * room)
        top.append(middle)
        top.append(f" {clock}")
        for line in self.query("#top").results(Static):  # there is none any more while the console leaves
            line.update(top)

    def show_burn(self, view: FleetView) -> None:
        """Money in the top line: burning now, today, and what is left."""
        burn = view.money.burn_usd_per_hour if view.money is not None else 0.0
        parts = ["EMULATED"] if view.emulated else []
        parts += [usd_per_hour(burn), f"today {usd(view.spent_today_usd)}"]
        if view.credit_usd is not None:
            parts.append(f"credit {usd(view.credit_usd)}")
        if view.error:
            parts.append("STALE")
        self._burn = "  ".join(parts)
        self._draw_top()

    def say(self, message: str) -> None:
        """A short note in the corner."""
        self.notify(message, markup=False)

    def in_background(self, ask: Callable[[], Answer], then: Callable[[Answer], None]) -> None:
        """Call `ask` in a thread that never holds the console back when it leaves, then `then` on the screen's loop.

        What `ask` raises becomes a visible message.
        """

        def run() -> None:
            try:
                answer = ask()
            except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
                message = shorten(str(error) or type(error).__name__, NOTE_CHARACTERS, placeholder=" …")
                self._from_thread(lambda: self.notify(message, severity="error", markup=False, timeout=10))
                return
            self._from_thread(lambda: then(answer))

        threading.Thread(target=run, daemon=True).start()

    def _from_thread(self, call: Callable[[], None]) -> None:
        if self.is_running:
            with contextlib.suppress(RuntimeError):  # the loop closed between the look and the call
                self.call_from_thread(call)

    def start_process(self, arguments: list[str], title: str) -> None:
        """Run a command of the CLI beside the app: it outlives the console, and its failure is shown."""
        from console.operations.background import start_beside

        beside = start_beside(self.workspace, arguments)
        self.say(f"started: {title}")

        def look() -> None:
            if beside.exit_code is None:
                return
            timer.stop()
            severity: Literal["information", "error"] = "information" if beside.exit_code == 0 else "error"
            self.notify(beside.last_line() or title, title=title, severity=severity, markup=False, timeout=10)

        timer = self.set_interval(0.5, look)

    def on_runs_opened(self, event: Runs.Opened) -> None:
        """Show one run."""
        self.query_one(Run).open(event.run_id)
        self.go("run")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette offers what the registry lists for this view and everywhere."""
        for action in ACTIONS:
            if action.view == EVERYWHERE and action.id not in ("everywhere.palette", "everywhere.back"):
                yield SystemCommand(action.label, action.help, lambda method=action.method: self.run_named(method))
            elif action.view == self.view:
                yield SystemCommand(action.label, action.help, lambda method=action.method: self.run_in_view(method))

    def run_named(self, method: str) -> None:
        """Run one of the app's own actions by its method's name."""
        self.call_later(self.run_action, method)

    def run_in_view(self, method: str) -> None:
        """Run an action of the view on screen."""
        self.call_later(self.run_action, method, self.query_one(f"#{self.view}"))

    def action_everywhere_fleet(self) -> None:
        """Show the instances."""
        self.go("fleet")

    def action_everywhere_offers(self) -> None:
        """Show the market."""
        self.go("offers")

    def action_everywhere_runs(self) -> None:
        """Show the runs."""
        self.go("runs")

    def action_everywhere_search(self) -> None:
        """Show the search."""
        self.go("search")

    def action_everywhere_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help(self.view))

    def action_everywhere_theme(self) -> None:
        """Dark, light, dark."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def action_everywhere_dump(self) -> None:
        """Save what is on screen."""
        folder = self.workspace.state / "screens"
        folder.mkdir(parents=True, exist_ok=True)
        path = self.save_screenshot(f"{self.view}-{time.strftime('%Y%m%d-%H%M%S')}.svg", str(folder))
        self.say(f"saved {path}")

    def action_everywhere_back(self) -> None:
        """One step out: the filter first, then the view before."""
        for table in self.query(KeyedTable):
            if table.display and table.parent is not None and table.parent.id == self.view and table.close_filter():
                return
        if self._history:
            self.go(self._history.pop(), remember=False)
        else:
            self.go("fleet", remember=False)

    def action_everywhere_quit(self) -> None:
        """Leave; what runs beside the console goes on."""
        self.exit()


def run_app(workspace: Workspace, view: str = "fleet", query: str = "") -> None:
    """Open the app on a workspace and stay until the operator leaves."""
    SpotterApp(workspace, view, query).run()
