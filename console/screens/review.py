"""Review: one region at a time, decided by keys; nothing leaves the console before it is taken into the index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Input, Static

from console.actions.action import Action, Question
from console.language import _, ngettext
from console.models import review_words as words
from console.models.filter import FilterError
from console.models.index_details import bounded
from console.models.review_desk import Desk, Step
from console.models.review_log import DecisionLog
from console.models.review_queue import Queued, split_argument, threshold_in, wanted
from console.operations.review_desk import Opened
from console.screens.review_deciding import Deciding
from console.screens.review_leaving import copies_of, listing_of, question_of
from console.screens.review_reading import News, read_news
from console.screens.view import Copyable, Listing, PolledView
from console.widgets.preview import Preview
from console.widgets.typed_line import TypedLine
from console.words import short_id

if TYPE_CHECKING:
    from index.review.regions import ReviewRegion

REST_S = 0.13
"""A held key passes many regions; only where it rests are its files read."""
THRESHOLD = 0.5
CHANGING = {"accept", "reject", "box", "reopen", "undo", *(f"class-{n}" for n in range(1, 10))}


class Stage(Vertical, can_focus=True):
    """What has the keyboard while regions are looked at."""


class Review(Deciding, PolledView[News]):
    """A queue of regions; the picture of the one that is looked at, and all that was said of it."""

    NAME = "review"
    POLL_S = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.opened: Opened | None = None
        self.shown: list[Queued] = []
        """The regions that the filter wants, in reading order; what is decided stays until it is asked for anew."""
        self.at = 0
        self.threshold = THRESHOLD
        self.filter = ""
        self.held = ""
        self._run = self._asked = ""
        self._decided_here = 0
        self._log: DecisionLog | None = None
        self._details: dict[tuple[str, int, str], ReviewRegion | str] = {}
        self._rest: Timer | None = None

    def compose_main(self) -> ComposeResult:
        """Where it is, the picture, its box, how far the review is."""
        yield Static(_("reading the regions …"), id="review-head", markup=False)
        with Stage(id="review-stage"):
            yield Preview(id="review-picture", rest_s=0.03)
        yield Static("", id="review-problem", classes="placeholder", markup=False)
        yield Static("", id="review-box", markup=False)
        yield TypedLine(placeholder=_("score<0.5 label:table status:open page:=3 words"), classes="filter")
        yield Static("", id="review-note", classes="note", markup=False)

    def compose_side(self) -> ComposeResult:
        """Classes, neighbours, what was said."""
        yield Static("", id="review-classes", markup=False)
        yield Static("", id="review-beside", markup=False)
        yield Static("", id="review-said", markup=False)

    def on_mount(self) -> None:
        """The filter stays out of the way until it is asked for."""
        self.query_one(Input).display = False
        self.query_one("#review-problem").display = False

    def poll(self) -> None:
        """Read the run at first; coming back, it is as it was left, for it may have thousands of pages."""
        run = "" if self._run == "last" else self._run
        if self.opened is None or not self.opened.run_id.startswith(run):
            self._read_run()

    def refresh_news(self) -> None:
        """Read the run anew."""
        self._read_run()

    def _read_run(self) -> None:
        """Read the run that is wanted, unless that is under way, or there is nothing yet to show it in."""
        if self.is_mounted and not (self._asking and self._asked == self._run):
            self._asked = self._run
            super().poll()

    def on_unmount(self) -> None:
        """What was decided gets to the disk before the console leaves."""
        if self._log is not None:
            self._log.close()

    # ---- reading ----

    @property
    def crumbs(self) -> tuple[str, ...]:
        """The run, and the filter."""
        if self.opened is None:
            return ()
        run = short_id(self.opened.run_id)
        return (run, self.filter) if self.filter else (run,)

    def open(self, argument: str) -> None:
        """Show `RUN score<0.5 label:table`."""
        super().open(argument)
        run, text = split_argument(argument)
        self.filter = text
        if self.opened is not None and (not run or self.opened.run_id.startswith(run)):
            self.narrow()
            return
        self._run = run
        self._read_run()

    def read(self) -> News:
        """Read the run's regions and hold its file of decisions."""
        return read_news(self.app.workspace, self._run, self._log, self._decided_here, self._not_kept)

    def show(self, news: News) -> None:
        """Draw a run that was read; the region that was looked at stays.

        What is on screen stays, and is read again, where a decision was made meanwhile: the new desk has it not.
        """
        if self.opened is not None and self._log is news.log and self._decided_here != news.decided:
            self._read_run()
            return
        if self._log is not None and self._log is not news.log:
            old = self._log
            self.in_background(old.close, lambda done: done)
        marked = self.looked_at
        self.opened, self._log, self.held = news.opened, news.log, news.held
        self.added = 0
        self._details.clear()
        self.query_one("#review-problem").display = False
        stage = self.query_one(Stage)
        if not stage.display:  # it lost the keyboard when it was hidden
            stage.display = True
            self.call_after_refresh(self.app.give_keys, self)
        self.narrow(marked)
        if news.held:
            self.app.tell(news.held, "warning")
        if lost := len(news.opened.lost):
            n = ngettext("{n} region cannot be read", "{n} regions cannot be read", lost).format(n=lost)
            self.app.tell(f"{n}: {news.opened.lost[0]}", "warning")

    def show_stale(self, reason: str) -> None:
        """Say why there is nothing to review; what is on screen stays."""
        if self.opened is not None:
            super().show_stale(reason)
            return
        problem = self.query_one("#review-problem", Static)
        problem.update(Text(reason))
        problem.display = True
        stage = self.query_one(Stage)
        if stage.has_focus:
            self.focus()
        stage.display = False

    def _not_kept(self, reason: str) -> None:
        """Called in the writing thread, or on the loop as the file is closed."""
        self.app.in_background(lambda: reason, partial(self.app.tell, severity="error"))

    # ---- the queue ----

    @property
    def desk(self) -> Desk | None:
        """The decisions."""
        return self.opened.desk if self.opened is not None else None

    @property
    def looked_at(self) -> Queued | None:
        """The region that is looked at."""
        return self.shown[self.at] if self.at < len(self.shown) else None

    def settle(self) -> None:
        """Wait until what was decided is on the disk; called in a worker."""
        if self._log is not None:
            self._log.settle()

    def narrow(self, marked: Queued | None = None) -> None:
        """Take the regions that the filter wants; the one that is looked at stays where it can."""
        desk = self.desk
        if desk is None:
            return
        marked = marked or self.looked_at
        try:
            self.shown = wanted(self.filter, desk).kept(desk.queue)
        except FilterError as error:
            self.app.tell(str(error), "warning")
            return
        self.threshold = threshold_in(self.filter) or self.threshold
        keys = [one.key for one in self.shown]
        self.at = keys.index(marked.key) if marked is not None and marked.key in keys else 0
        self.leave_box()
        self.draw()
        self.app.draw_top()

    def go_to(self, at: int) -> None:
        """Look at another region of the queue."""
        if self.shown:
            self.leave_box()
            self.at = max(0, min(len(self.shown) - 1, at))
            self.draw()

    def keep(self, step: Step | None) -> None:
        """Write a step down, and show what it changed."""
        if step is not None and self._log is not None:
            self._log.put(step, self.app.now())
            self._decided_here += 1
        self.draw()

    def keep_undo(self) -> None:
        """Write down that a step was taken back."""
        if self._log is not None:
            self._log.put_undo(self.app.now())
            self._decided_here += 1

    # ---- drawing ----

    def draw(self) -> None:
        """Draw the region that is looked at; its files are read when the mark rests."""
        desk, one = self.desk, self.looked_at
        if desk is None or not self.is_mounted:
            return
        pending = self._log.pending if self._log is not None else 0
        note = words.counter(desk, self.threshold, pending)
        self.query_one("#review-note", Static).update(note)
        head, box = self.query_one("#review-head", Static), self.query_one("#review-box", Static)
        if one is None:
            head.update(_("No region is left by this filter: {filter}").format(filter=self.filter or "–"))
            for name in ("review-box", "review-classes", "review-said", "review-beside"):
                self.query_one(f"#{name}", Static).update("")
            self.query_one(Preview).look_at(None, 0, 0)
            return
        head.update(words.head(one, self.at, len(self.shown), desk))
        box.update(words.box_line(one, desk, self.moving, self.step_px))
        assert self.opened is not None
        self.query_one("#review-classes", Static).update(words.classes(one, desk, self.opened.labels))
        self.query_one("#review-beside", Static).update(words.beside(one, desk))
        self._draw_said(one)
        self._draw_picture(one)
        if pending:
            self.set_timer(0.2, self._settled)

    def _settled(self) -> None:
        if self.desk is not None and self._log is not None and not self._log.pending:
            note = words.counter(self.desk, self.threshold, 0)
            self.query_one("#review-note", Static).update(note)

    def _draw_picture(self, one: Queued) -> None:
        stage = self.query_one("#review-stage")
        shot = self.shot_of(one)
        gone = _("This run keeps no picture of the page.")
        self.query_one(Preview).look_at(shot, max(4, stage.size.width), max(4, stage.size.height), gone)

    def room_ratio(self) -> float:
        """Width by height of the room for the picture, in its pixels."""
        stage = self.query_one("#review-stage")
        return stage.size.width / max(1, 2 * stage.size.height)

    def _draw_said(self, one: Queued) -> None:
        pane = self.query_one("#review-said", Static)
        if self._rest is not None:
            self._rest.stop()
        known = self._details.get(one.key)
        if known is None:
            pane.update(Text(bounded(one.words)))
            self._rest = self.set_timer(REST_S, self._read_details)
        else:
            pane.update(Text(known) if isinstance(known, str) else words.said(known))

    def _read_details(self) -> None:
        one, opened = self.looked_at, self.opened
        if one is None or opened is None:
            return

        def ask() -> ReviewRegion | str:
            try:
                return opened.details(one)
            except (OSError, ValueError) as error:
                return str(error)

        def then(found: ReviewRegion | str) -> None:
            if self.opened is not opened:
                return
            if len(self._details) > 200:
                self._details.clear()
            self._details[one.key] = found
            if self.looked_at is one:
                self._draw_said(one)

        self.in_background(ask, then)

    def on_resize(self, event: events.Resize) -> None:
        """The picture fits the new room."""
        if self.is_mounted:
            self._window = None
            self.call_after_refresh(self.draw)

    # ---- what the shell asks ----

    def focus_main(self) -> None:
        """Keys are decisions."""
        if not self.is_mounted:
            return
        stage = self.query_one(Stage)
        (stage if stage.display else self).focus()

    def refusal(self, action: Action) -> str:
        """Without a region there is nothing to decide; while another console decides, nothing may be."""
        if not self.is_mounted:
            return _("It is not there yet.")
        verb = action.id.partition(".")[2]
        if verb in CHANGING and self.held:
            return self.held
        if verb in CHANGING - {"undo"} and self.looked_at is None:
            return _("There is no region to decide about.")
        return ""

    def targets(self) -> tuple[str, ...]:
        """The run: what was decided about it is taken as a whole."""
        return (self.opened.run_id,) if self.opened is not None else ()

    def question_review_take(self, targets: tuple[str, ...]) -> Question | str:
        """What goes into the index; decisions that are made later are not in it."""
        return question_of(self.opened, self.lines) if self.opened is not None else _("No run is open.")

    @property
    def lines(self) -> int:
        """Lines of the file of decisions, those under way included."""
        return (self.opened.steps if self.opened is not None else 0) + self.added

    def copies(self) -> Sequence[Copyable]:
        """What can be copied of the region."""
        one, desk = self.looked_at, self.desk
        if one is None or desk is None:
            return ()
        return copies_of(one, desk)

    def listing(self) -> Listing:
        """The queue as it is decided now."""
        desk = self.desk
        return listing_of(self.shown, desk) if desk is not None else Listing("regions", (), ())

    def step_out(self) -> bool:
        """A box that is moved first, then the filter."""
        if not self.is_mounted:
            return False
        if self.moving is not None:
            self.leave_box()
            self.draw()
            return True
        field = self.query_one(Input)
        if field.display:
            field.display = False
            self.focus_main()
            return True
        if self.filter:
            self.filter = ""
            self.narrow()
            return True
        return False

    # ---- the filter, the page ----

    def action_review_filter(self) -> None:
        """Type what is to be looked at."""
        field = self.query_one(Input)
        field.value = self.filter
        field.display = True
        field.focus()

    @on(Input.Submitted)
    def _filter_typed(self, event: Input.Submitted) -> None:
        event.stop()
        self.filter = event.value.strip()
        event.input.display = False
        self.focus_main()
        self.narrow()

    def action_review_pictures(self) -> None:
        """Pictures on or off."""
        self.query_one(Preview).toggle()
