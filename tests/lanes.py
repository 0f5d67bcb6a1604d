"""How tests are dealt to the workers of `pytest -n`: half of them wait while the other half compute.

Tests of machines (`tests/remote`) wait for servers, connections and clocks; nearly all others compute. One after the
other, the first leave the processors idle and the second queue for them; side by side they take the time of the longer.
"""

from __future__ import annotations

from collections.abc import Iterable

from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

WAITING = "tests/remote/"


class LaneScheduling(LoadGroupScheduling):
    """Groups stay together, as with `--dist loadgroup`; every other worker takes what waits before what computes."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        waits = self.nodes.index(node) % 2 == 0
        for scope, tests in self.workqueue.items():
            if is_waiting(tests) == waits:
                self.workqueue.move_to_end(scope, last=False)
                break
        super()._assign_work_unit(node)


def is_waiting(tests: Iterable[str]) -> bool:
    """Whether tests that stay together spend their time waiting."""
    return next(iter(tests)).startswith(WAITING)
