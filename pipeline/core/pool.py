"""Worker processes, each holding at most one call, so that a death is always one item's and sinks nobody else."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from pipeline.core.errors import ErrorInfo
from pipeline.core.worker import Call, Done, WorkerSetup, serve

Tag = TypeVar("Tag")

_SPAWN = multiprocessing.get_context("spawn")
"""MuPDF and CUDA do not survive a fork."""


@dataclass(frozen=True, slots=True)
class Reply(Generic[Tag]):
    """A call that came to its end."""

    tag: Tag
    done: Done
    died: bool = False
    """The worker process ended while it held the call."""


class _Worker(Generic[Tag]):
    def __init__(self, setup: WorkerSetup) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=serve, args=(theirs, setup, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()
        self.tag: Tag | None = None
        self.busy = False


class WorkerPool(Generic[Tag]):
    """Up to `size` spawned workers, started when there is work for them.

    `submit` only while `idle` is positive; `wait` collects what has ended. Not thread-safe: one loop owns the pool.
    """

    def __init__(self, setup: WorkerSetup, size: int) -> None:
        self._setup = setup
        self._size = size
        self._workers: list[_Worker[Tag]] = []

    @property
    def idle(self) -> int:
        """How many calls can be submitted now."""
        return self._size - self.busy

    @property
    def busy(self) -> int:
        """How many calls are in flight."""
        return sum(worker.busy for worker in self._workers)

    def submit(self, tag: Tag, call: Call) -> None:
        """Give a call to an idle worker; `tag` comes back with its reply."""
        worker = next((worker for worker in self._workers if not worker.busy), None)
        if worker is None:
            assert len(self._workers) < self._size, "no worker is idle"
            worker = _Worker(self._setup)
            self._workers.append(worker)
        worker.busy, worker.tag = True, tag
        try:
            worker.pipe.send(call)
        except (BrokenPipeError, ConnectionResetError):
            return  # it died while idle; `wait` finds it dead and says so

    def wait(self, timeout_s: float | None, others: Sequence[Any] = ()) -> list[Reply[Tag]]:
        """Block until a call ends, something of `others` (objects with `fileno`) can be read, or the time is over."""
        by_handle: dict[Any, _Worker[Tag]] = {}
        for worker in self._workers:
            if worker.busy:
                by_handle[worker.pipe] = worker
                by_handle[worker.process.sentinel] = worker
        ready = wait([*by_handle, *others], timeout_s)
        ended: dict[int, _Worker[Tag]] = {id(by_handle[h]): by_handle[h] for h in ready if h in by_handle}
        return [self._collect(worker) for worker in ended.values()]

    def _collect(self, worker: _Worker[Tag]) -> Reply[Tag]:
        tag = worker.tag
        assert tag is not None
        try:
            done = _receive(worker.pipe)
        except (EOFError, OSError):
            worker.process.join()
            self._workers.remove(worker)
            worker.pipe.close()
            return Reply(tag, Done(0.0, error=_death(worker.process.exitcode)), died=True)
        worker.busy, worker.tag = False, None
        return Reply(tag, done)

    def close(self, *, kill: bool = False) -> None:
        """End the workers: idle ones leave when their pipe closes; `kill` ends busy ones too."""
        for worker in self._workers:
            if kill:
                worker.process.kill()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()


def _receive(pipe: Connection) -> Done:
    done = pipe.recv()
    assert isinstance(done, Done)
    return done


def _death(exit_code: int | None) -> ErrorInfo:
    if exit_code is not None and exit_code < 0:
        how = f"was killed by {signal.Signals(-exit_code).name}"
        if exit_code == -signal.SIGKILL:
            how += " (out of memory, most likely)"
    else:
        how = f"ended by itself with exit code {exit_code}"
    return ErrorInfo("WorkerDied", f"the worker process {how} while it held this item", True)
