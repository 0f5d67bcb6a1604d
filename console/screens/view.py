"""What every view is: a pane in the shell that can say where it is, what is marked, and what may be copied from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.walk import walk_depth_first
from textual.widgets import Static

from console.actions.action import Action
from console.actions.registry import bindings_of, title_of
from console.language import _

if TYPE_CHECKING:
    from textual.timer import Timer

    from console.app import SpotterApp
    from console.widgets.keyed_table import KeyedTable

News = TypeVar("News")


@dataclass(frozen=True, slots=True)
class Copyable:
    """Something of the marked row that the copy menu offers."""

    label: str
    """What it is: `ssh command`."""
    text: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A view's rows as data, for csv and json."""

    name: str
    """Of the file that it goes to: `offers`."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]


class View(Vertical, can_focus=True):
    """A pane of the shell. Subclasses set `NAME` and fill `compose_main` and, where they have one, `compose_side`."""

    NAME: ClassVar[str] = ""
    """Its name in the registry, the command line and the style sheet; also its widget id."""
    TITLE: ClassVar[str] = ""
    """What it is called on screen; English here."""
    app: SpotterApp

    def __init_subclass__(cls, **more: Any) -> None:
        """Bind the view's keys from the registry; its name there is its title."""
        if not cls.__dict__.get("TITLE") and cls.NAME:
            cls.TITLE = title_of(cls.NAME)
        if cls.NAME and "BINDINGS" not in cls.__dict__:
            cls.BINDINGS = bindings_of(cls.NAME)
        super().__init_subclass__(**more)

    def __init__(self) -> None:
        super().__init__(id=self.NAME, classes="view")
        self.argument = ""
        """What was asked of it when it was opened: `state=failed`."""
        self._wanted = ""

    def compose(self) -> ComposeResult:
        """Main pane and side pane, beside each other or, on a narrow screen, below each other."""
        with Horizontal(classes="panes"):
            with Vertical(classes="main"):
                yield from self.compose_main()
            side = list(self.compose_side())
            if side:
                with VerticalScroll(classes="side"):
                    yield from side

    def compose_main(self) -> ComposeResult:
        """The view itself."""
        yield from ()

    def compose_side(self) -> ComposeResult:
        """Details of what is marked; `v` hides it."""
        yield from ()

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Where the operator is, from the outside in, beyond the view's own name: `31245`, `run 42`."""
        return ()

    @property
    def table(self) -> KeyedTable | None:
        """The view's list, where it has one: filter, marks, sorting and export work on it."""
        from console.widgets.keyed_table import KeyedTable

        # no query: it would match every widget of the view, at every key and every answer
        return next((each for each in walk_depth_first(self, with_root=False) if isinstance(each, KeyedTable)), None)

    def open(self, argument: str) -> None:
        """Show what was asked for behind the view's name on the command line; the view is on screen then."""
        self.argument = argument

    def show_argument(self, argument: str) -> None:
        """`open`, now or as soon as the view's widgets are there."""
        self._wanted = argument
        if self.is_mounted:
            self._open_wanted()

    def on_mount(self) -> None:
        """Show what was asked for before there was anything to show it in."""
        if self._wanted:
            self._open_wanted()
        self.call_after_refresh(self.app.draw_top)
        self.call_after_refresh(self.app.give_keys, self)

    def _open_wanted(self) -> None:
        wanted, self._wanted = self._wanted, ""
        self.open(wanted)
        self.app.draw_top()

    def targets(self) -> tuple[str, ...]:
        """Keys that an action is about: the marked rows, or else the row under the cursor."""
        return self.table.targets() if self.table is not None else ()

    def refusal(self, action: Action) -> str:
        """Why an action cannot be done now; empty when it can. Asked often: it must not read or wait."""
        return ""

    def copies(self) -> Sequence[Copyable]:
        """What the copy menu offers of the row under the cursor."""
        return ()

    def listing(self) -> Listing | None:
        """The rows on screen as data; by default those of the view's table."""
        return self.table.listing(self.NAME) if self.table is not None else None

    def step_out(self) -> bool:
        """Esc: close the innermost thing that is open in this view; returns whether there was one."""
        return self.table is not None and self.table.step_out()

    def focus_main(self) -> None:
        """Put the keyboard where it belongs."""
        if self.table is not None:
            self.table.focus_rows()
        else:
            self.focus()

    @property
    def problem_count(self) -> int:
        """Alarms of this view for the top line."""
        return 0

    def on_show(self) -> None:
        """Keys go to the main pane."""
        self.focus_main()

    def refresh_news(self) -> None:
        """Ask now for what may have changed; a view that asks nothing has nothing to do."""

    def in_background(self, ask: Callable[[], News], then: Callable[[News], None]) -> None:
        """`app.in_background`, whose answer is dropped when this view has left the screen for good."""
        self.app.in_background(ask, lambda answer: then(answer) if self.is_attached else None)


