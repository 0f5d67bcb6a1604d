"""The device side of a stage: one thread runs `process`, a batch at a time, and finds the item that breaks it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from pipeline.core.errors import ErrorInfo, PipelineError, StageCrash, is_stage_crash
from pipeline.core.stage import MapStage
from pipeline.core.worker import Done

Tag = TypeVar("Tag")


class Device(Generic[Tag]):
    """Runs a stage's `process` beside the loop that feeds it; `fileno` becomes readable when a batch is through."""

    def __init__(self, stage: MapStage) -> None:
        self._stage = stage
        self._read, self._write = os.pipe()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"device-{stage.name}")
        self._tags: Sequence[Tag] = ()
        self._batch: Future[list[Done]] | None = None
        self._set_up: Future[None] = self._thread.submit(stage.setup)

    @property
    def busy(self) -> bool:
        """Whether a batch is being processed."""
        return self._batch is not None

    def fileno(self) -> int:
        """Readable when `collect` has something to return."""
        return self._read

    def start(self, tags: Sequence[Tag], prepared: Sequence[Any]) -> None:
        """Begin a batch; one at a time."""
        assert self._batch is None, "the device takes one batch at a time"
        self._tags = tags
        self._batch = self._thread.submit(self._process, list(prepared))
        self._batch.add_done_callback(lambda _: os.write(self._write, b"!"))

    def collect(self) -> list[tuple[Tag, Done]]:
        """The finished batch, if there is one: a value or an error for every tag.

        Raises:
            StageCrash: the stage could not be set up.
        """
        if self._batch is None or not self._batch.done():
            return []
        os.read(self._read, 1)
        results = self._batch.result()
        self._batch = None
        return list(zip(self._tags, results, strict=True))

    def close(self) -> None:
        """Tear the stage down where it was set up."""
        self._thread.submit(self._stage.teardown)
        self._thread.shutdown(wait=True)
        os.close(self._read)
        os.close(self._write)

    def _process(self, batch: list[Any]) -> list[Done]:
        try:
            self._set_up.result()
        except PipelineError as error:
            raise StageCrash(f"stage {self._stage.name} cannot start: {error}") from error
        except Exception as error:
            raise StageCrash(f"stage {self._stage.name} cannot start: {type(error).__name__}: {error}") from error
        return self._halving(batch)

    def _halving(self, batch: list[Any]) -> list[Done]:
        """Process a batch; one that fails is tried in halves: that finds a bad item and survives full memory."""
        begun = time.perf_counter()
        try:
            values = self._stage.process(batch)
            assert len(values) == len(batch), (
                f"{self._stage.name}.process returned {len(values)} of {len(batch)} results"
            )
        except Exception as error:  # noqa: BLE001 - whatever an item does is that item's result
            if len(batch) == 1 or is_stage_crash(error):
                elapsed_s = time.perf_counter() - begun
                return [Done(elapsed_s, error=ErrorInfo.of(error), crash=is_stage_crash(error)) for _ in batch]
        else:
            share_s = (time.perf_counter() - begun) / len(batch)
            return [Done(share_s, value=value) for value in values]
        # Outside of the handler, where the error no longer holds on to what the whole batch took of the memory.
        middle = len(batch) // 2
        return self._halving(batch[:middle]) + self._halving(batch[middle:])
