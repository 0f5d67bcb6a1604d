"""Who works on which shard: pure bookkeeping over what the boxes' queues say.

Nothing of it is on disk. A shard is free when it is not settled and no box's queue holds it, so what a lost box had is
free again as soon as the box is dropped, and a console that starts anew asks the boxes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.core.shards import Listing


@dataclass(slots=True)
class _Holder:
    """What is known of one box."""

    listing: Listing | None = None
    given: set[str] = field(default_factory=set)
    """Shards on their way to it."""
    done: int = 0
    since: float | None = None
    robbed: int = 0
    """Shards that it is asked to hand over."""
    unheard: bool = False
    """It worked before this process began, and may hold anything."""

    @property
    def pending(self) -> int:
        return len(self.listing.pending) if self.listing else 0

    @property
    def unfinished(self) -> int:
        return self.pending + len(self.given) + (len(self.listing.taken) if self.listing else 0)

    def holds(self) -> set[str]:
        return self.given | (set(self.listing.held) if self.listing else set())


class ShardBook:
    """All shards of a run. Thread-safe: every box has a thread that asks here."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._shards: dict[str, tuple[str, ...]] | None = None
        self._settled: set[str] = set()
        self._boxes: dict[str, _Holder] = {}
        self._clock = clock
        self._lock = threading.RLock()

    def fill(self, shards: Mapping[str, tuple[str, ...]]) -> None:
        """What there is to do, once it is known; later calls change nothing."""
        with self._lock:
            if self._shards is None:
                self._shards = dict(shards)

    def join(self, box: str, worked: bool = False) -> None:
        """A box takes part, from the wish for it on; one that worked before may hold anything until it is heard of."""
        with self._lock:
            self._boxes[box] = _Holder(unheard=worked)

    def drop(self, box: str) -> int:
        """A box is gone; how many shards it had not finished are free again."""
        with self._lock:
            holder = self._boxes.pop(box, _Holder())
            return len(holder.holds() - self._settled - (set(holder.listing.done) if holder.listing else set()))

    def note(self, box: str, listing: Listing) -> None:
        """What a box's queue holds now."""
        with self._lock:
            holder = self._boxes[box]
            if holder.since is None:
                holder.since = self._clock()
            holder.listing = listing
            holder.done = max(holder.done, len(listing.done))
            holder.given.clear()
            holder.unheard = False

    def settle(self, names: Iterable[str]) -> None:
        """These shards were finished by a box, and all that came of them is here."""
        with self._lock:
            self._settled.update(names)

    def done_on(self, box: str) -> tuple[str, ...]:
        """What a box has finished, as far as it was heard of."""
        with self._lock:
            holder = self._boxes.get(box)
            return holder.listing.done if holder is not None and holder.listing is not None else ()

    @property
    def left(self) -> int | None:
        """How many shards' results are not all here; None while it is not known what there is to do."""
        with self._lock:
            return None if self._shards is None else len(self._shards.keys() - self._settled)

    @property
    def free(self) -> list[str]:
        """Shards that nobody has; none while a box may hold anything."""
        with self._lock:
            if self._shards is None or any(holder.unheard for holder in self._boxes.values()):
                return []
            held = set().union(*(holder.holds() for holder in self._boxes.values()))
            return sorted(self._shards.keys() - self._settled - held)

    def take(self, box: str) -> dict[str, tuple[str, ...]]:
        """What a box with nothing before it gets next: as much of what is free as every other such box will."""
        with self._lock:
            free = self.free
            waiting = sum(holder.unfinished == 0 for holder in self._boxes.values())
            names = free[: math.ceil(len(free) / max(1, waiting))]
            self._boxes[box].given.update(names)
            return {name: (self._shards or {})[name] for name in names}

    def rob_for(self, box: str) -> bool:
        """Ask the box that will be busy longest to hand over what this idle one will finish sooner.

        Whether it is worth waiting for: somebody was asked, now or before.
        """
        with self._lock:
            if any(holder.robbed or holder.unheard for holder in self._boxes.values()):
                return True
            others = [name for name, holder in self._boxes.items() if name != box and holder.pending]
            if not others:
                return False
            victim = max(others, key=self._seconds_left)
            mine, theirs = self._pace(box), self._pace(victim)
            share = 0.5 if mine is None or theirs is None else mine / (mine + theirs)
            holder = self._boxes[victim]
            holder.robbed = max(1, min(holder.pending, int(holder.unfinished * share)))
            return True

    def to_hand_over(self, box: str) -> int:
        """How many shards this box is asked to hand over."""
        with self._lock:
            return self._boxes[box].robbed

    def handed_over(self, box: str, listing: Listing) -> None:
        """It did: what its queue holds now."""
        with self._lock:
            self._boxes[box].robbed = 0
            self.note(box, listing)

    def is_finished(self, box: str) -> bool:
        """Whether this box has nothing unfinished."""
        with self._lock:
            holder = self._boxes[box]
            return holder.listing is not None and holder.unfinished == 0

    def _pace(self, box: str) -> float | None:
        """Shards a second; None before the first is done."""
        holder = self._boxes[box]
        if holder.since is None or holder.done == 0:
            return None
        return holder.done / max(1e-3, self._clock() - holder.since)

    def _seconds_left(self, box: str) -> tuple[float, int]:
        holder = self._boxes[box]
        pace = self._pace(box)
        return (math.inf if pace is None else holder.unfinished / pace), holder.unfinished
