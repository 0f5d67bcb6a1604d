"""The worker process: takes one call at a time from its pipe, and outlives every error but its own death."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, Literal

from pipeline.core.artifacts import Artifact, ArtifactWriter
from pipeline.core.child import die_with
from pipeline.core.errors import ErrorInfo, PipelineError, StageCrash, is_stage_crash
from pipeline.core.ledger import Ledger
from pipeline.core.manifest import Item
from pipeline.core.pipeline import RunParams
from pipeline.core.registry import load_pipeline
from pipeline.core.stage import MapStage, Output, ReduceStage, Reduction, Site, Stage, Task


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a worker needs to build the stages for itself."""

    pipeline: str
    """Name or `module:attribute`."""
    params: RunParams
    site: Site


@dataclass(frozen=True, slots=True)
class Call:
    """One piece of work: a phase of a map stage for one item, or a whole reduce stage."""

    stage: str
    phase: Literal["prepare", "finish", "whole", "reduce"]
    item: Item | None = None
    inputs: Mapping[str, Mapping[str, Any]] | None = None
    payload: Any = None
    """For `finish`: what the device found. For `reduce`: (items, cache keys by stage, ledger)."""


@dataclass(frozen=True, slots=True)
class Done:
    """A call's end: a value (`prepare`) or an output with its artifacts, or the error."""

    elapsed_s: float
    value: Any = None
    output: Output | None = None
    artifacts: tuple[Artifact, ...] = ()
    error: ErrorInfo | None = None
    crash: bool = False
    """The error is the stage's, not the item's."""


class StageBench:
    """Builds stages from the parameters and keeps the one in use set up."""

    def __init__(self, setup: WorkerSetup) -> None:
        pipeline = load_pipeline(setup.pipeline)
        self._site = setup.site
        self._stages = {stage.name: stage for stage in pipeline.make_stages(setup.params)}
        self._ready: Stage | None = None

    def run(self, call: Call) -> Done:
        """Carry out one call."""
        begun = time.perf_counter()
        try:
            stage = self._set_up(call)
            value, output, artifacts = self._perform(stage, call)
        except Exception as error:  # noqa: BLE001 - whatever an item does is that item's result
            return Done(time.perf_counter() - begun, error=ErrorInfo.of(error), crash=is_stage_crash(error))
        return Done(time.perf_counter() - begun, value, output, artifacts)

    def _set_up(self, call: Call) -> Stage:
        stage = self._stages[call.stage]
        if self._ready is stage:
            return stage
        if self._ready is not None:
            self._ready.teardown()
            self._ready = None
        if isinstance(stage, MapStage):
            try:
                stage.setup_worker()
                if not stage.device:
                    stage.setup()
            except PipelineError as error:
                raise StageCrash(f"stage {stage.name} cannot start: {error}") from error
            except Exception as error:
                raise StageCrash(f"stage {stage.name} cannot start: {type(error).__name__}: {error}") from error
        self._ready = stage
        return stage

    def _perform(self, stage: Stage, call: Call) -> tuple[Any, Output | None, tuple[Artifact, ...]]:
        if isinstance(stage, ReduceStage):
            items, keys, ledger_file = call.payload
            writer = ArtifactWriter(self._site.run_dir, "", stage.name, None)
            ledger = Ledger(ledger_file, read_only=True)
            try:
                outputs = {name: partial(ledger.output, stage=name, cache_key=key) for name, key in keys.items()}
                output = stage.reduce(Reduction(items, outputs, self._site, writer))
            finally:
                ledger.close()
        else:
            assert isinstance(stage, MapStage)
            assert call.item is not None
            writer = ArtifactWriter(self._site.run_dir, call.item.folder, stage.name, call.item.item_id)
            task = Task(call.item, call.inputs or {}, self._site, writer)
            if call.phase == "prepare":
                return stage.prepare(task), None, ()
            found = call.payload if call.phase == "finish" else stage.process([stage.prepare(task)])[0]
            output = stage.finish(task, found)
        writer.flush()
        return None, output, tuple(writer.written)


def serve(pipe: Connection, setup: WorkerSetup, parent: int) -> None:
    """A worker's life: calls in, results out, until the pipe closes."""
    # The runner decides when to stop: a Ctrl-C on the terminal must not cut an item in the middle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with(parent)
    try:
        bench = _bench(setup)
        while True:
            call: Call = pipe.recv()
            done = Done(0.0, error=bench, crash=True) if isinstance(bench, ErrorInfo) else bench.run(call)
            try:
                data = ForkingPickler.dumps(done)
            except Exception as error:  # noqa: BLE001 - a stage may return anything
                told = ErrorInfo("Unpicklable", f"stage {call.stage}: prepare's value cannot be sent: {error}", False)
                data = ForkingPickler.dumps(Done(done.elapsed_s, error=told, crash=True))
            pipe.send_bytes(data)
    except (EOFError, ConnectionError):
        gc.freeze()  # the end looks through all that was loaded for garbage, and the run waits for it


def _bench(setup: WorkerSetup) -> StageBench | ErrorInfo:
    try:
        return StageBench(setup)
    except Exception as error:  # noqa: BLE001 - told as the stage's crash, whatever it is
        return ErrorInfo.of(error)
