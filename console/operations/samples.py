"""Sampling: bring what boxes measured of themselves into the recorder, from threads that nobody waits for.

A box keeps its own samples of 24 hours, one every 5 s, whether a laptop is there or not; so asking seldom loses
nothing, and a laptop that slept fills its gap at the next look. Looking is no use of a box: one that is only watched
still counts as idle, and its guard still ends its bill.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from console.models.recorder import Recorder
from console.models.recorder_samples import sample_of
from console.operations.session import Session

CLOSE_S = 5.0
"""Between two questions to a box that an operator looks at; as often as it measures."""
FAR_S = 15.0
"""Between two questions to one of many in a list."""
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 5.0, 60.0
MOST_BOXES = 32
"""Each costs a connection."""
AT_ONCE = 2_000
"""Samples in one answer; after a long absence they are thinned out to so many."""
DAY_S = 24 * 3600.0


class Looking(Protocol):
    """The part of `remote.jobs.Agent` that is used here."""

    def sample(self) -> dict[str, Any]:
        """How busy the box is now."""

    def samples(self, since: float, *, limit: int) -> list[dict[str, Any]]:
        """What it measured since a moment by its own clock."""


@contextmanager
def looking(session: Session, instance_id: int) -> Iterator[Looking]:
    """A connection that only looks: it says nothing that counts as the laptop's word.

    Raises:
        InstanceGone: there is nothing to reach.
        remote.transport.TransportError: it cannot be reached, and why.
    """
    from remote.jobs import Agent

    root = session.settings.cloud.remote_root
    with session.reach(instance_id) as transport, Agent.start(transport, root) as agent:
        yield agent


class Sampling:
    """Asks the boxes that some view wants to see, each in a thread of its own."""

    def __init__(
        self,
        recorder: Callable[[], Recorder],
        connect: Callable[[int], AbstractContextManager[Looking]],
    ) -> None:
        """`recorder` and `connect` are called from threads: they may open files and wait for the network."""
        self._recorder = recorder
        self._connect = connect
        self._wishes: dict[str, tuple[frozenset[int], float]] = {}
        self._threads: dict[int, tuple[threading.Thread, threading.Event]] = {}
        self._problems: dict[int, str] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, session: Callable[[], Session]) -> Sampling:
        """Sampling of a workspace; its session is opened by the first thread that needs it."""
        return cls(lambda: session().recorder, lambda instance_id: looking(session(), instance_id))

    def want(self, who: str, instance_ids: Iterable[int], every_s: float = FAR_S) -> None:
        """Say which boxes `who` wants sampled from now on; it replaces its former wish. Nobody waits here."""
        with self._lock:
            self._wishes[who] = (frozenset(instance_ids), every_s)
            wanted = sorted(set().union(*(ids for ids, _pace in self._wishes.values())))[:MOST_BOXES]
            for instance_id in [one for one in self._threads if one not in wanted]:
                self._threads.pop(instance_id)[1].set()
                self._problems.pop(instance_id, None)
            for instance_id in wanted:
                if instance_id not in self._threads:
                    over = threading.Event()
                    thread = threading.Thread(
                        target=self._watch, args=(instance_id, over), name=f"samples-{instance_id}", daemon=True
                    )
                    self._threads[instance_id] = (thread, over)
                    thread.start()

    def problem(self, instance_id: int) -> str:
        """Why there is nothing newer of a box; empty while all is well, or nobody wants it."""
        if instance_id not in self._threads and any(instance_id in ids for ids, _pace in self._wishes.copy().values()):
            return f"no more than {MOST_BOXES} boxes are sampled at once"
        return self._problems.get(instance_id, "")

    def close(self) -> None:
        """Ask no more; threads end by themselves."""
        with self._lock:
            self._wishes.clear()
            for _thread, over in self._threads.values():
                over.set()
            self._threads.clear()

    def _pace_s(self, instance_id: int) -> float:
        return min((pace for ids, pace in self._wishes.copy().values() if instance_id in ids), default=FAR_S)

    def _watch(self, instance_id: int, over: threading.Event) -> None:
        backoff_s = FIRST_BACKOFF_S
        while not over.is_set():
            try:
                with self._connect(instance_id) as box:
                    for _look in self._looks(instance_id, box, over):
                        self._problems.pop(instance_id, None)
                        backoff_s = FIRST_BACKOFF_S
            except Exception as error:  # noqa: BLE001 - shown beside the charts as the reason why they are old
                if not over.is_set():
                    self._problems[instance_id] = str(error) or type(error).__name__
                over.wait(backoff_s)
                backoff_s = min(LONGEST_BACKOFF_S, 2 * backoff_s)

    def _looks(self, instance_id: int, box: Looking, over: threading.Event) -> Iterator[int]:
        """Bring new samples over one connection, again and again; how many each time."""
        recorder = self._recorder()
        told = box.sample()
        ahead_s = float(told["ts"]) - time.time()
        known = recorder.latest(instance_id)
        since = max(known.at if known is not None else 0.0, time.time() - DAY_S) + ahead_s
        first = True
        while not over.is_set():
            fresh = box.samples(since, limit=AT_ONCE)
            if first and not fresh:  # nobody keeps samples there yet: they begin with this one
                fresh = [told]
            first = False
            since = max([since, *(float(one["ts"]) for one in fresh)])
            yield recorder.keep(instance_id, [sample_of(one, ahead_s) for one in fresh])
            over.wait(self._pace_s(instance_id))
