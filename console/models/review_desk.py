"""What was decided about regions: over what is in use in the workspace, what is decided now, with undo of every step.

It holds no file and knows no screen. A decision is the same as the review page's: accepted or rejected as the run has
it, corrected with a label or a box of its own, or open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from console.models.review_queue import Box, Key, Queued

Status = Literal["accepted", "rejected", "corrected", "open"]
STATUSES: tuple[Status, ...] = ("open", "accepted", "rejected", "corrected")
SMALLEST_PX = 1.0
"""A box has at least this side."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was decided about a region; label and box only where they differ from the run's."""

    status: Status
    label: str | None = None
    box_px: Box | None = None


OPEN = Said("open")


@dataclass(frozen=True, slots=True)
class Step:
    """One decision, with what held before it."""

    key: Key
    before: Said
    after: Said


class Desk:
    """The decisions over one queue."""

    def __init__(self, queue: Iterable[Queued], base: Mapping[Key, Said]) -> None:
        self.queue: tuple[Queued, ...] = tuple(queue)
        """All regions of the run, in reading order."""
        self._of = {one.key: one for one in self.queue}
        self._pages: dict[tuple[str, int], list[Queued]] = {}
        for one in self.queue:
            self._pages.setdefault(one.key[:2], []).append(one)
        self._base = {key: said for key, said in base.items() if key in self._of}
        self._local: dict[Key, Said] = {}
        self._steps: list[Step] = []
        self._doubtful: tuple[float, int] | None = None
        self._counts: Counter[Status] = Counter(self.status(one.key) for one in self.queue)

    def region(self, key: Key) -> Queued | None:
        """The region of a key; None when the run has it no more."""
        return self._of.get(key)

    def on_page(self, one: Queued) -> list[Queued]:
        """All regions of its page."""
        return self._pages[one.key[:2]]

    def said(self, key: Key) -> Said:
        """What holds for a region."""
        return self._local.get(key) or self._base.get(key, OPEN)

    def status(self, key: Key) -> Status:
        """Accepted, rejected, corrected or open."""
        return self.said(key).status

    def label(self, one: Queued) -> str:
        """Its label as decided."""
        return self.said(one.key).label or one.label

    def box(self, one: Queued) -> Box:
        """Its box as decided."""
        return self.said(one.key).box_px or one.box_px

    @property
    def counts(self) -> Mapping[Status, int]:
        """Regions by status."""
        return self._counts

    @property
    def steps(self) -> int:
        """How many steps can be taken back."""
        return len(self._steps)

    def doubtful(self, threshold: float) -> int:
        """How many undecided regions have a lower score; counted once for each threshold and step."""
        if self._doubtful is None or self._doubtful[0] != threshold:
            count = sum(one.score < threshold and self.status(one.key) == "open" for one in self.queue)
            self._doubtful = threshold, count
        return self._doubtful[1]

    @property
    def changes(self) -> int:
        """How many decisions the workspace does not have yet."""
        return len(self._local)

    def changed(self) -> list[Queued]:
        """Regions whose decision the workspace does not have yet, in reading order."""
        return [one for one in self.queue if one.key in self._local]

    def accepted(self, one: Queued) -> Step | None:
        """Decide that a region is right: as the run has it, or as it was corrected before."""
        return self.corrected(one, self.label(one), self.box(one))

    def rejected(self, one: Queued) -> Step | None:
        """Decide that there is no such region."""
        return self._decide(one, Said("rejected"))

    def reopened(self, one: Queued) -> Step | None:
        """Leave a region undecided."""
        return self._decide(one, OPEN)

    def corrected(self, one: Queued, label: str, box: Box) -> Step | None:
        """Decide that a region is right with this label and box; where both are the run's own, it is accepted."""
        new_label = label if label != one.label else None
        new_box = box if box != one.box_px else None
        status: Status = "accepted" if new_label is None and new_box is None else "corrected"
        return self._decide(one, Said(status, new_label, new_box))

    def undo(self) -> Step | None:
        """Take the last step back; None when there is none."""
        if not self._steps:
            return None
        step = self._steps.pop()
        if step.key in self._of:
            self._put(step.key, step.before)
        return step

    def replay(self, step: Step) -> None:
        """Take a step of an earlier session, as it was then; of a region that the run has no more, nothing happens."""
        self._steps.append(step)
        if step.key in self._of:
            self._put(step.key, step.after)

    def _decide(self, one: Queued, said: Said) -> Step | None:
        """Decide; None when this held already."""
        before = self.said(one.key)
        if said == before:
            return None
        step = Step(one.key, before, said)
        self._put(one.key, said)
        self._steps.append(step)
        return step

    def _put(self, key: Key, said: Said) -> None:
        self._doubtful = None
        self._counts[self.status(key)] -= 1
        if said == self._base.get(key, OPEN):
            self._local.pop(key, None)
        else:
            self._local[key] = said
        self._counts[self.status(key)] += 1


def moved(box: Box, page: tuple[int, int], across: float, down: float) -> Box:
    """A box moved by so many pixels, kept on its page."""
    x, y, width, height = box
    return (
        round(min(max(0.0, x + across), page[0] - width), 1),
        round(min(max(0.0, y + down), page[1] - height), 1),
        width,
        height,
    )


def sized(box: Box, page: tuple[int, int], across: float, down: float) -> Box:
    """A box whose right and lower sides are moved by so many pixels; it stays on its page and never vanishes."""
    x, y, width, height = box
    return (
        x,
        y,
        round(min(max(SMALLEST_PX, width + across), page[0] - x), 1),
        round(min(max(SMALLEST_PX, height + down), page[1] - y), 1),
    )
