"""How far a stage is, told at most a few times a second."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Literal

from pipeline.core.events import EventLog, HeartbeatEvent, MetricEvent, ProgressEvent, StageEvent

MIN_INTERVAL_S = 0.25
HEARTBEAT_S = 5.0
_RATE_WINDOW_S = 30.0


class StageProgress:
    """Counts one stage's items and tells events about them."""

    def __init__(
        self,
        stage: str,
        total: int,
        before: Counter[str],
        events: EventLog,
        live_metrics: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = before
        """Items by status: ok, failed, rejected, skipped; filled with what earlier sessions did."""
        self.metrics: defaultdict[str, float] = defaultdict(float)
        """Sums of what the stage's outputs measured."""
        self._stage = stage
        self._total = total
        self._events = events
        self._live_metrics = live_metrics
        self._clock = clock
        self._begun = clock()
        self._told = self._begun
        self._ends: deque[float] = deque()

    @property
    def done(self) -> int:
        """Items that reached an end in this stage."""
        return sum(self.counts.values())

    @property
    def elapsed_s(self) -> float:
        """Seconds since this session began the stage."""
        return self._clock() - self._begun

    def started(self) -> None:
        """Tell that the stage begins."""
        self._events.emit(self._stage_event("started"))

    def finished(self) -> None:
        """Tell that the stage is through."""
        self._events.emit(self._progress(), self._stage_event("finished"))

    def count(self, status: str, items: int = 1) -> None:
        """Count items that ended, and tell progress when the last telling is long enough ago."""
        now = self._clock()
        self.counts[status] += items
        self._ends.extend([now] * items)
        if now - self._told >= MIN_INTERVAL_S:
            self._told = now
            measured = [name for name in self._live_metrics if name in self.metrics]
            self._events.emit(
                self._progress(),
                *(MetricEvent(name=name, value=round(self.metrics[name], 6), stage=self._stage) for name in measured),
            )

    def beat(self) -> None:
        """Tell that the run is alive when nothing was told for a while."""
        now = self._clock()
        if now - self._told >= HEARTBEAT_S:
            self._told = now
            self._events.emit(HeartbeatEvent())

    def _progress(self) -> ProgressEvent:
        now = self._clock()
        while self._ends and now - self._ends[0] > _RATE_WINDOW_S:
            self._ends.popleft()
        window_s = min(now - self._begun, _RATE_WINDOW_S)
        rate = len(self._ends) / window_s if window_s > 0 else 0.0
        left = self._total - self.done
        return ProgressEvent(
            stage=self._stage, total=self._total, done=self.done, ok=self.counts["ok"], failed=self.counts["failed"],
            rate_per_s=round(rate, 3), eta_s=round(left / rate, 1) if rate else (None if left else 0.0),
        )  # fmt: skip

    def _stage_event(self, state: Literal["started", "finished"]) -> StageEvent:
        return StageEvent(
            stage=self._stage, state=state, total=self._total, done=self.done, ok=self.counts["ok"],
            failed=self.counts["failed"], skipped=self.counts["skipped"], rejected=self.counts["rejected"],
            elapsed_s=round(self.elapsed_s, 3),
        )  # fmt: skip
