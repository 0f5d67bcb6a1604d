"""The order in which waiting jobs start: after those that they name, and one at a time on each GPU.

A waiting job has no process. Whoever changes something (a launch, the end of a job, the dead-man's look, a restarted
container) lets the queue advance under one lock. A GPU is a lock file: it is taken here and handed to the job's
supervisor, and the kernel frees it when the last process that holds it is gone.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from remote.agent.spec import ENDED_STATES, JobSpec, JobStatus

Waiting = tuple[Path, JobSpec]


class Queue:
    """Waiting jobs below one Spotter root."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "queue"

    @contextmanager
    def alone(self, *, wait: bool = True) -> Iterator[bool]:
        """Be the only one that starts or cancels waiting jobs; False (without `wait`) when somebody else is at it."""
        with _lock_file(self._folder / "lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def advance(
        self,
        waiting: list[Waiting],
        status_of: Callable[[str], JobStatus],
        start: Callable[[Path, tuple[int, ...]], None],
        refuse: Callable[[Path, str], None],
    ) -> None:
        """Start what can start, in launch order; to be called `alone`.

        An older job that may run keeps its GPUs free for itself, so that one that needs several is not starved.

        Args:
            waiting: queued jobs, oldest first.
            start: starts the job of a folder; gets the open locks of its GPUs to pass on.
            refuse: ends one whose turn will never come, with the reason.
        """
        reserved: set[int] = set()
        for folder, spec in waiting:
            problem, must_wait = _dependencies(spec, status_of)
            if problem:
                refuse(folder, problem)
            if problem or must_wait:
                continue
            wanted = set(spec.gpu_indexes)
            with ExitStack() as locks:
                held = [] if wanted & reserved else self._take(spec.gpu_indexes, locks)
                if len(held) == len(wanted):
                    start(folder, tuple(each.fileno() for each in held))
            reserved |= wanted

    def _take(self, gpus: tuple[int, ...], locks: ExitStack) -> list[IO[bytes]]:
        """The locks of these GPUs; fewer when one of them is in use."""
        held = []
        for gpu in gpus:
            lock = locks.enter_context(_lock_file(self._folder / f"gpu-{gpu}.lock"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                break
            held.append(lock)
        return held


def _dependencies(spec: JobSpec, status_of: Callable[[str], JobStatus]) -> tuple[str | None, bool]:
    """(why it will never start, whether it must wait)."""
    must_wait = False
    for job_id in spec.after:
        status = status_of(job_id)
        if status.service and not status.ended:
            must_wait = must_wait or status.state != "running" or status.ready is False
        elif status.state not in ENDED_STATES:
            must_wait = True
        elif status.state != "exited" or status.exit_code != 0:
            how = f"exited with {status.exit_code}" if status.exit_code is not None else status.state
            return f"job {job_id}, which it waited for, ended: {how}", False
    return None, must_wait


@contextmanager
def _lock_file(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        yield file


def wait_until(condition: Callable[[], object], limit_s: float) -> None:
    """Until it holds, or the limit is over."""
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
