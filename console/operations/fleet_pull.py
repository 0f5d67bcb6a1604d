"""Pulling the parts of a box: beside the contact with it while a run is driven, or once, when the operator asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from console.operations.fleet_work import FleetWork
from console.operations.watch import FIRST_PULL_S, PULL_EVERY_S

if TYPE_CHECKING:
    from remote.jobs import Agent
    from remote.transport import Transport

Pull = Callable[["Agent", "Transport"], list[str]]
"""Fetches and merges what a box made so far; what is listed but did not arrive."""


class Puller:
    """Pulls beside the contact, over a connection of its own: events never wait for a file."""

    def __init__(self, work: FleetWork, box: str, pull: Pull, say: Callable[[str], None]) -> None:
        self._work = work
        self._box = box
        self._pull = pull
        self._say = say
        self._stop = threading.Event()
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name=f"puller-{box}", daemon=True)

    def __enter__(self) -> Puller:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        pause_s = FIRST_PULL_S
        while not self._stop.wait(pause_s):
            pause_s = PULL_EVERY_S
            try:
                self._pull_until_stopped()
            except Exception as error:  # noqa: BLE001 - told once; the next pull tries again, the final one decides
                self._tell(str(error) or type(error).__name__)

    def _pull_until_stopped(self) -> None:
        from remote.jobs import Agent

        work, box = self._work, self._work.book.box(self._box)
        assert box.instance_id is not None
        root = work.session.settings.cloud.remote_root
        with work.session.reach(box.instance_id) as transport, Agent.start(transport, root) as agent:
            while transport.alive:
                done = work.shards.done_on(box.name)
                if not self._pull(agent, transport):
                    work.shards.settle(done)
                if self._stop.wait(PULL_EVERY_S):
                    return

    def _tell(self, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            self._say(f"not everything could be fetched just now: {problem}")
