"""Executes one map stage: feeds workers and device, retries, settles results. One loop, no shared state."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.core.device import Device
from pipeline.core.errors import ErrorInfo, Interrupted, StageCrash
from pipeline.core.ledger import Execution, Result
from pipeline.core.manifest import Item
from pipeline.core.pipeline import MAX_BACKOFF_S, RunParams
from pipeline.core.pool import WorkerPool
from pipeline.core.progress import HEARTBEAT_S
from pipeline.core.stage import MapStage
from pipeline.core.stop import StopSignal
from pipeline.core.worker import Call, Done


@dataclass(slots=True)
class Work:
    """One item on its way through a stage."""

    item: Item
    inputs: Mapping[str, Mapping[str, Any]] | None = None
    """Output of the stages that this one requires; got when the item's turn comes."""
    attempt: int = 1
    elapsed_s: float = 0.0
    phase: str = "prepare"
    payload: Any = field(default=None, repr=False)


class ErrorRateExceeded(StageCrash):
    """More items failed than `max_error_rate` allows."""


Settle = Callable[[Sequence[tuple[Result, float]], Sequence[Execution], Mapping[str, float]], None]
"""(results with the seconds each took, attempts, summed metrics): stores and tells them, may raise StageCrash."""


class MapExecution:
    """Takes a stage's open items to their ends."""

    def __init__(
        self,
        stage: MapStage,
        cache_key: str,
        items: Sequence[Item],
        inputs: Callable[[Item], Mapping[str, Mapping[str, Any]]],
        *,
        params: RunParams,
        pool: WorkerPool[Work],
        stop: StopSignal,
        settle: Settle,
        beat: Callable[[], None],
    ) -> None:
        self._stage = stage
        self._cache_key = cache_key
        self._params = params
        self._pool = pool
        self._stop = stop
        self._settle = settle
        self._beat = beat
        self._inputs = inputs
        self._open = deque(Work(item) for item in items)
        self._later: list[tuple[float, int, Work]] = []
        self._prepared: deque[Work] = deque()
        self._found: deque[Work] = deque()
        self._order = itertools.count()
        self._interrupted = False
        asked = None if stage.own_batches else params.batch_size
        self._batch_size = asked or stage.batch_size
        self._device: Device[Work] | None = None
        self._results: list[tuple[Result, float]] = []
        self._executions: list[Execution] = []
        self._metrics: dict[str, float] = {}

    def run(self) -> None:
        """Run until every item ended, or what was in flight when a stop was asked for.

        Raises:
            StageCrash: the stage itself cannot work, or too many items failed; what had finished is stored.
        """
        if not self._open:
            return
        self._device = Device(self._stage) if self._stage.device else None
        try:
            while self._more():
                self._feed()
                self._take()
                self._store()
                self._beat()
        except StageCrash:
            self._store()
            raise
        finally:
            if self._device is not None:
                if self._device.busy and not self._interrupted:  # nobody waits for what it would begin, or pays for it
                    self._stage.interrupt()
                self._device.close()

    def _more(self) -> bool:
        device_busy = self._device is not None and self._device.busy
        if self._stop.urgent:
            return False
        if self._stop:
            return bool(self._pool.busy or device_busy or self._found)
        return bool(self._open or self._later or self._prepared or self._found or self._pool.busy or device_busy)

    def _feed(self) -> None:
        now = time.monotonic()
        if self._stop and not self._interrupted:
            self._interrupted = True
            self._stage.interrupt()
        while self._later and self._later[0][0] <= now:
            self._open.appendleft(heapq.heappop(self._later)[2])
        while self._pool.idle and (work := self._next()) is not None:
            if work.inputs is None:
                work.inputs = self._inputs(work.item)
            call = Call(self._stage.name, work.phase, work.item, work.inputs, work.payload)  # type: ignore[arg-type]
            work.payload = None
            self._pool.submit(work, call)
        self._feed_device()

    def _next(self) -> Work | None:
        """What a worker does next: finish what the device found, else look ahead, but no further than two batches."""
        if self._found:
            return self._found.popleft()
        if self._stop or not self._open:
            return None
        if self._device is None:
            work = self._open.popleft()
            work.phase = "whole"
            return work
        if len(self._prepared) + self._pool.busy >= 2 * self._batch_size:
            return None
        work = self._open.popleft()
        work.phase = "prepare"
        return work

    def _feed_device(self) -> None:
        if self._device is None or self._device.busy or not self._prepared or self._stop:
            return
        more_is_coming = bool(self._open) or self._pool.busy > 0
        if len(self._prepared) < self._batch_size and more_is_coming:
            return
        batch = [self._prepared.popleft() for _ in range(min(self._batch_size, len(self._prepared)))]
        self._device.start(batch, [work.payload for work in batch])

    def _take(self) -> None:
        timeout_s = HEARTBEAT_S
        if self._later:
            timeout_s = min(timeout_s, max(0.0, self._later[0][0] - time.monotonic()))
        others = [self._stop] if self._device is None else [self._stop, self._device]
        for reply in self._pool.wait(timeout_s, others):
            work = reply.tag
            work.elapsed_s += reply.done.elapsed_s
            if reply.done.error is not None:
                self._failed(work, reply.done)
            elif work.phase == "prepare":
                work.payload = reply.done.value
                self._prepared.append(work)
            else:
                self._ended(work, reply.done)
        if self._device is not None:
            for work, done in self._device.collect():
                work.elapsed_s += done.elapsed_s
                if done.error is not None:
                    self._failed(work, done)
                else:
                    work.phase, work.payload = "finish", done.value
                    self._found.append(work)
        self._stop.drain()

    def _ended(self, work: Work, done: Done) -> None:
        assert done.output is not None
        status = done.output.status
        self._results.append((self._result(work, status, done.output.data, done.artifacts, None), work.elapsed_s))
        self._executions.append(self._execution(work, status, None))
        for name, value in done.output.metrics.items():
            self._metrics[name] = self._metrics.get(name, 0.0) + value

    def _failed(self, work: Work, done: Done) -> None:
        error = done.error
        assert error is not None
        if done.crash:
            raise StageCrash(error.message)
        work.payload = None
        if error.type == Interrupted.__name__:
            return  # it stays open
        attempts = 1 if self._stage.retries_itself and error.type != "WorkerDied" else self._params.attempts
        if error.retryable and work.attempt < attempts:
            self._executions.append(self._execution(work, "retried", error))
            pause_s = min(MAX_BACKOFF_S, self._params.retry_backoff_s * 2 ** (work.attempt - 1))
            work.attempt += 1
            heapq.heappush(self._later, (time.monotonic() + pause_s, next(self._order), work))
            return
        if error.type == "WorkerDied":
            # An item that takes its worker down every time is poison: no later session tries it again.
            error = ErrorInfo(error.type, f"{error.message}; given up after {work.attempt} attempts", False)
        self._results.append((self._result(work, "failed", {}, (), error), work.elapsed_s))
        self._executions.append(self._execution(work, "failed", error))

    def _result(self, work: Work, status: Any, data: dict[str, Any], artifacts: Any, error: ErrorInfo | None) -> Result:
        return Result(
            item_id=work.item.item_id, stage=self._stage.name, cache_key=self._cache_key, status=status,
            attempts=work.attempt, elapsed_s=round(work.elapsed_s, 6), finished_at=time.time(), output=data,
            artifacts=artifacts, error=error,
        )  # fmt: skip

    def _execution(self, work: Work, outcome: str, error: ErrorInfo | None) -> Execution:
        return Execution(
            work.item.item_id, self._stage.name, self._cache_key, work.attempt, outcome, time.time(),
            None if error is None else error.message,
        )  # fmt: skip

    def _store(self) -> None:
        if not self._executions:
            return
        results, executions, metrics = self._results, self._executions, self._metrics
        self._results, self._executions, self._metrics = [], [], {}
        self._settle(results, executions, metrics)
