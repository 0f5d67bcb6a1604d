"""Keys of the review: decisions, boxes that are moved, ways through the queue, and what leaves it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from console.language import _
from console.models.index_pages import PagePlace, around
from console.models.jumps import Moment, moment_of
from console.models.review_desk import Desk, moved, sized
from console.models.review_queue import Box, Queued, with_threshold
from console.screens.page_view import PageView, open_place
from console.screens.view import View
from console.widgets.picture import Shot

if TYPE_CHECKING:
    from console.models.review_desk import Step
    from console.operations.review_desk import Opened, Saved

STEPS_PX = (1, 10)
THRESHOLD_STEP = 0.05
ENLARGED = 6.0


class Deciding(View):
    """The part of the review that decides."""

    opened: Opened | None
    shown: list[Queued]
    at: int
    threshold: float
    filter: str
    moving: Box | None = None
    """A box that is being moved and is not decided yet."""
    step_px: int = STEPS_PX[0]
    added: int = 0
    """Lines that were added to the file of decisions since it was read."""
    _window: tuple[tuple[str, int, str], Box] | None = None
    """The region that is shown, and the part of its page."""

    @property
    def desk(self) -> Desk | None:
        """The decisions."""
        raise NotImplementedError

    @property
    def looked_at(self) -> Queued | None:
        """The region that is looked at."""
        raise NotImplementedError

    def draw(self) -> None:
        """Draw the region that is looked at."""
        raise NotImplementedError

    def go_to(self, at: int) -> None:
        """Look at another region."""
        raise NotImplementedError

    def keep(self, step: Step | None) -> None:
        """Write a step down."""
        raise NotImplementedError

    def keep_undo(self) -> None:
        """Write down that a step was taken back."""
        raise NotImplementedError

    def room_ratio(self) -> float:
        """Width by height of the room for the picture, in its pixels."""
        raise NotImplementedError

    def narrow(self) -> None:
        """Take the regions that the filter wants."""
        raise NotImplementedError

    # ---- decisions ----

    def action_review_accept(self) -> None:
        """It is right; on to the next."""
        if self.looked_at is not None and self.desk is not None:
            self._end_box()
            self._decided(self.desk.accepted(self.looked_at), onward=True)

    def action_review_reject(self) -> None:
        """There is no such region; on to the next."""
        if self.looked_at is not None and self.desk is not None:
            self.leave_box()
            self._decided(self.desk.rejected(self.looked_at), onward=True)

    def action_review_reopen(self) -> None:
        """Leave it undecided."""
        if self.looked_at is not None and self.desk is not None:
            self.leave_box()
            self._decided(self.desk.reopened(self.looked_at), onward=False)

    def action_review_undo(self) -> None:
        """Take the last decision back, and look at its region."""
        if self.desk is None:
            return
        self.leave_box()
        step = self.desk.undo()
        if step is None:
            self.app.say(_("There is no decision to take back."))
            return
        self.added += 1
        self.keep_undo()
        self.at = next((at for at, one in enumerate(self.shown) if one.key == step.key), self.at)
        self.draw()

    def call_it(self, number: int) -> None:
        """Call the region by the class of this number."""
        if self.looked_at is None or self.desk is None or self.opened is None:
            return
        if number > len(self.opened.labels):
            self.app.say(_("There are {n} classes.").format(n=len(self.opened.labels)))
            return
        self._end_box()
        label = self.opened.labels[number - 1]
        self._decided(self.desk.corrected(self.looked_at, label, self.desk.box(self.looked_at)), onward=False)

    def _decided(self, step: Step | None, *, onward: bool) -> None:
        if step is not None:
            self.added += 1
        self.keep(step)
        if onward:
            self.go_to(self.at + 1)

    # ---- boxes ----

    def action_review_box(self) -> None:
        """Begin to move the box, or keep it where it is now."""
        if self.moving is not None:
            self._end_box()
            self.draw()
        elif self.looked_at is not None and self.desk is not None:
            self.moving = self.desk.box(self.looked_at)
            self.draw()

    def leave_box(self) -> None:
        """Forget where the box was moved to."""
        self.moving = None

    def _end_box(self) -> None:
        """Decide on the box as it was moved, in one step."""
        box, self.moving = self.moving, None
        one, desk = self.looked_at, self.desk
        if box is not None and one is not None and desk is not None and box != desk.box(one):
            self._decided(desk.corrected(one, desk.label(one), box), onward=False)

    def _nudge(self, across: int, down: int, *, size: bool) -> bool:
        """Move or size the box that is being moved; returns whether there is one."""
        if self.moving is None or self.looked_at is None:
            return False
        change = sized if size else moved
        self.moving = change(self.moving, self.looked_at.page_px, across * self.step_px, down * self.step_px)
        self.draw()
        return True

    def action_review_step(self) -> None:
        """By 1 pixel, or by 10."""
        self.step_px = STEPS_PX[1 - STEPS_PX.index(self.step_px)]
        self.draw()

    def shot_of(self, one: Queued) -> Shot | None:
        """The region with what stands about it; what is shown stays while its box is moved."""
        if one.picture is None or self.desk is None:
            return None
        box = self.moving or self.desk.box(one)
        if self._window is None or self._window[0] != one.key or not _inside(box, self._window[1]):
            self._window = (one.key, around(box, one.page_px, self.room_ratio()))
        others = tuple(self.desk.box(other) for other in self.desk.on_page(one) if other.key != one.key)
        return Shot(one.picture, box, others, self._window[1], ENLARGED)

    # ---- ways through the queue ----

    def action_review_next(self) -> None:
        """The next region."""
        self.go_to(self.at + 1)

    def action_review_previous(self) -> None:
        """The region before."""
        self.go_to(self.at - 1)

    def action_review_first(self) -> None:
        """The first region."""
        self.go_to(0)

    def action_review_last(self) -> None:
        """The last region."""
        self.go_to(len(self.shown) - 1)

    def action_review_up(self) -> None:
        """Up: the box, or the queue."""
        if not self._nudge(0, -1, size=False):
            self.go_to(self.at - 1)

    def action_review_down(self) -> None:
        """Down: the box, or the queue."""
        if not self._nudge(0, 1, size=False):
            self.go_to(self.at + 1)

    def action_review_left(self) -> None:
        """Left: the box, or to the page before."""
        if not self._nudge(-1, 0, size=False):
            self._turn(-1)

    def action_review_right(self) -> None:
        """Right: the box, or to the next page."""
        if not self._nudge(1, 0, size=False):
            self._turn(1)

    def action_review_shorter(self) -> None:
        """A box that is less high."""
        self._nudge(0, -1, size=True)

    def action_review_taller(self) -> None:
        """A higher box."""
        self._nudge(0, 1, size=True)

    def action_review_narrower(self) -> None:
        """A narrower box."""
        self._nudge(-1, 0, size=True)

    def action_review_wider(self) -> None:
        """A wider box."""
        self._nudge(1, 0, size=True)

    def _turn(self, by: int) -> None:
        """To the first wanted region of the next page, or of the one before."""
        here = self.looked_at
        if here is None:
            return
        places = [one.key[:2] for one in self.shown]
        at = self.at
        while 0 <= at + by < len(places):
            at += by
            if places[at] != here.key[:2]:
                self.go_to(places.index(places[at]))
                return

    def action_review_doubtful(self) -> None:
        """The next undecided region below the threshold, from here on and round."""
        if self.desk is None:
            return
        for turn in range(1, len(self.shown) + 1):
            at = (self.at + turn) % len(self.shown)
            one = self.shown[at]
            if one.score < self.threshold and self.desk.status(one.key) == "open":
                self.go_to(at)
                return
        self.app.say(_("No undecided region below {score} is left.").format(score=f"{self.threshold:.2f}"))

    def action_review_raise(self) -> None:
        """Doubt more."""
        self._set_threshold(self.threshold + THRESHOLD_STEP)

    def action_review_lower(self) -> None:
        """Doubt less."""
        self._set_threshold(self.threshold - THRESHOLD_STEP)

    def _set_threshold(self, score: float) -> None:
        self.threshold = round(min(1.0, max(0.0, score)), 2)
        changed = with_threshold(self.filter, self.threshold)
        if changed != self.filter:
            self.filter = changed
            self.narrow()
        else:
            self.draw()

    def action_review_page(self) -> None:
        """Keep the box that is moved; otherwise the whole page."""
        if self.moving is not None:
            self.action_review_box()
        else:
            self.show_page()

    def place(self) -> PagePlace | None:
        """The page of the region with its box; None without a picture."""
        one, desk = self.looked_at, self.desk
        if one is None or desk is None or one.picture is None:
            return None
        others = tuple(desk.box(other) for other in desk.on_page(one) if other.key != one.key)
        return PagePlace(one.picture, one.page, self.moving or desk.box(one), others, one.source, one.name)

    def show_page(self) -> None:
        """The whole page."""
        place = self.place()
        if place is None:
            self.app.say(_("This run keeps no picture of the page."))
        else:
            self.app.push_screen(PageView(place))

    def action_review_open(self) -> None:
        """Open the document at this page."""
        if (place := self.place()) is not None:
            open_place(self.app, place)

    # ---- what leaves ----

    def action_review_run(self) -> None:
        """The run that made it."""
        if self.opened is not None:
            self.app.go("run", self.opened.run_id)

    def action_review_log(self) -> None:
        """The run's log at the second in which the region was described."""
        one = self.looked_at
        if one is None:
            return
        folder = self.app.workspace.run_folder(one.run)

        def then(moment: Moment | None) -> None:
            self.app.go("log", moment.argument if moment is not None else one.run)

        self.in_background(partial(moment_of, folder, one.document, one.page, "VisualCaption"), then)

    def action_review_save(self) -> None:
        """Write a patch and a COCO file."""
        opened = self.opened
        if opened is None:
            return

        def write() -> Saved:
            from console.operations.review_desk import save_decisions

            self.settle()
            return save_decisions(self.app.workspace, opened.run_id)

        def then(saved: Saved) -> None:
            self.app.log_command(
                f"spotter review save {opened.run_id}", _("decisions of {run}").format(run=opened.run_id)
            )
            also = f", {saved.patch}" if saved.patch is not None else ""
            self.app.say(_("written: {files}").format(files=f"{saved.coco}{also}"))

        self.in_background(write, then)

    def settle(self) -> None:
        """Wait until what was decided is on the disk; called in a worker."""
        raise NotImplementedError


def _class_action(number: int) -> None:
    def call(view: Deciding) -> None:
        view.call_it(number)

    call.__doc__ = f"Call the region by class {number}."
    setattr(Deciding, f"action_review_class_{number}", call)


for _number in range(1, 10):
    _class_action(_number)


def _inside(box: Box, window: Box) -> bool:
    return (
        box[0] >= window[0]
        and box[1] >= window[1]
        and box[0] + box[2] <= window[0] + window[2]
        and box[1] + box[3] <= window[1] + window[3]
    )
