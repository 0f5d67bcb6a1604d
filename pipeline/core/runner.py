"""The runner: takes a planned run from wherever it stands to its end, stage by stage."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.core.artifacts import ArtifactLog, describe_file
from pipeline.core.errors import ErrorInfo, StageCrash, UsageError, is_stage_crash
from pipeline.core.events import EventLog, ItemErrorInfo, ItemEvent, LogEvent, MetricEvent, RunState, StateEvent
from pipeline.core.execution import ErrorRateExceeded, MapExecution, Work
from pipeline.core.files import LineFile, digest
from pipeline.core.ledger import Execution, Ledger, Result
from pipeline.core.manifest import Item, Manifest, read_manifest
from pipeline.core.outcome import SCAN, Outcomes, final_state, publish
from pipeline.core.pipeline import Pipeline, RunParams, read_params
from pipeline.core.pool import WorkerPool
from pipeline.core.progress import StageProgress
from pipeline.core.reduction import run_reduction
from pipeline.core.registry import load_pipeline
from pipeline.core.rundir import EXIT_CODES, RunFolder, RunInfo
from pipeline.core.sources import Sources
from pipeline.core.stage import MapStage, Place, ReduceStage, Site, Stage, asked_keys, cache_keys, stages_at
from pipeline.core.stop import StopSignal
from pipeline.core.worker import WorkerSetup

LAST_WORDS_BYTES = 4 << 20
"""What a ledger's open journal, the report and the closing lines of thousands of pages take."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How this session goes about the run; none of it is part of what the run is."""

    resume: bool = False
    limit: int | None = None
    """Work on the first so many items only; the run then ends `incomplete`."""
    shard: tuple[int, int] | None = None
    """(i, n): work on part i of n, 1-based; the run folder then holds that part's results."""
    share: int = 1
    """How many processes like this one share the machine's processors."""
    place: Place | None = None
    """Only the stages of this place; None: all of them, here."""


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A planned run, read from its folder and checked against its own digests."""

    folder: RunFolder
    info: RunInfo
    pipeline: Pipeline
    pipeline_name: str
    params: RunParams
    manifest: Manifest
    stages: tuple[Stage, ...]
    keys: Mapping[str, str]
    scope: tuple[Item, ...]
    """The items of this session."""
    asks: Mapping[str, str]
    """What each map stage of the whole run is asked for, as `stage.asked_keys` tells it."""


def load_run(
    folder: RunFolder, pipeline_name: str, options: RunOptions, keys: Mapping[str, str] | None = None
) -> LoadedRun:
    """Read a planned run; `keys` are cache keys of stages whose results were made elsewhere.

    Raises:
        UsageError: the folder holds none, holds another pipeline's, or was changed after planning.
    """
    info = folder.read_info()
    pipeline = load_pipeline(pipeline_name)
    if info.pipeline != pipeline.name:
        raise UsageError(f"{folder.path} holds a run of {info.pipeline}, not of {pipeline.name}")
    params = pipeline.parse_params(read_params(folder.params_file))
    manifest = read_manifest(folder.manifest_file)
    if digest(params.model_dump(mode="json")) != info.params_digest:
        raise UsageError(f"{folder.params_file} was changed after planning: plan a new run with these parameters")
    if manifest.digest != info.manifest_digest:
        raise UsageError(f"{folder.manifest_file} was changed after planning: plan the run again in a new folder")
    scope = manifest.shard(*options.shard).items if options.shard else manifest.items
    if options.limit is not None:
        scope = scope[: options.limit]
    made = pipeline.make_stages(params)
    # The laptop's session takes over what the box did: it has all stages, and the keys that were told.
    stages = stages_at(None if options.place == "laptop" else options.place, made)
    told = keys or {}
    asks = asked_keys(pipeline.name, made, {name: ask for name, ask in info.stage_asks.items() if name in told})
    return LoadedRun(
        folder, info, pipeline, pipeline_name, params, manifest, stages,
        cache_keys(pipeline.name, stages, {**info.taken_keys, **told}), scope,
        {stage.name: asks[stage.name] for stage in made if isinstance(stage, MapStage)},
    )  # fmt: skip


class Runner:
    """One session of work on a run; made after the run's lock is held."""

    def __init__(
        self, run: LoadedRun, sources: Sources, options: RunOptions, stop: StopSignal, say: Callable[[str], None]
    ) -> None:
        self._run = run
        self._options = options
        self._stop = stop
        self._say = say
        self._sources = sources
        folder = run.folder
        self._ledger = Ledger(folder.ledger_file)
        self._artifacts = ArtifactLog(folder.artifacts_file)
        self._events = EventLog(folder.events_file, run.info.run_id)
        self._metrics = LineFile(folder.metrics_file)
        self._outcomes = Outcomes(run.scope)
        setup = WorkerSetup(run.pipeline_name, run.params, Site(folder.path, sources))
        workers = run.params.workers or max(1, processors() // options.share)
        self._pool: WorkerPool[Work] = WorkerPool(setup, max(1, min(workers, len(run.scope))))
        self._session = self._ledger.begin_session(os.getpid(), time.time())
        self._progress: StageProgress | None = None

    def run(self) -> int:
        """Work until the run ends or is stopped; returns the exit code."""
        self._begin()
        crash: str | None = None
        try:
            self._work()
        except StageCrash as error:
            crash = str(error)
        except Exception as error:  # noqa: BLE001 - a defect must still leave a finished folder behind
            crash = ErrorInfo.of(error).message
            if not is_stage_crash(error):
                traceback.print_exc(file=sys.stderr)
                crash = f"the runner broke: {crash}"
        finally:
            self._pool.close(kill=crash is not None or self._stop.urgent)
        return self._end(crash)

    def _work(self) -> None:
        """What this kind of session does between its beginning and its end."""
        self._scan()
        for stage in self._run.stages:
            if self._stop:
                break
            self._run_stage(stage)

    def _begin(self) -> None:
        run = self._run
        self._keep_room()
        info = run.info.model_copy(
            update={
                "state": "running",
                "started_at": run.info.started_at or time.time(),
                "finished_at": None,
                "exit_code": None,
                "stage_keys": _keys_of(run, stages_at("box", run.stages)),
                "stage_asks": dict(run.asks),
            }
        )
        run.folder.write_info(info)
        again = f", session {self._session}" if self._session > 1 else ""
        means = run.pipeline.means(run.params)
        self._say(
            f"run {run.info.run_id}: {run.pipeline.name}@{run.pipeline.version}"
            f"{f' · {means}' if means else ''} · {len(run.scope)} {run.pipeline.noun}s{again}"
        )
        self._events.emit(StateEvent(state="running", message=f"process {os.getpid()}{again}"))

    def _keep_room(self) -> None:
        """Lay disk space by, so that a run which fills the disk can still say how it ended."""
        with self._run.folder.room_file.open("wb") as room:
            room.write(b"\0" * LAST_WORDS_BYTES)

    def _scan(self) -> None:
        """Settle what planning already knows: documents that cannot be opened have failed."""
        progress = self._watch(SCAN, Counter())
        known = self._ledger.results(SCAN, SCAN)
        now = time.time()
        for item in self._run.scope:
            if item.problem is None:
                self._outcomes.add(Result(item.item_id, SCAN, SCAN, "ok", 1, 0.0, now, {}))
                progress.counts["ok"] += 1
                continue
            error = ErrorInfo(item.problem.type, item.problem.message, False)
            result = Result(item.item_id, SCAN, SCAN, "failed", 1, 0.0, now, {}, (), error)
            if item.item_id not in known:
                self._ledger.record([result], [Execution(item.item_id, SCAN, SCAN, 1, "failed", now, error.message)])
            self._outcomes.add(result)
            self._events.emit(self._item_event(result))
            progress.counts["failed"] += 1
        self._close_stage(progress, SCAN)
        self._gate()

    def _run_stage(self, stage: Stage) -> None:
        eligible, skipped = self._outcomes.split(stage.requires or (SCAN,))
        if isinstance(stage, ReduceStage):
            self._reduce(stage, eligible, skipped)
            return
        assert isinstance(stage, MapStage)
        wanted = {item.item_id for item in eligible}
        kept = {result.item_id: result for result in self._kept(stage) if result.item_id in wanted}
        before: Counter[str] = Counter({"skipped": len(skipped)})
        for item in eligible:
            if result := kept.get(item.item_id):
                self._outcomes.add(result)
                before[result.status] += 1
                if result.status == "failed":
                    self._events.emit(self._item_event(result))
        progress = self._watch(stage.name, before, stage.live_metrics)
        open_items = sorted((item for item in eligible if item.item_id not in kept), key=lambda item: -item.priority)
        if stage.reads_sources:
            self._check_sources(open_items)
        execution = MapExecution(
            stage, self._run.keys[stage.name], open_items, partial(self._inputs, stage), params=self._run.params,
            pool=self._pool, stop=self._stop, settle=partial(self._settle, progress), beat=progress.beat,
        )  # fmt: skip
        try:
            execution.run()
        finally:
            self._close_stage(progress, stage.name, fresh=len(open_items))

    def _inputs(self, stage: Stage, item: Item) -> dict[str, Mapping[str, Any]]:
        """What the stages that `stage` requires handed on about an item."""
        return {name: self._ledger.output(item.item_id, name, key) for name, key in self._keys_of(stage).items()}

    def _keys_of(self, stage: Stage) -> dict[str, str]:
        """The cache keys of the stages that `stage` requires."""
        return {name: self._run.keys[name] for name in stage.requires}

    def _check_sources(self, items: Sequence[Item]) -> None:
        try:
            self._sources.check({source for item in items for source in item.sources})
        except UsageError as error:
            raise StageCrash(str(error)) from error

    def _kept(self, stage: MapStage) -> Iterator[Result]:
        """What earlier sessions finished for good: whole on disk, or failed in a way that trying again cannot mend."""
        for result in self._ledger.each(stage.name, self._run.keys[stage.name]):
            if result.status == "failed":
                final = not (result.error and result.error.retryable)
            else:
                final = all(self._artifacts.holds(self._run.folder.path, artifact) for artifact in result.artifacts)
            if final:
                yield result.bare()

    def _settle(
        self,
        progress: StageProgress,
        results: Sequence[tuple[Result, float]],
        executions: Sequence[Execution],
        metrics: Mapping[str, float],
    ) -> None:
        """List files, then say done in the ledger, then tell events: a crash in between costs a repetition, no more."""
        self._artifacts.append(artifact for result, _ in results for artifact in result.artifacts)
        self._ledger.record([result for result, _ in results], executions)
        for result, _ in results:
            self._outcomes.add(result)
        self._events.emit(*(self._item_event(result) for result, _ in results))
        for name, value in metrics.items():
            progress.metrics[name] += value
        for status, items in Counter(result.status for result, _ in results).items():
            progress.count(status, items)
        self._gate()

    def _gate(self) -> None:
        rate = self._run.params.max_error_rate
        failed = self._outcomes.failed
        if rate is not None and self._run.scope and failed / len(self._run.scope) > rate:
            raise ErrorRateExceeded(
                f"{failed} of {len(self._run.scope)} {self._run.pipeline.noun}s failed, "
                f"more than max_error_rate {rate:g} allows: mend the cause, or raise max_error_rate in a new plan"
            )

    def _reduce(self, stage: ReduceStage, eligible: Sequence[Item], skipped: Sequence[Item]) -> None:
        progress = self._watch(stage.name, Counter({"skipped": len(skipped)}))
        try:
            if eligible:
                result = run_reduction(
                    stage, self._run.keys[stage.name], eligible, self._keys_of(stage),
                    ledger=self._ledger, artifacts=self._artifacts, folder=self._run.folder, params=self._run.params,
                    pool=self._pool, stop=self._stop, beat=progress.beat,
                )  # fmt: skip
                if result is not None:
                    self._outcomes.cover(stage.name, eligible)
                    progress.count("ok", len(eligible))
        finally:
            self._close_stage(progress, stage.name)

    def _watch(self, stage: str, before: Counter[str], live_metrics: Sequence[str] = ()) -> StageProgress:
        progress = StageProgress(stage, len(self._run.scope), before, self._events, live_metrics)
        progress.started()
        return progress

    def _close_stage(self, progress: StageProgress, stage: str, fresh: int = 0) -> None:
        progress.finished()
        counts = progress.counts
        self._outcomes.stages[stage] = {
            "ok": counts["ok"], "failed": counts["failed"], "rejected": counts["rejected"],
            "skipped": counts["skipped"], "elapsed_s": round(progress.elapsed_s, 3),
        }  # fmt: skip
        others = "".join(f", {counts[word]} {word}" for word in ("failed", "rejected", "skipped") if counts[word])
        self._say(f"{stage}: {counts['ok']} of {len(self._run.scope)} ok{others}, {progress.elapsed_s:.1f} s")
        if fresh:
            self._measure(stage, "elapsed", progress.elapsed_s, "s")
            self._measure(stage, "rate", fresh / max(progress.elapsed_s, 1e-6), f"{self._run.pipeline.noun}s/s")
        for name, value in sorted(progress.metrics.items()):
            self._measure(stage, name, value, None)

    def _measure(self, stage: str, name: str, value: float, unit: str | None) -> None:
        line = {"ts": time.time(), "session": self._session, "stage": stage, "name": name, "value": round(value, 6)}
        self._metrics.append([line | ({"unit": unit} if unit else {})])
        self._events.emit(MetricEvent(name=name, value=round(value, 6), unit=unit, stage=stage))

    def _item_event(self, result: Result) -> ItemEvent:
        item = self._outcomes.items[result.item_id]
        error = result.error
        return ItemEvent(
            stage=result.stage, item=item.item_id, group=item.group, page=item.page, status=result.status,
            attempt=result.attempts, elapsed_s=round(result.elapsed_s, 4),
            error=error and ItemErrorInfo(type=error.type, message=error.message, retryable=error.retryable),
        )  # fmt: skip

    def _end(self, crash: str | None) -> int:
        """Write the report, close and list everything that is not a stage's, and say how the run ended, last of all."""
        run = self._run
        run.folder.room_file.unlink(missing_ok=True)
        state, message = self._judge(crash)
        failures = self._outcomes.failures()
        if crash is not None:
            self._events.emit(LogEvent(level="error", message=crash))
        books = ["metrics.jsonl", "run.json"]
        try:
            self._publish(state, message)
            self._metrics.close()
            if self._ledger.settle():
                books.append("ledger.sqlite")
            else:
                self._events.emit(
                    LogEvent(level="warning", message="ledger.sqlite is not listed: somebody else is reading it")
                )
        except (OSError, sqlite3.Error) as error:
            crash = crash or f"the run's report could not be written: {ErrorInfo.of(error).message}"
            state, message = self._judge(crash)
        self._finish_info(state, books)
        run.folder.cancel_file.unlink(missing_ok=True)
        for failed in failures:
            print(f"failed: {failed.where!r}: {failed.message}", file=sys.stderr)
        if crash is not None:
            print(f"error: {crash}", file=sys.stderr)
        self._say(f"run {run.info.run_id}: {state}: {message}")
        self._events.emit(StateEvent(state=state, message=message))
        self._events.close()
        return EXIT_CODES[state]

    def _judge(self, crash: str | None) -> tuple[RunState, str]:
        state, message = final_state(self._run, self._outcomes, crash, bool(self._stop), self._options)
        left = [stage.name for stage in self._run.pipeline.make_stages(self._run.params)[len(self._run.stages) :]]
        if left and state in ("succeeded", "incomplete"):
            message += f"; for the laptop: {', '.join(left)}"
        return state, message

    def _publish(self, state: RunState, message: str) -> None:
        publish(self._run, self._outcomes, state, message, self._artifacts)

    def _counts(self) -> dict[str, int]:
        return self._outcomes.counts([stage.name for stage in self._run.stages])

    def _finish_info(self, state: RunState, books: Sequence[str]) -> None:
        run = self._run
        info = run.folder.read_info().model_copy(
            update={
                "state": state,
                "exit_code": EXIT_CODES[state],
                "finished_at": time.time(),
                "counts": self._counts(),
            }
        )
        run.folder.write_info(info)
        self._artifacts.append(describe_file(run.folder.path, name, Path(name).stem, "run") for name in books)
        self._artifacts.close()


def _keys_of(run: LoadedRun, stages: Sequence[Stage]) -> dict[str, str]:
    return {stage.name: run.keys[stage.name] for stage in stages if isinstance(stage, MapStage)}


def processors() -> int:
    """How many of the machine's processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
