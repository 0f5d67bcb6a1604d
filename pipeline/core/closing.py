"""The session that ends a run on the laptop: what boxes did is taken as it is, what is left for the laptop is done."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from pipeline.core.events import RunState
from pipeline.core.ledger import Result
from pipeline.core.outcome import SCAN, final_state
from pipeline.core.progress import StageProgress
from pipeline.core.runner import LoadedRun, Runner, RunOptions
from pipeline.core.sources import Sources
from pipeline.core.stage import MapStage, stages_at
from pipeline.core.stop import StopSignal


class ClosingRunner(Runner):
    """Takes the results of the boxes' stages as they are, does the laptop's when every item came to its end in those,
    and writes the report.

    It works where the results lie, which need not have the libraries that made them: the cache keys of the boxes' map
    stages are those that the boxes told.
    """

    def __init__(
        self,
        run: LoadedRun,
        sources: Sources,
        stop: StopSignal,
        say: Callable[[str], None],
        *,
        problem: str | None = None,
        stopped: bool = False,
    ) -> None:
        """`problem`: why the boxes could not go on; the run then ends `failed` by it, unless all is done.

        `stopped`: the laptop's map stages are left to a later session.
        """
        super().__init__(run, sources, RunOptions(resume=True), stop, say)
        self._problem = problem
        self._stopped = stopped
        self._open = 0

    def _work(self) -> None:
        self._scan()
        done_there = {stage.name for stage in stages_at("box", self._run.stages)}
        for stage in self._run.stages:
            if self._stop:
                break
            if isinstance(stage, MapStage) and stage.name in done_there:
                self._take_over(stage)
            elif isinstance(stage, MapStage) and self._stopped:
                self._open += 1
            elif not self._open:
                self._run_stage(stage)

    def _take_over(self, stage: MapStage) -> None:
        eligible, skipped = self._outcomes.split(stage.requires or (SCAN,))
        wanted = {item.item_id for item in eligible}
        results: dict[str, Result] = {}
        span, torn = _Span(), 0
        for result in self._ledger.each(stage.name, self._run.keys[stage.name]):
            span.add(result)
            if result.item_id in wanted:
                if self._is_here(result):
                    results[result.item_id] = result.bare()
                else:
                    torn += 1
        before: Counter[str] = Counter({"skipped": len(skipped)})
        for item in eligible:
            if item.item_id not in results:
                self._open += 1
                continue
            result = results[item.item_id]
            self._outcomes.add(result)
            before[result.status] += 1
            if result.status == "failed":
                self._events.emit(self._item_event(result))
        if len(results) < len(eligible):
            left = len(eligible) - len(results)
            self._say(f"{stage.name}: the boxes left {left} of {len(eligible)} open; of {torn} the files are not whole")
        self._close_stage(StageProgress(stage.name, len(self._run.scope), before, self._events), stage.name)
        self._outcomes.stages[stage.name]["elapsed_s"] = span.elapsed_s
        self._gate()

    def _is_here(self, result: Result) -> bool:
        return all(self._artifacts.holds(self._run.folder.path, artifact) for artifact in result.artifacts)

    def _judge(self, crash: str | None) -> tuple[RunState, str]:
        if crash is None and self._open and self._problem is not None:
            crash = self._problem
        return final_state(self._run, self._outcomes, crash, bool(self._stop or self._open), self._options)


class _Span:
    """From when the first of some results was begun to when the last one ended, by the boxes' own clocks."""

    def __init__(self) -> None:
        self._begun = math.inf
        self._ended = -math.inf

    def add(self, result: Result) -> None:
        self._begun = min(self._begun, result.finished_at - result.elapsed_s)
        self._ended = max(self._ended, result.finished_at)

    @property
    def elapsed_s(self) -> float:
        return round(self._ended - self._begun, 3) if self._ended > self._begun else 0.0
