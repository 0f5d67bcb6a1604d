"""Welcome: where someone begins who has nothing yet; each way is explained in one line."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from console.actions.action import Action
from console.actions.registry import actions_of
from console.language import _
from console.models.demo_progress import DemoProgress, read_demo_log
from console.operations.background import Beside
from console.operations.secrets_file import VAST_API_KEY, put_secret
from console.screens.view import PolledView
from console.widgets.key_form import KeyForm
from console.widgets.key_names import key_name
from console.widgets.options import Options
from console.words import visible
from console.workspace import Workspace, create_workspace

DEMO_FOLDER = "demo"
LONGEST_LINE = 500


class Ways(Options):
    """A list that is walked as all lists are."""

    BINDINGS = [  # noqa: RUF012
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("g", "first", show=False),
        Binding("G", "last", show=False),
    ]


class Welcome(PolledView[DemoProgress]):
    """Four ways to begin. The demo's progress is read from its log; it goes on when the console leaves."""

    NAME = "welcome"
    POLL_S = 0.5
    POLL_HIDDEN = True

    def __init__(self) -> None:
        super().__init__()
        self._demo: Beside | None = None
        self._drawn: tuple[str, ...] = ()
        self._query: str | None = None
        """The first search in what the demo made, until the console goes there."""

    def compose_main(self) -> ComposeResult:
        """A greeting, the ways, and what the demo says."""
        yield Static(self._greeting(), id="welcome-greeting", markup=False)
        yield Ways(*(Option(self._way(action), id=action.id) for action in actions_of(self.NAME)), id="welcome-ways")
        yield Static("", id="welcome-progress", markup=False)

    def _greeting(self) -> Text:
        text = Text()
        text.append("SPOTTER\n", style="bold")
        text.append(_("Parse documents with vision models on rented GPUs, and search what they found."))
        text.append("\n\n")
        folder = visible(str(self.app.workspace.root))
        if self.app.workspace.exists:
            text.append(_("This is the workspace {folder}.").format(folder=folder), style="dim")
        else:
            text.append(
                _("{folder} is no workspace yet, and nothing was written there.").format(folder=folder), style="dim"
            )
        return text

    def _way(self, action: Action) -> Text:
        line = Text()
        line.append(f" {key_name(self.app.keys_of(action))}  ", style="bold")
        line.append(f"{_(action.label)}\n", style="bold")
        line.append(f"    {_(action.help)}", style="dim")
        return line

    def focus_main(self) -> None:
        """The keyboard is on the ways."""
        self.query_one(Ways).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click does what the key does."""
        event.stop()
        if event.option_id is not None:
            self.app.call_later(self.app.action_do, event.option_id)

    def refusal(self, action: Action) -> str:
        """What cannot be done now."""
        if action.id == "welcome.demo" and self._demo is not None and self._demo.exit_code is None:
            return _("The demo is under way.")
        if action.id == "welcome.init" and self.app.workspace.exists:
            return _("This folder is a workspace already.")
        if action.id in ("welcome.key", "welcome.init") and self.app.read_only:
            return _("The console is read-only: it writes no key and no settings (:ro allows it again).")
        return ""

    # ---- the demo ----

    @property
    def demo_folder(self) -> Path:
        """The demo's own workspace, inside the folder where the console was opened."""
        return self.app.workspace.root / DEMO_FOLDER

    def action_welcome_demo(self) -> None:
        """Start the demo beside the console."""
        from console.operations.background import start_beside

        folder = self.demo_folder
        argv = ["demo", "--dir", str(folder)]
        entry = self.app.commands.begin(("spotter", *argv), _("demo"), self.app.now())
        self._progress(_("starting …"))

        def started(demo: Beside) -> None:
            self._demo = demo
            self._entry = entry
            self.app.draw_top()
            self.poll()

        self.in_background(partial(start_beside, Workspace(folder), argv), started)

    def read(self) -> DemoProgress:
        """The end of the demo's log."""
        demo = self._demo
        return DemoProgress() if demo is None else read_demo_log(demo.log, lambda: demo.exit_code)

    def show(self, news: DemoProgress) -> None:
        """Draw what the demo said; at its end, go to what it made, once nothing is being typed or asked here."""
        if self._query is not None and self.app.view is self:
            self._move(self._query)
        if self._demo is None and not news.lines:
            return
        if news.lines != self._drawn:
            self._drawn = news.lines
            self._progress("\n".join(visible(line[:LONGEST_LINE]) for line in news.lines[-self._room() :]))
        if news.exit_code is None or self._demo is None:
            return
        self._demo = None
        self.app.commands.end(self._entry, news.exit_code, self.app.now())
        self.app.draw_top()
        self._ended(news)

    def _ended(self, news: DemoProgress) -> None:
        if news.exit_code != 0:
            reason = news.lines[-1] if news.lines else ""
            self.app.ring(_("The demo failed"), visible(reason), "error")
            return
        self.app.ring(_("The demo is done"), _("its workspace is {folder}").format(folder=self.demo_folder))
        if self.app.view is self:
            self.in_background(_first_query, self._move)

    def _move(self, query: str) -> None:
        """Open the demo's workspace at its index, with a first search that finds something.

        Not while a key is being typed or a question is on screen: the next look tries again.
        """
        self._query = query
        if len(self.app.screen_stack) > 1:
            return
        self._query = None
        self.app.move(Workspace(self.demo_folder), "index", query)

    def _room(self) -> int:
        return max(3, self.size.height - 20)

    def _progress(self, text: str) -> None:
        self.query_one("#welcome-progress", Static).update(Text(text))

    # ---- the others ----

    def action_welcome_check(self) -> None:
        """Show the doctor."""
        self.app.go("doctor")

    def action_welcome_init(self) -> None:
        """Make this folder a workspace, then show what can be rented or parsed there."""

        def made(_place: object) -> None:
            self.query_one("#welcome-greeting", Static).update(self._greeting())
            note = _("{folder} is a workspace now: put documents in data/")
            self.app.say(note.format(folder=visible(str(self.app.workspace.root))))
            self.app.draw_top()

        self.in_background(partial(create_workspace, self.app.workspace.root), made)

    def action_welcome_key(self) -> None:
        """Ask for a key, hidden, and write it after a second yes."""
        workspace = self.app.workspace

        def given(key: str | None) -> None:
            if key is not None:
                self.in_background(partial(put_secret, workspace, VAST_API_KEY, key), written)

        def written(path: Path) -> None:
            note = _('written to {file}; name = "vast" in [cloud] of spotter.toml makes Spotter rent there, for money')
            self.app.say(note.format(file=path))

        self.app.push_screen(KeyForm(VAST_API_KEY, workspace.env_file), given)


def _first_query() -> str:
    from console.operations.demo import examples_folder

    return (examples_folder() / "queries.txt").read_text("utf-8").splitlines()[0].strip()
