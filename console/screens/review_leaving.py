"""What leaves a review: the question before its decisions go into the index, what is copied, what is exported."""

from __future__ import annotations

from collections.abc import Sequence

from console.actions.action import Question
from console.language import _
from console.models import review_words as words
from console.models.review_desk import Desk
from console.models.review_queue import Queued
from console.operations.review_desk import Opened
from console.screens.view import Copyable, Listing

COLUMNS = ("document", "page", "region", "label", "was_label", "status", "score", "bbox_px", "tags", "text")


def question_of(opened: Opened, lines: int) -> Question | str:
    """What is asked before the first `lines` steps go into the index; a sentence where there is nothing to take."""
    changed = opened.desk.changed()
    if not changed:
        return _("Nothing was decided that the index does not have already.")
    told = dict.fromkeys(words.NAMES, 0)
    for one in changed:
        told[opened.desk.status(one.key)] += 1
    counts = ", ".join(f"{n} {_(words.NAMES[status])}" for status, n in told.items() if n)
    return Question(
        title=_("Take the decisions about run {run} into the index?").format(run=opened.run_id),
        detail=_(
            "{counts}. Rejected regions leave the index, corrected ones change; the run's own files stay as they "
            "are. spotter review undo takes it back."
        ).format(counts=counts),
        verb=_("Take"),
        commands=(("review", "take", opened.run_id, "--upto", str(lines)),),
        note=_("review of {run}").format(run=opened.run_id),
    )


def copies_of(one: Queued, desk: Desk) -> Sequence[Copyable]:
    """What can be copied of a region."""
    box = ", ".join(f"{side:g}" for side in desk.box(one))
    told = (
        (_("region id"), one.region),
        (_("citation"), f"{one.name}, p. {one.page} [{box}] px"),
        (_("bbox"), box),
        (_("page picture"), str(one.picture or "")),
        (_("command"), f"spotter review queue {one.run} region:{one.region}"),
    )
    return [Copyable(label, text) for label, text in told if text]


def listing_of(queue: Sequence[Queued], desk: Desk) -> Listing:
    """A queue as it is decided now."""
    return Listing("regions", COLUMNS, tuple(_row(one, desk) for one in queue))


def _row(one: Queued, desk: Desk) -> tuple[str | float | int | None, ...]:
    box = " ".join(f"{side:g}" for side in desk.box(one))
    return (
        one.name, one.page, one.region, desk.label(one), one.label, desk.status(one.key), one.score, box,
        ", ".join(one.tags), one.words,
    )  # fmt: skip
