"""Timers in virtual time: what the marketplace delays waits here, and a jump runs everything that it made due.

A task that was started by `start` counts as at work from its beginning to its end, except while it sleeps on this
clock or rests (waits for something that no clock brings, as the end of a process). A jump goes from one due timer to
the next, sets the time to exactly that moment, and waits until nobody is at work before it goes on: a life of many
delays passes through all of them in order, each at its own time, and what it did is real when the jump returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from remote.localcloud.clock import VirtualTime

SETTLE_LIMIT_S = 60.0
"""A jump gives up waiting for real work (a box that starts, processes that end) after this long."""
LEAST_CROWD = 256


class Timers:
    """The marketplace's clock, inside its daemon. Belongs to one event loop."""

    def __init__(self, formula: VirtualTime, state_dir: Path) -> None:
        self._formula = formula
        self._state_dir = state_dir
        self._order = itertools.count()
        self._heap: list[tuple[float, int, asyncio.Future[None], asyncio.Task[Any] | None]] = []
        self._crowd = LEAST_CROWD
        self._at_work: set[asyncio.Task[Any]] = set()
        self._settled = asyncio.Event()
        self._settled.set()
        self._sooner = asyncio.Event()
        self._jumping = asyncio.Lock()
        formula.write(state_dir)

    @property
    def formula(self) -> VirtualTime:
        """The formula in force."""
        return self._formula

    def now(self) -> float:
        """Virtual unix seconds."""
        return self._formula.now()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something that jumps wait for. Its failure is printed, not raised."""
        task = asyncio.create_task(work, name=name)
        self._begin_work(task)
        task.add_done_callback(self._end_work)
        task.add_done_callback(_print_failure)
        return task

    async def sleep(self, seconds: float) -> None:
        """Wait so many virtual seconds."""
        await self.sleep_until(self.now() + seconds)

    async def sleep_until(self, moment: float) -> None:
        """Wait for a virtual moment; one that is past gives way to others once."""
        task = asyncio.current_task()
        tracked = task if task in self._at_work else None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._drop_cancelled()
        heapq.heappush(self._heap, (moment, next(self._order), future, tracked))
        self._sooner.set()
        if tracked is not None:
            self._end_work(tracked)
        try:
            await future
        finally:
            if tracked is not None:
                self._begin_work(tracked)

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """Within this, the calling task waits for something that jumps need not wait for."""
        task = asyncio.current_task()
        tracked = task if task in self._at_work else None
        if tracked is not None:
            self._end_work(tracked)
        try:
            yield
        finally:
            if tracked is not None:
                self._begin_work(tracked)

    async def jump_to(self, moment: float) -> None:
        """Go to a virtual moment through every timer before it. A moment that is past only runs what is due."""
        async with self._jumping:
            await self._settle()
            while (due := self._next_due()) is not None and due <= moment:
                self._move_to(due)
                self._fire(due)
                await self._settle()
            self._move_to(moment)
            self._formula.write(self._state_dir)

    async def run(self) -> None:
        """Fire timers as their time comes by itself; the daemon runs this for as long as it lives."""
        while True:
            self._sooner.clear()
            due = self._next_due()
            if due is None:
                await self._sooner.wait()
            elif (wait_s := (due - self.now()) / self._formula.speed) > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._sooner.wait(), wait_s)
            else:
                self._fire(due)
                await asyncio.sleep(0)

    def _next_due(self) -> float | None:
        while self._heap and self._heap[0][2].done():
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _drop_cancelled(self) -> None:
        """Forget sleepers that were cancelled, once they could be half of all."""
        if len(self._heap) >= self._crowd:
            self._heap = [each for each in self._heap if not each[2].done()]
            heapq.heapify(self._heap)
            self._crowd = max(LEAST_CROWD, 2 * len(self._heap))

    def _move_to(self, moment: float) -> None:
        gap_s = moment - self.now()
        if gap_s > 0:
            self._formula = self._formula.advanced(gap_s)

    def _fire(self, moment: float) -> None:
        """Wake every sleeper whose time is `moment` or earlier."""
        while self._heap and self._heap[0][0] <= moment:
            _moment, _order, future, tracked = heapq.heappop(self._heap)
            if not future.done():
                future.set_result(None)
                if tracked is not None:
                    self._begin_work(tracked)

    def _begin_work(self, task: asyncio.Task[Any]) -> None:
        if not task.done():
            self._at_work.add(task)
            self._settled.clear()

    def _end_work(self, task: asyncio.Task[Any]) -> None:
        self._at_work.discard(task)
        if not self._at_work:
            self._settled.set()

    async def _settle(self) -> None:
        """Until nobody is at work; says who it gave up on."""
        deadline = time.monotonic() + SETTLE_LIMIT_S
        await asyncio.sleep(0)
        while self._at_work:
            try:
                await asyncio.wait_for(self._settled.wait(), max(0.01, deadline - time.monotonic()))
            except TimeoutError:
                busy = ", ".join(sorted(task.get_name() for task in self._at_work))
                print(f"a jump of the clock does not wait for {busy} any longer", flush=True)
                return
            await asyncio.sleep(0)


class Appointment:
    """Something that happens at one virtual moment, which may be moved or called off until then."""

    def __init__(self, timers: Timers, name: str, act: Callable[[], Awaitable[None]]) -> None:
        self._timers = timers
        self._name = name
        self._act = act
        self._task: asyncio.Task[None] | None = None

    def move(self, moment: float | None) -> None:
        """Let it happen at `moment` instead; never with None. One that has begun is not stopped."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if moment is not None:
            self._task = self._timers.start(self._wait(moment), self._name)

    async def _wait(self, moment: float) -> None:
        await self._timers.sleep_until(moment)
        self._task = None
        await self._act()


def _print_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        print(f"{task.get_name()} failed:", flush=True)
        traceback.print_exception(error)