class PolledView(View, Generic[News]):
    """A view that asks again and again: `read` in a thread, `show` on the screen's loop, one at a time.

    It goes on asking while it is hidden only if `POLL_HIDDEN`. A failed question keeps what is shown, marks it stale
    with its age and the reason, and is asked again. `p` pauses, `r` asks now.
    """

    POLL_S: ClassVar[float] = 1.0
    """Seconds between an answer and the next question; 0 asks only when told."""
    POLL_HIDDEN: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.news: News | None = None
        """The last good answer."""
        self.heard_at: float | None = None
        """When that was, by `app.now()`."""
        self.stale = ""
        """Why there is no newer answer; empty while all is well."""
        self._asking = False
        self._again = False
        self._timer: Timer | None = None

    def read(self) -> News:
        """Ask; runs in a thread. What it raises becomes the reason why the view is stale."""
        raise NotImplementedError

    def show(self, news: News) -> None:
        """Draw an answer. Called by the poll and by tests; it must not wait."""
        raise NotImplementedError

    def show_stale(self, reason: str) -> None:
        """Say that there was no answer; what is on screen stays."""
        self.app.tell(reason, severity="warning")

    def refresh_news(self) -> None:
        """Ask now."""
        self.poll()

    def on_mount(self) -> None:
        """Begin once the first frame is out."""
        self.call_after_refresh(self.poll)

    def on_show(self) -> None:
        """Coming back, it asks at once; the keyboard is the base class's, whose own handler is called too."""
        if self.is_mounted:
            self.poll()

    def poll(self) -> None:
        """Ask now, unless a question is under way; then once more after its answer."""
        if not self.app.live or not self.is_attached:
            return
        if self._asking:
            self._again = True
            return
        self._asking = True

        def ask() -> tuple[News | None, str]:
            try:
                return self.read(), ""
            except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
                return None, str(error) or type(error).__name__

        self.in_background(ask, self._heard)

    def _heard(self, answer: tuple[News | None, str]) -> None:
        self._asking = False
        try:
            self._take(*answer)
        finally:  # an answer that could not be drawn must not be the last one
            if self._again:
                self._again = False
                self.poll()
            elif self.POLL_S:
                if self._timer is not None:
                    self._timer.stop()
                self._timer = self.set_timer(self.POLL_S, self._poll_in_turn)

    def _take(self, news: News | None, reason: str) -> None:
        if reason:
            fresh, self.stale = not self.stale, reason
            if fresh:
                self.show_stale(reason)
        else:
            heard_before = self.heard_at
            self.news, self.stale, self.heard_at = cast(News, news), "", self.app.now()
            try:
                self.show(self.news)
            except Exception as error:
                self.stale, self.heard_at = f"{type(error).__name__}: {error}", heard_before
                raise
        self.app.draw_top()

    def _poll_in_turn(self) -> None:
        """The next question, unless nobody looks or the operator paused."""
        hidden = self.app.view is not self
        if self.app.paused or (hidden and not self.POLL_HIDDEN):
            self._timer = self.set_timer(self.POLL_S, self._poll_in_turn)
            return
        self.poll()


class Placeholder(Static):
    """A sentence where there is nothing yet: what is missing, and which key brings it."""

    def __init__(self, text: str) -> None:
        super().__init__(Text(_(text), style="dim"), classes="placeholder", markup=False)
