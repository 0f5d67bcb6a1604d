"""A device's batches: what a failed one held is let go before its halves are tried."""

from __future__ import annotations

import select
import weakref
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from pipeline.core.device import Device
from pipeline.core.stage import MapStage


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
