"""A session that works through a box's queue of shards: map stages only, round after round, until none is left.

Its run folder is a part: whoever gave the shards merges the parts, and closes the run there (`pipeline.core.closing`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from pipeline.core.errors import UsageError
from pipeline.core.events import RunState
from pipeline.core.execution import ErrorRateExceeded
from pipeline.core.ledger import Result
from pipeline.core.outcome import SCAN, Outcomes
from pipeline.core.runner import LoadedRun, Runner, RunOptions
from pipeline.core.shards import ShardQueue, round_size
from pipeline.core.sources import Sources
from pipeline.core.stage import MapStage
from pipeline.core.stop import StopSignal

ROUND_S = 300.0
"""About how long a round lasts: long beside the set-up of the stages, short beside what an idle box would cost."""


class QueueRunner(Runner):
    """One worker of a box. A worker that is killed takes up what it had taken; what it had finished is not repeated."""

    def __init__(
        self,
        run: LoadedRun,
        sources: Sources,
        options: RunOptions,
        stop: StopSignal,
        say: Callable[[str], None],
        *,
        queue: ShardQueue,
        worker: str,
    ) -> None:
        super().__init__(run, sources, options, stop, say)
        self._queue = queue
        self._worker = worker
        self._items = {item.item_id: item for item in run.manifest}
        self._failed_before = 0
        self._tally: Counter[str] = Counter()
        self._shards = 0
        self._seconds_per_shard: float | None = None

    def _work(self) -> None:
        taken = self._queue.taken_by(self._worker)
        while not self._stop:
            taken = taken or self._queue.take(self._worker, self._round_size())
            if not taken:
                return
            begun = time.monotonic()
            self._round(item_id for items in taken.values() for item_id in items)
            if self._stop and self._tally["open"]:
                return
            self._queue.finish(self._worker, taken)
            self._shards += len(taken)
            self._seconds_per_shard = (time.monotonic() - begun) / len(taken)
            taken = {}

    def _round_size(self) -> int:
        pending = len(self._queue.listing().pending)
        return round_size(pending, self._options.share, self._seconds_per_shard, ROUND_S)

    def _round(self, item_ids: Iterable[str]) -> None:
        try:
            scope = tuple(self._items[item_id] for item_id in item_ids)
        except KeyError as error:
            raise UsageError(
                f"the queue names item {error}, which the manifest does not: push the run again"
            ) from error
        self._run = replace(self._run, scope=scope)
        self._outcomes = Outcomes(scope)
        now = time.time()
        for item in scope:
            self._outcomes.add(Result(item.item_id, SCAN, SCAN, "ok", 1, 0.0, now, {}))
        stages = [stage for stage in self._run.stages if isinstance(stage, MapStage)]
        try:
            for stage in stages:
                if self._stop:
                    break
                self._run_stage(stage)
        finally:
            self._failed_before += self._outcomes.failed
            self._tally.update(self._outcomes.counts([stage.name for stage in stages]))

    def _gate(self) -> None:
        """The share of failures counts over the whole run: a shard alone may be all bad."""
        rate = self._run.params.max_error_rate
        failed = self._failed_before + self._outcomes.failed
        if rate is not None and failed / len(self._run.manifest) > rate:
            raise ErrorRateExceeded(
                f"{failed} of {len(self._run.manifest)} {self._run.pipeline.noun}s failed on this box alone, "
                f"more than max_error_rate {rate:g} allows: mend the cause, or raise max_error_rate in a new plan"
            )

    def _judge(self, crash: str | None) -> tuple[RunState, str]:
        done = f"{self._shards} shards with {self._tally['ok']} {self._run.pipeline.noun}s ok"
        if crash is not None:
            return "failed", crash
        if self._stop:
            state: RunState = "cancelled" if self._run.folder.cancel_file.exists() else "interrupted"
            return state, f"stopped after {done}"
        return "succeeded", f"{done}, {self._tally['failed']} failed; no shard is left"

    def _publish(self, state: RunState, message: str) -> None:
        return  # the report is the whole run's

    def _counts(self) -> dict[str, int]:
        return {word: self._tally[word] for word in ("ok", "failed", "rejected", "open")}
