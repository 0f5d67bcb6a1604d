"""Batches of a device: what a failed one held is let go before its halves are tried; nobody waits for one in vain."""

from __future__ import annotations

import select
import threading
import weakref
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest

from pipeline.core.device import Device
from pipeline.core.errors import ErrorInfo, Interrupted, StageCrash
from pipeline.core.execution import MapExecution, Work
from pipeline.core.manifest import Item, Source
from pipeline.core.pipeline import RunParams
from pipeline.core.pool import Reply
from pipeline.core.stage import MapStage
from pipeline.core.stop import StopSignal
from pipeline.core.worker import Call, Done

SOURCE = Source(path="a.pdf", sha256="0" * 64, bytes=1, media_type="application/pdf")


class _Memory:
    """Stands for what a pass over a batch takes on a device."""


class _Short(MapStage):
    """Takes memory for every pass and has enough for one item, as long as nobody holds on to an earlier pass."""

    name = "short"
    version = "1"
    device = True

    def __init__(self) -> None:
        self.taken: list[weakref.ref[_Memory]] = []

    def process(self, batch: Sequence[Any]) -> Sequence[Any]:
        memory = _Memory()
        self.taken.append(weakref.ref(memory))
        held = sum(taken() is not None for taken in self.taken)
        if len(batch) > 1 or held > 1:
            raise RuntimeError(f"no memory for {len(batch)} items beside {held - 1} passes")
        return [(item, held) for item in batch]


def test_halves_of_a_batch_find_the_memory_free_that_the_whole_one_took() -> None:
    with closing(Device[int](_Short())) as device:
        device.start([1, 2, 3, 4, 5], ["a", "b", "c", "d", "e"])
        assert select.select([device], [], [], 30)[0]
        found = device.collect()
    assert [tag for tag, _ in found] == [1, 2, 3, 4, 5]
    assert [done.error and done.error.message for _, done in found] == [None] * 5
    assert [done.value for _, done in found] == [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]


class _Asking(MapStage):
    """Asks somebody who takes his time, until it is told to begin nothing new."""

    name = "asking"
    version = "1"
    device = True

    def __init__(self) -> None:
        self.begun, self.told = threading.Event(), threading.Event()
        self.waited_in_vain = False

    def interrupt(self) -> None:
        self.told.set()

    def process(self, batch: Sequence[Any]) -> Sequence[Any]:
        self.begun.set()
        self.waited_in_vain = not self.told.wait(30)
        raise Interrupted("told to stop")


class _Hands:
    """Stands for one worker, whose second call finds that the stage cannot work at all."""

    def __init__(self, stage: _Asking) -> None:
        self._stage = stage
        self._held: list[Work] = []
        self._calls = 0

    @property
    def idle(self) -> int:
        return 1 - len(self._held)

    @property
    def busy(self) -> int:
        return len(self._held)

    def submit(self, work: Work, _call: Call) -> None:
        self._held.append(work)

    def wait(self, _timeout_s: float | None, _others: Sequence[Any]) -> list[Reply[Work]]:
        if not self._held:
            return []
        self._calls += 1
        if self._calls == 1:
            return [Reply(self._held.pop(), Done(0.0, value="asked"))]
        assert self._stage.begun.wait(30)
        return [Reply(self._held.pop(), Done(0.0, error=ErrorInfo("StageCrash", "no disk", False), crash=True))]


def test_a_stage_that_breaks_does_not_let_its_device_go_on_with_the_batch_that_it_has() -> None:
    stage = _Asking()
    items = [Item(item_id=name, group="g", source=SOURCE) for name in "ab"]
    execution = MapExecution(
        stage, "key", items, lambda _item: {}, params=RunParams(), pool=_Hands(stage),  # type: ignore[arg-type]
        stop=StopSignal(), settle=lambda _results, _executions, _metrics: None, beat=lambda: None,
    )  # fmt: skip
    with pytest.raises(StageCrash, match="no disk"):
        execution.run()
    assert stage.told.is_set()
    assert not stage.waited_in_vain
