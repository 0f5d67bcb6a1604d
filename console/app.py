"""The app: its shell of top line, views and line of keys, its questions, and the one session that all views share."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import cached_property, partial
from textwrap import shorten
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Input

from console.actions.action import EVERYWHERE, TABLE, Action, Question
from console.actions.registry import ACTIONS, action_called, bindings_of
from console.alt_digits import tell_alt_digits
from console.asking import Severity
from console.language import _
from console.models.keymap import resolve
from console.preferences import read_preferences
from console.screens.catalog import CLASSES
from console.theme import DARK_NAMES, LIGHT_NAMES
from console.themes import OURS, Themes
from console.tools import TOOLS
from console.viewing import ViewsApp, collect_again
from console.widgets.burn_line import TopLine
from console.widgets.command_line import CommandLine
from console.widgets.key_line import KeyLine
from console.widgets.key_names import key_names
from console.words import visible
from console.workspace import Workspace, WorkspaceError

if TYPE_CHECKING:
    from console.models.command_log import CommandLog
    from console.operations.known_names import KnownNames
    from console.operations.samples import Sampling
    from console.operations.session import Session
    from console.palette import Palette
    from console.running import Running

SETTLED_AFTER_S = 3.0
"""The first frames and the first keys go before what only listens."""
LOOK_S = 0.5
"""How often commands that run beside the console are looked at."""
SINGLE_COLUMNS, BESIDE_COLUMNS = 80, 120
STEP_S = 0.02
NOTE_CHARACTERS = 400
"""A note in the corner must leave the screen to be seen; the command of the same name tells all of it."""
COMMAND_LINE = "everywhere.command"


def _palette() -> type[Palette]:
    """What fills the palette, loaded when it is first opened."""
    from console.palette import Palette

    return Palette


class SpotterApp(ViewsApp):
    """Views over one workspace, and what all of them share.

    What the first frame does not need is loaded when it is first wanted, here and in `ViewsApp`.
    """

    CSS_PATH = ["app.tcss"]  # noqa: RUF012
    TITLE = "Spotter"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-single"),
        (SINGLE_COLUMNS, "-stacked"),
        (BESIDE_COLUMNS, "-beside"),
    ]
    BINDINGS = [  # noqa: RUF012
        *bindings_of(EVERYWHERE, but=("everywhere.palette",)),
        # Textual would add its own without an id, which no [keymap] could move
        Binding(COMMAND_PALETTE_BINDING, "command_palette", show=False, priority=True, id="everywhere.palette"),
    ]
    COMMANDS = {_palette}  # noqa: RUF012

    def __init__(
        self,
        workspace: Workspace,
        view: str = "fleet",
        argument: str = "",
        *,
        live: bool = True,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
        shell_first: bool = False,
    ) -> None:
        super().__init__(view, argument, shell_first=shell_first)
        self.workspace = workspace
        self.live = live
        """Whether views ask by themselves; tests feed them instead."""
        self._clock = clock
        self.not_started: tuple[str, ...] = ()
        """What was said yes to and could not be begun when the console left."""
        self._known: KnownNames | None = None
        self.preferences = read_preferences(workspace)
        self.read_only = read_only or bool(self.preferences.unread)
        """Whether whatever touches money or data is refused."""
        tell_alt_digits()
        self.keymap = resolve(ACTIONS, self.preferences.keymap)
        self._themes = Themes(self, self.preferences.theme)
        self.dress(self._themes.first, OURS, DARK_NAMES, LIGHT_NAMES)
        self.moves_to: tuple[Workspace, str, str] | None = None
        """Where the operator goes from here instead of back to the shell."""
        self._session: Session | None = None
        self._session_lock = threading.Lock()

    # ---- what views use ----

    def session(self) -> Session:
        """The workspace's session, opened at first use. Call it from a worker: it reads settings and the ledger.

        Raises:
            SettingsError: `spotter.toml` is wrong.
            WorkspaceError: the folder is no workspace, and nothing may be written there.
        """
        if not self.workspace.exists:
            raise WorkspaceError(_("This folder is no workspace yet: see :welcome."))
        with self._session_lock:
            if self._session is None:
                from console.operations.session import open_session

                self._session = open_session(self.workspace)
            return self._session

    @cached_property
    def sampling(self) -> Sampling:
        """What brings the figures of boxes here, in threads of its own; views say which they want."""
        from console.operations.samples import Sampling

        return Sampling.of(self.session)

    @cached_property
    def running(self) -> Running:
        """What was begun from this console and has not ended."""
        from console.running import Running

        return Running(self)

    @cached_property
    def commands(self) -> CommandLog:
        """What was run from this console."""
        from console.models.command_log import CommandLog

        return CommandLog(self.workspace.state / "commands.jsonl")

    def now(self) -> float:
        """Unix seconds for everything that is drawn; a test holds it still."""
        return self._clock()

    def say(self, message: str) -> None:
        """A short note in the corner."""
        self.tell(message)

    def tell(self, message: str, severity: Severity = "information", title: str = "") -> None:
        """A note in the corner, with its weight; data in it is text, never markup."""
        short = shorten(message, NOTE_CHARACTERS, placeholder=" …") or _("no reason was given")
        timeout = 5 if severity == "information" else 10
        self.notify(short, title=title, severity=severity, markup=False, timeout=timeout)

    def ring(self, title: str, text: str, severity: Severity = "information") -> None:
        """Something ended, failed or was guarded while nobody may look: a note, and the terminal's bell."""
        if self.preferences.bell:
            self.bell()
        self.tell(text, severity, title)

    async def on_event(self, event: events.Event) -> None:
        """What is pasted is text: characters in it that could move the cursor are spelled out before a field has it.

        The command line opens before the next key is looked at: letters that came in one go with its `:`, over a slow
        line say, would be taken for keys of the view.
        """
        if self.keeps(event):
            return
        if isinstance(event, events.Paste):
            event.text = "\n".join(map(visible, event.text.splitlines()))
        elif isinstance(event, events.Key) and not event.is_forwarded and self._opens_command_line(event.key):
            await self.run_action(f"do('{COMMAND_LINE}')")
            return
        await super().on_event(event)

    def _opens_command_line(self, key: str) -> bool:
        """Whether a key opens it where the keyboard is now; in a field it is a letter."""
        if len(self.screen_stack) != 1 or isinstance(self.focused, Input):
            return False
        return key in self.keys_of(action_called(COMMAND_LINE)).split(",")

    def run_command(self, argv: tuple[str, ...], note: str) -> None:
        """Run a command of the CLI beside the app: it outlives the console, and its end is shown and rings."""
        self.running.run(argv, note)

    def move(self, workspace: Workspace, view: str, argument: str = "") -> None:
        """Leave for another workspace: `run_app` opens the console anew there."""
        self.moves_to = (workspace, view, argument)
        self.exit()

    def complete(self, word: str) -> list[str]:
        """Names that begin like `word`: instances, runs, documents, as they were last read."""
        return self._known.beginning(word) if self._known is not None else []

    def log_command(self, line: str, note: str) -> None:
        """Write what was run otherwise, a shell or a viewer, in the command log."""
        self.commands.note(line, note, self.now())

    # ---- shell ----

    def compose(self) -> ComposeResult:
        """Top line, views, line of keys."""
        yield TopLine()
        yield from self.compose_views()
        if self._stand_in is None:
            yield CommandLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Dress up; the first view shows what was asked for."""
        self.animation_level = "none"
        self._themes.begin()
        self.set_keymap(self.keymap.changed())
        self.set_interval(1.0, self.draw_top)
        self.set_timer(SETTLED_AFTER_S, self._watch_runs)
        self.set_timer(SETTLED_AFTER_S, collect_again)
        self.call_after_refresh(self._first_view)

    async def _first_view(self) -> None:
        self.begun()
        await self.show_first()
        self.set_interval(LOOK_S, self.running.look)
        if "welcome" not in self._views:
            self.view_called("fleet")  # whatever is on screen, its polls tell what burns
        if why := visible(self.preferences.unread):
            said = _("{file} cannot be read ({reason}): none of it holds. Read-only until you type :ro.")
            self.tell(said.format(file=self.workspace.settings_file.name, reason=why), "error")
        if problems := "; ".join(self.keymap.problems):
            self.tell(problems, "warning", _("Keys of [keymap] that cannot be:"))
        self.draw_top()

    def _watch_runs(self) -> None:
        """Runs ring when they end, whether or not anybody ever looked at their list."""
        if "welcome" not in self._views and self.screen_stack:  # it may have left by now
            self.view_called("runs")

    def on_unmount(self) -> None:
        """Nothing of the console's own goes on; what was said yes to and waits for its turn is started."""
        self.not_started = self.running.start_all()
        self._themes.end()

    # ---- actions ----

    async def action_do(self, action_id: str) -> None:
        """Do what a key, the palette, the command line or a click named."""
        action = action_called(action_id)
        if not self.is_running:
            return  # it leaves, and the parts of its views go one by one
        if action.view != EVERYWHERE and not self.view.is_mounted:
            # its widgets come in a moment; a callback that puts itself back at once would never let them
            self.set_timer(STEP_S, partial(self.run_action, f"do('{action_id}')"))
        elif action.view in CLASSES and action.view != self.view.NAME:
            self._go_and_do(action)
        elif reason := self.refusal(action):
            self.tell(reason, "warning")
        elif action.view == EVERYWHERE and action.verb in CLASSES:
            self.go(action.verb)
        elif action.id in TOOLS:
            TOOLS[action.id](self)
        elif action.stake:
            self._ask(action)
        else:
            answer = getattr(self._owner(action), f"action_{action.name}")()
            if answer is not None:
                await answer

    def _owner(self, action: Action) -> object:
        """Who does it: the app, the view's table, or the view."""
        return self if action.view == EVERYWHERE else self.view.table if action.view == TABLE else self.view

    def _go_and_do(self, action: Action) -> None:
        """An action of another view: go there; what has a stake waits for its key, for its row was not seen."""
        self.go(action.view)
        if action.stake:
            keys = key_names(self.keys_of(action))
            self.say(_("Choose the row, then press {keys}: {what}").format(keys=keys, what=_(action.help)))
        else:
            self.call_after_refresh(self.run_action, f"do('{action.id}')")

    def refusal(self, action: Action) -> str:
        """Why an action cannot be done now; empty when it can."""
        if action.stake and self.read_only:
            return _("{action} is refused: the console is read-only (:ro allows it again)").format(
                action=_(action.label)
            )
        if action.view == EVERYWHERE:
            return ""
        if action.view == TABLE:
            return "" if self.view.table is not None else _("There are no rows here.")
        return self.view.refusal(action) if action.view == self.view.NAME else ""

    def _ask(self, action: Action) -> None:
        """Ask before money or data is touched; what it is about was captured at the key press."""
        view = self.view
        targets = view.targets()
        question: Question | str = getattr(view, f"question_{action.name}")(targets)
        if isinstance(question, str):
            self.tell(question, "warning")
        else:
            self.ask(question)

    def ask(self, question: Question) -> None:
        """Show a question; after a yes its commands run."""
        from console.widgets.confirm import Confirm

        def answered(yes: bool | None) -> None:
            if not yes:
                return
            if self.read_only:
                self.tell(_("The console is read-only by now; nothing was done."), "warning")
                return
            for command in question.commands:
                self.run_command(command, question.note)
            if question.agreed is not None:
                question.agreed()
            if question.then:
                self.go(question.then)

        self.push_screen(Confirm(question), answered)

    def keys_of(self, action: Action) -> str:
        """The keys that do an action now, comma between, the operator's own where he chose some."""
        return ",".join(self.keymap.of(action.id))

    def on_command_line_given(self, event: CommandLine.Given) -> None:
        """Go where a typed line asks to, or do it."""
        from console.models.command_line import Do, Go, Wrong, parse_command

        match parse_command(event.text, tuple(CLASSES), tuple(action.id for action in ACTIONS)):
            case Go(view, argument):
                self.go(view, argument)
            case Do(action_id):
                self.call_later(self.run_action, f"do('{action_id}')")
            case Wrong(sentence):
                self.tell(sentence, "warning")

    # ---- actions offered everywhere ----

    def action_everywhere_command(self) -> None:
        """Open the line that takes names of views and actions."""
        from console.operations.known_names import known_names

        self.query_one(CommandLine).open()
        self.in_background(partial(known_names, self.workspace), self._learn_names)

    def _learn_names(self, known: KnownNames) -> None:
        self._known = known

    def action_everywhere_palette(self) -> None:
        """Open the palette."""
        self.action_command_palette()

    def action_command_palette(self) -> None:
        """Textual's own key for it opens no other."""
        from console.widgets.palette import PaletteScreen

        if self.use_command_palette and not isinstance(self.screen, PaletteScreen):
            self.push_screen(PaletteScreen(id="--command-palette"))

    async def action_quit(self) -> None:
        """Textual's own key to leave says no less than ours what goes on costing money."""
        await self.action_do("everywhere.quit")

    def action_help_quit(self) -> None:
        """What ctrl+c does: nothing but this."""
        keys = key_names(self.keys_of(action_called("everywhere.quit")))
        self.say(_("{keys} leaves; nothing was stopped").format(keys=keys))

    def action_everywhere_read_only(self) -> None:
        """Refuse whatever touches money or data, or allow it again."""
        self.read_only = not self.read_only
        self.say(_("read-only: money and data are safe") if self.read_only else _("money and data can be touched"))
        self.draw_top()

    def action_everywhere_theme(self) -> None:
        """The next theme."""
        self.say(_("theme {name}").format(name=self._themes.next()))


def run_app(workspace: Workspace, view: str = "fleet", argument: str = "", *, read_only: bool = False) -> None:
    """Open the app on a workspace, and on those that it moves to, and stay until the operator leaves."""
    place: tuple[Workspace, str, str] | None = (workspace, view, argument)
    while place is not None:
        app = SpotterApp(*place, read_only=read_only, shell_first=True)
        app.run()
        for sentence in app.not_started:
            print(f"spotter: {visible(sentence)}", file=sys.stderr)
        place, read_only = app.moves_to, app.read_only
