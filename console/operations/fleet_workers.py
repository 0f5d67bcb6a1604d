"""The worker processes of one box, one a GPU: started exactly once each time, started again when they die."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from console.operations.fleet_book import Box
from console.operations.fleet_work import FleetWork
from console.operations.job_notes import launch_noted, note_end
from console.operations.prepare import GRACE_S
from console.operations.watch import Mirror

if TYPE_CHECKING:
    from pipeline.core.shards import Listing
    from remote.jobs import Agent, JobStatus

MAX_DEATHS = 2
"""How often a worker that died without a word is started again on the same box."""
SWEEP_S = 15.0
"""From the end of a cancelled job's grace to the end of its last process."""


class BoxFailed(Exception):
    """A box cannot do the work; the text is what its worker said last."""


class Workers:
    """The processes that work through a box's queue."""

    def __init__(self, work: FleetWork, name: str, say: Callable[[str], None]) -> None:
        self._work = work
        self._name = name
        self._say = say
        self._deaths: dict[int, int] = {}
        self._judged: set[str] = set()
        self._ended: set[str] = set()

    @property
    def _box(self) -> Box:
        return self._work.book.box(self._name)

    def statuses(self, agent: Agent) -> dict[int, JobStatus | None]:
        """How each worker's last process stands; None for one that was never started."""
        return {worker: self.status(agent, worker) for worker in range(self._box.workers)}

    def mirrors(self, agent: Agent, worker: int) -> list[Mirror]:
        """This machine's copies of a worker's events and log."""
        part = self._work.part_id(self._name, worker)
        local = self._work.book.part(self._name, worker)
        events = Mirror(agent, f"{agent.root}/runs/{part}/events.jsonl", local / "events.jsonl")
        log = Mirror(agent, f"{agent.root}/runs/{part}/job.log", self._work.log_of(self._name, worker))
        return [events, log]

    def status(self, agent: Agent, worker: int) -> JobStatus | None:
        """How a worker's last process stands; a launch that a killed console only wrote down is made now."""
        from remote.jobs import NoSuchJob

        started = self._box.launches.get(str(worker), 0)
        if not started:
            return None
        try:
            return self._noted(agent.status(self._work.job_id(self._name, worker, started)))
        except NoSuchJob:  # it was named, but the launch never arrived
            return self._launch(agent, worker, started)

    def _noted(self, status: JobStatus) -> JobStatus:
        """A status as it was heard; the ledger hears of an end once."""
        if status.ended and status.id not in self._ended:
            assert self._box.instance_id is not None
            note_end(self._work.session, self._box.instance_id, status)
            self._ended.add(status.id)
        return status

    def keep_alive(self, agent: Agent, statuses: dict[int, JobStatus | None], listing: Listing) -> bool:
        """Start the workers that have something to do and do not live; whether any lives."""
        alive = False
        left = len(listing.pending)
        for worker, status in statuses.items():
            died = status is not None and status.ended and self._judge(agent, worker, status)
            if status is not None and not status.ended:
                alive = True
            elif died or left > 0:
                started = self._box.launches.get(str(worker), 0) + 1
                self._work.book.update(self._name, launches={**self._box.launches, str(worker): started})
                self._launch(agent, worker, started)
                alive = True
                left -= 1
        return alive

    def _judge(self, agent: Agent, worker: int, status: JobStatus) -> bool:
        """Whether a worker that ended must be started again for what it had begun.

        Raises:
            BoxFailed: it says that it cannot work, or died too often.
        """
        if status.id in self._judged or (status.state == "exited" and status.exit_code == 0):
            return False
        self._judged.add(status.id)
        if status.state == "exited" and status.exit_code in (1, 2):
            raise BoxFailed(self._last_words(agent, worker) or f"its worker ended with exit code {status.exit_code}")
        if status.state == "lost":  # its process may live on and would keep the next one out
            agent.cancel(status.id)
        self._deaths[worker] = self._deaths.get(worker, 0) + 1
        if self._deaths[worker] > MAX_DEATHS:
            raise BoxFailed(f"its worker died {self._deaths[worker]} times without a word")
        self._say(f"the worker on instance {self._box.instance_id} died; starting it again, finished items are kept")
        return True

    def _last_words(self, agent: Agent, worker: int) -> str | None:
        for mirror in self.mirrors(agent, worker):
            while mirror.advance():
                pass
        log = self._work.log_of(self._name, worker)
        lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines or [""])[-1].removeprefix("error: ") or None

    def _launch(self, agent: Agent, worker: int, started: int) -> JobStatus:
        """Start a worker exactly once; its number was on disk before."""
        from remote.bootstrap.caches import job_environment
        from remote.jobs import JobSpec

        work, box = self._work, self._box
        assert box.interpreter is not None
        assert box.release is not None
        assert box.instance_id is not None
        run_dir = f"{agent.root}/runs/{work.part_id(box.name, worker)}"
        argv = [box.interpreter, "-m", "pipeline", "run", work.entry.pipeline, "--run-dir", run_dir, "--resume"]
        argv += ["--blobs", f"{agent.root}/blobs", "--queue", work.queue_path(agent.root)]
        argv += ["--worker", f"{box.name}.{worker}", "--share", str(box.workers)]
        environment = {**job_environment(agent), "PYTHONPATH": box.release, "PYTHONUNBUFFERED": "1"}
        spec = JobSpec(
            id=work.job_id(box.name, worker, started),
            argv=tuple(argv),
            cwd=box.release,
            env=environment,
            gpu=worker if box.workers > 1 else None,
            log=f"{run_dir}/job.log",
            cancel_file=f"{run_dir}/cancel",
            grace_s=GRACE_S,
        )
        status = launch_noted(work.session, agent, box.instance_id, work.run_id, spec)
        gpu = f", GPU {worker}" if box.workers > 1 else ""
        self._say(f"working on instance {box.instance_id}{gpu}")
        return status

    def cancel(self, agent: Agent) -> None:
        """Stop all of them, and wait until they have."""
        living = [status for worker in range(self._box.workers) if (status := self._status_or_none(agent, worker))]
        for status in living:
            if not status.ended or status.state == "lost":
                agent.cancel(status.id)
        for status in living:
            self._noted(agent.wait(status.id, timeout_s=GRACE_S + SWEEP_S))

    def _status_or_none(self, agent: Agent, worker: int) -> JobStatus | None:
        from remote.jobs import NoSuchJob

        started = self._box.launches.get(str(worker), 0)
        try:
            return agent.status(self._work.job_id(self._name, worker, started)) if started else None
        except NoSuchJob:
            return None
