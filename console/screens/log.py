"""Logs as they grow: one run's, or those of all live runs as one, with filter, find, marks and windows of time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input, Static

from console.actions.action import Action
from console.language import _
from console.models.filter import FilterError
from console.models.log_buffer import CAPACITY, LogBuffer
from console.models.log_details import details_of
from console.models.log_hits import HitList, Hits
from console.models.log_query import LogQuery
from console.models.log_saving import ShownLines
from console.screens.log_keys import LogKeys
from console.screens.log_words import note_words, opened_out, problem_of, summary
from console.screens.view import Copyable, Listing
from console.widgets.ring_log import RingLog
from console.widgets.typed_line import TypedLine
from console.words import short_id, visible

if TYPE_CHECKING:
    from console.models.log_follower import LogFollower
    from console.models.log_sources import LogFile, LogPlace

DRAIN_S = 1 / 12
UNFOCUSED_DRAINS = 2
"""While the keyboard is elsewhere, only each so-many-th drain is done."""
SLOW_S = 1.0
"""Between two looks at what need not be newer: the summary beside the log, ages of lines."""
NEEDS_A_LINE = frozenset({"mark", "run", "chart", "save", "error"})


class LogView(LogKeys):
    """The log of a run, of an instance, or of all live runs; `open` takes `RUN`, `RUN@12:00:03`, or an instance."""

    NAME = "log"

    def __init__(self) -> None:
        super().__init__()
        self.log_lines = RingLog(id="log-lines", clock=lambda: self.app.now())
        self._place: LogPlace | None = None
        self._one = ""
        """The run that `x` goes back to."""
        self._with_events = False
        self._follower: LogFollower | None = None
        self._files: dict[str, LogFile] = {}
        """By source."""
        self._jump = False
        """Whether the moment that was asked for is still to be found."""
        self._problem = ""
        self._complaint = ""
        """Why what is typed cannot be looked for."""
        self._drains = 0
        self._details_due = False

    def compose_main(self) -> ComposeResult:
        """Lines, filter and find (hidden until asked for), a note of what is shown."""
        yield self.log_lines
        yield TypedLine(
            placeholder=_("filter: words, !word, ~letters, /regex/, level:error"), id="log-filter", classes="filter"
        )
        yield TypedLine(placeholder=_("find: words or /regex/"), id="log-find", classes="filter")
        yield Static(id="log-note", markup=False)

    def compose_side(self) -> ComposeResult:
        """The line under the cursor, opened out."""
        yield Static(id="log-details", markup=False)

    def on_mount(self) -> None:
        """Begin with all live runs, unless something else is asked for at once."""
        self.set_interval(DRAIN_S, self._tick)
        self.set_interval(SLOW_S, self._slow_tick)
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.draw_side())  # names there wear its colours
        self.call_after_refresh(self._begin_somewhere)

    def _begin_somewhere(self) -> None:
        if self._place is None and not self.argument:
            self.open("")

    def on_unmount(self) -> None:
        """Nobody reads any more."""
        if self._follower is not None:
            self._follower.stop.set()

    # ---- where the lines come from ----

    def open(self, argument: str) -> None:
        """Show a run's log, an instance's, or with nothing that of all live runs; `@12:00:03` goes to that second."""
        from console.models.log_sources import LogPlace

        super().open(argument)
        try:
            place = LogPlace.read(argument)
        except ValueError as error:
            self.app.tell(str(error), "warning")
            return
        same = self._place is not None and self._place.run == place.run and self._follower is not None
        self._place, self._jump = place, bool(place.moment)
        if place.moment and not self._with_events:
            self._with_events, same = True, False  # a job's own lines tell no time; what happened does
        if not same:
            self.begin()

    def begin(self) -> None:
        """Read anew."""
        assert self._place is not None
        if self._place.run:
            self._one = self._place.run
        if self._follower is not None:
            self._follower.stop.set()
        self._problem, self._files = "", {}
        self.log_lines.empty = _("reading …") if self.app.live else ""
        buffer = LogBuffer(first=CAPACITY)  # older lines come once the newest are here
        self.log_lines.use(buffer)
        self.log_lines.follow = True
        self._search(self.log_lines.pane.filtered)
        self._search(self.log_lines.pane.found)
        self.app.draw_top()
        if self.app.live:
            self._follower = self._follower_of(self._place, buffer)
            self._follower.start()
        self.draw_note()
        self.draw_side()

    def _follower_of(self, place: LogPlace, buffer: LogBuffer) -> LogFollower:
        from console.models.log_follower import LogFollower
        from console.models.log_sources import files_of

        workspace, events = self.app.workspace, self._with_events

        def files() -> list[LogFile]:
            found = files_of(workspace, place, events=events)
            if self._follower is follower:
                self._files = {file.name: file for file in found}
            return found

        follower = LogFollower(buffer, files, lambda reason: self._heard_problem(follower, reason))
        return follower

    def _heard_problem(self, follower: LogFollower, reason: str) -> None:
        """From the thread: why there is nothing to read."""
        if self._follower is follower:
            self._problem = reason

    def refresh_news(self) -> None:
        """Take what is there now, also while paused."""
        self._take()

    def _tick(self) -> None:
        self._drains += 1
        if not self.display or self.app.paused or (not self.log_lines.has_focus and self._drains % UNFOCUSED_DRAINS):
            return
        self._take()

    def _take(self) -> None:
        loading = self._loading  # before the drain: what it says there is, the drain can take
        were = len(self.log_lines.buffer)
        came = self.log_lines.drain()
        if came:
            self.draw_note()
            if not were:
                self.draw_side()  # not a second late: whoever opens a log reads who writes it at once
            several = len(self.log_lines.buffer.names) > 2 or (self._place is not None and not self._place.run)
            if several != self.log_lines.show_sources:
                self.log_lines.show_sources = several
                self.log_lines.redraw()
        elif loading is not None:
            self.draw_note()
        elif self._follower is not None:
            self._settle()

    @property
    def _loading(self) -> float | None:
        """How much of what was written before is read; None once all of it is, and without anybody who reads."""
        if self._follower is None or self._follower.ready.is_set():
            return None
        return self._follower.loaded

    def on_ring_log_deepened(self) -> None:
        """Older lines are here: look among them too, and take nothing for all there is."""
        self._search(self.log_lines.pane.filtered)
        self._search(self.log_lines.pane.found)

    def _settle(self) -> None:
        """Everything that was written before is here: say so if it is nothing, or go to the moment asked for."""
        lines, buffer = self.log_lines, self.log_lines.buffer
        if not len(buffer):
            said = self._problem or _("No lines yet. What a run writes appears here while it comes.")
            if lines.empty != said:
                lines.empty = said
                lines.redraw()
        elif self._jump and self._place is not None:
            self._jump = False
            moment = self._place.when(buffer.stamp(buffer.end - 1))
            number = lines.pane.line_at(moment) if moment is not None else None
            if number is not None:
                lines.go_to(number)

    def _slow_tick(self) -> None:
        if not self.display:
            return  # the buffer goes on filling
        if self.log_lines.times == "relative":
            self.log_lines.refresh()
        if self.log_lines.follow:
            self.draw_side()
        self.draw_note()

    # ---- filter and find ----

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter and find while it is typed."""
        event.stop()
        pane, self._complaint = self.log_lines.pane, ""
        try:
            query = (LogQuery.read if event.input.id == "log-filter" else LogQuery.phrase)(event.value)
        except FilterError as error:
            self._complaint = str(error)
            self.draw_note()
            return
        if event.input.id == "log-filter":
            pane.set_filter(query)
            self._search(pane.filtered)
        else:
            pane.found.ask(query)
            self._search(pane.found)
        self.log_lines.redraw()
        self.draw_note()

    def _search(self, hits: HitList) -> None:
        """Do in a thread what is too much to search at once."""
        job = hits.job()
        if job is None:
            return
        pane = self.log_lines.pane

        def taken(answer: Hits) -> None:
            if self.log_lines.pane is not pane:
                return
            taken = pane.take_filtered(answer) if hits is pane.filtered else hits.take(answer)
            if taken:
                self.log_lines.redraw()
                self.draw_note()

        self.in_background(lambda: job.run(lambda: not hits.was_asked(job.number)), taken)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes back to the lines; with find, to the first of them."""
        event.stop()
        if not event.value.strip():
            event.input.display = False
        self.log_lines.focus()
        if event.input.id == "log-find" and event.value:
            self.action_log_next()

    def step_out(self) -> bool:
        """Esc: find, then the filter, are cleared and closed."""
        for field_id in ("log-find", "log-filter"):
            field = self.query_one(f"#{field_id}", Input)
            if field.display:
                field.value = ""
                field.display = False
                self.log_lines.focus()
                return True
        return False

    # ---- what is told of it ----

    @property
    def crumbs(self) -> tuple[str, ...]:
        """Whose log it is: the run that was found, or what was asked for until one is."""
        if self._place is None or not self._place.run:
            return (_("all live runs"),)
        asked, runs = self._place.run, {file.run_id for file in self._files.values()}
        return (visible(asked) if asked.isdigit() or len(runs) != 1 else short_id(*runs),)

    def focus_main(self) -> None:
        """Keys go to the lines."""
        self.log_lines.focus()

    def targets(self) -> tuple[str, ...]:
        """The run of the line under the cursor."""
        run = self.run_here()
        return (run,) if run else ()

    def refusal(self, action: Action) -> str:
        """What needs a line or something to look for says so."""
        pane = self.log_lines.pane
        verb = action.id.partition(".")[2]
        if verb in NEEDS_A_LINE and not len(pane):
            return _("There are no lines here.")
        if verb in ("next", "previous") and not (pane.found.query or pane.filtered.query):
            return _("Nothing is looked for: / filters, ctrl+f finds.")
        if verb in ("context", "highlight") and not pane.filtered.query:
            return _("This shows how the filter's lines stand among others; / filters.")
        if verb.startswith("mark-") and not pane.buffer.marks:
            return _("No line is marked; m marks one.")
        return ""

    def copies(self) -> Sequence[Copyable]:
        """The line, as it came and opened out, its time, its run, its file."""
        if not len(self.log_lines.pane):
            return ()
        buffer, number = self.log_lines.buffer, self.log_lines.cursor
        found = [Copyable(_("line"), buffer.whole(number))]
        details = details_of(buffer, number)
        if details.kind != "text":
            found.append(Copyable(_("traceback") if details.kind == "traceback" else _("JSON"), details.text))
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(buffer.stamp(number)))
        found.append(Copyable(_("time"), stamp))
        file = self._files.get(buffer.source_name(number))
        if file is not None:
            found += [Copyable(_("run"), file.run_id), Copyable(_("path of the file"), str(file.path))]
        return found

    def listing(self) -> Listing:
        """The lines on show."""
        return Listing(self.NAME, ("time", "source", "level", "text"), tuple(ShownLines.of(self.log_lines.pane).rows()))

    def draw_note(self) -> None:
        """Say what is shown, or what is wrong."""
        for note in self.query("#log-note").results(Static):
            wrong = self._complaint or problem_of(self.log_lines, self._problem)
            if wrong:
                note.update(Text(visible(wrong), style="bold"))
            else:
                paused, loading = self.app.paused, self._loading
                note.update(note_words(self.log_lines, paused=paused, with_events=self._with_events, loading=loading))

    def on_ring_log_moved(self) -> None:
        """Open out another line, once the keys rest."""
        if not self._details_due:
            self._details_due = True
            self.set_timer(0.05, self.draw_side)
        self.draw_note()

    def draw_side(self) -> None:
        """Open out the line under the cursor; while it follows, say who writes how much."""
        self._details_due = False
        for side in self.query("#log-details").results(Static):
            side.update(summary(self.log_lines) if self.log_lines.follow else opened_out(self.log_lines))
