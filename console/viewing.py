"""Views, one on screen at a time, each made when it is first wanted; where the operator was; who has the keyboard."""

from __future__ import annotations

import gc
from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.widgets import ContentSwitcher

from console.asking import AskingApp
from console.nav import History, Place
from console.screens.catalog import make_view
from console.screens.view import View
from console.widgets.command_line import CommandLine
from console.widgets.key_line import KeyLine
from console.widgets.shell_line import ShellLine

STYLES = Path(__file__).parent / "screens"


def stand_in_for(view: str) -> View:
    """What tells name, title and keys of a view whose module is not loaded yet; it is never mounted and has no rows."""
    made: View = type("StandIn", (View,), {"NAME": view, "table": None})()
    return made


def collect_again() -> None:
    """Garbage was left alone while modules were loaded; they stay, so nothing need look for any in them."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


class ViewsApp(AskingApp):
    """An app of views.

    With `shell_first` its first frame is the shell around an empty pane: the operator sees at once where he is, and
    what he types is kept until the first view has the keyboard.
    """

    def __init__(self, view: str, argument: str, *, shell_first: bool) -> None:
        super().__init__()
        self.paused = False
        """Whether views ask nothing until the operator says so."""
        self._history = History(Place(view, argument))
        self._shown = view
        self._views: dict[str, View] = {} if shell_first else {view: make_view(view)}
        self._stand_in = stand_in_for(view) if shell_first else None
        self._typed: list[events.Key | events.Paste] | None = [] if shell_first else None
        """Keys from before the view that is gone to had the keyboard; None once it has."""
        self._gone = 0
        """How many times the operator went somewhere."""

    def draw_top(self) -> None:
        """Draw crumbs, money, clock and keys anew."""
        if not self.is_running or not self.can_tell:
            return  # a view draws its lines itself once its widgets are there
        for line in self.screen_stack[0].query(ShellLine):  # there is none any more while the console leaves
            line.draw()

    # ---- views ----

    @property
    def view(self) -> View:
        """The view on screen."""
        return self._views[self._shown] if self._stand_in is None else self._stand_in

    @property
    def can_tell(self) -> bool:
        """Whether the view can be asked where it is and what it refuses: its widgets are there, or none of it is."""
        return self.view.is_mounted or self._stand_in is not None

    def compose_views(self) -> ComposeResult:
        """The pane of the views, with the first of them in it unless the shell comes first."""
        if self._stand_in is not None:
            yield ContentSwitcher(id="views")
            return
        self.wear("shell")
        self.wear(self._shown)
        with ContentSwitcher(id="views", initial=self._shown):
            yield self.view

    def wear(self, name: str) -> None:
        """Add `screens/NAME.tcss` to the style sheet; what it speaks of must not be on screen yet."""
        path = STYLES / f"{name}.tcss"
        self.stylesheet.add_source(path.read_text("utf-8"), (str(path), ""))

    def view_called(self, name: str) -> View:
        """A view by name, made if it was never wanted before."""
        if name not in self._views:
            self.wear(name)
            self._views[name] = make_view(name)
            self._views[name].display = False
            self.screen_stack[0].query_one("#views", ContentSwitcher).mount(self._views[name])
        return self._views[name]

    def go(self, view: str, argument: str = "", *, remember: bool = True) -> None:
        """Show a view and, in it, what `argument` asks for."""
        if remember:
            self._history.visit(Place(view, argument))
        shown = self.view_called(view)
        self._shown, self._stand_in = view, None
        self._gone += 1
        if self._typed is None and not self._has_keys(shown):
            self._typed = []  # what was typed behind the key that goes there is meant for it, not for the view before
        self.screen_stack[0].query_one("#views", ContentSwitcher).current = view
        if argument:
            shown.show_argument(argument)
        self.call_after_refresh(self.give_keys, shown)
        self.draw_top()

    async def show_first(self) -> None:
        """Once the first frame is out: the view that was asked for, unless it is there already, and its argument."""
        here = self._history.here
        if self._stand_in is not None:
            self.wear("shell")
            await self.screen_stack[0].mount(CommandLine(), before=self.screen_stack[0].query_one(KeyLine))
            self.go(here.view, here.argument, remember=False)
            return
        if here.argument:
            self.view.show_argument(here.argument)
        self.give_keys(self.view)

    # ---- keyboard ----

    def keeps(self, event: events.Event) -> bool:
        """Whether it was typed or pasted before the view on screen had the keyboard; the view gets it then.

        A key that rises from the view before, which had no use for it of its own, is kept like one that just came.
        """
        if self._typed is None or not isinstance(event, events.Key | events.Paste):
            return False
        self._typed.append(event)
        return True

    def _has_keys(self, view: View) -> bool:
        shell = self.screen_stack[0]
        return shell.focused is not None and view in shell.focused.ancestors_with_self

    def give_keys(self, view: View) -> None:
        """Keys go to the view on screen; Textual tells it that it is shown only if nothing scrolled meanwhile."""
        if not self.screen_stack:
            return
        typing = any(line.is_open for line in self.screen_stack[0].query(CommandLine))
        if view is not self.view or not view.is_mounted:
            return
        # Textual focuses the first that can be, which is the view, when the part of it that is meant is not there yet.
        if not typing and (not self._has_keys(view) or self.screen_stack[0].focused is view):
            view.focus_main()
        if self._typed is not None:
            self.call_later(self._type_again, self._gone)

    async def _type_again(self, gone: int) -> None:
        """Let the view have what was kept for it, in the order of typing and before what is typed from now on."""
        if self._typed is None or gone != self._gone:
            return  # it was done, or one of those keys went on to another view, which gets the rest
        typed, self._typed = sorted(self._typed, key=lambda event: event.time), None
        for event in typed:
            if isinstance(event, events.Paste):
                await self.on_event(events.Paste(event.text))
            else:
                await self.on_event(events.Key(event.key, event.character))

    # ---- actions ----

    def action_everywhere_side(self) -> None:
        """Show or hide the side pane."""
        self.screen_stack[0].toggle_class("-no-side")

    def action_everywhere_zoom(self) -> None:
        """The focused pane over the whole screen, and back."""
        self.screen_stack[0].toggle_class("-zoomed")

    def action_everywhere_pause(self) -> None:
        """Stop asking, or go on."""
        self.paused = not self.paused
        self.draw_top()

    def action_everywhere_refresh(self) -> None:
        """Ask now."""
        self.view.refresh_news()

    def action_everywhere_back(self) -> None:
        """One step out: what is open in the view first, then the view before."""
        if not (self.view.is_mounted and self.view.step_out()):
            self._go_to(self._history.back())

    def action_everywhere_previous(self) -> None:
        """Back in the history."""
        self._go_to(self._history.back())

    def action_everywhere_next(self) -> None:
        """Forward in the history."""
        self._go_to(self._history.forward())

    def action_everywhere_last(self) -> None:
        """The view that was left last."""
        self._go_to(self._history.last())

    def _go_to(self, place: Place | None) -> None:
        if place is not None:
            self.go(place.view, place.argument, remember=False)
