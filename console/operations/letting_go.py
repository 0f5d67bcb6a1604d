"""Letting go of a run: its driver ends at once for another process, and leaves job, machine and book as they are.

Ctrl-C asks a driver to stop the run, which ends its job and destroys its machine. Who only wants to go on in its stead
asks by another signal; what does not answer is killed, once it is sure that it is the driver.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from console.errors import WrongInput

if TYPE_CHECKING:
    from console.operations.runbook import Holder, Runbook

LET_GO = signal.SIGUSR1
PATIENCE_S = 45.0
"""A driver that pulls waits up to 30 s for the file that is on its way."""
ASK_EVERY_S = 2.0
"""It does not hear where it must not be interrupted, so it is asked again."""
KILLED_S = 10.0
GONE_S = 10.0
"""For a process that let go to end: until then a thread of it may still be writing a file that it fetched."""
LOOK_S = 0.05


class LetGo(KeyboardInterrupt):
    """Another process goes on with this run."""


class NotTheDriver(WrongInput):
    """Somebody is at the run who is not, or not surely, its driver: nobody is interrupted."""


@contextmanager
def may_let_go() -> Iterator[None]:
    """Inside, the signal raises `LetGo` in the main thread; afterwards this process ignores it.

    In another thread nothing changes: only the main thread hears signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def let_go(_number: int, _frame: FrameType | None) -> None:
        raise LetGo("another process goes on with this run")

    signal.signal(LET_GO, let_go)
    try:
        yield
    finally:
        stay()


def stay() -> None:
    """From here on this process lets go no more: it gives back what it rented."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(LET_GO, signal.SIG_IGN)


def is_there(holder: Holder) -> bool:
    """Whether the process that took the lock still runs, and not a stranger under its number."""
    from remote.agent import process

    found = process.row(holder.pid)
    return found is not None and not found.dead and found.start == holder.start


def take_over(
    runbook: Runbook,
    run_id: str,
    say: Callable[[str], None],
    *,
    patience_s: float = PATIENCE_S,
) -> None:
    """See that no process drives the run any more: ask the one that does, and kill it if it does not answer.

    A run survives that anywhere, by its book on disk; what works on the box goes on until it is asked to end.

    Raises:
        NotTheDriver: another command is at the run, or the lock is not its own who wrote it; nobody was interrupted.
    """
    holder = runbook.held_by(run_id)
    if holder is None or holder.pid == os.getpid():
        return
    _check(holder, run_id)
    say(f"asking process {holder.pid}, which follows run {run_id}, to let go")
    if _until_free(runbook, run_id, holder, LET_GO, patience_s):
        _until_gone(holder)
        return
    if runbook.held_by(run_id) != holder:
        return  # another one has it now: whoever wants the run is told so
    _check(holder, run_id)
    say(f"process {holder.pid} does not answer and is killed")
    _until_free(runbook, run_id, holder, signal.SIGKILL, KILLED_S)


def _check(holder: Holder, run_id: str) -> None:
    if not is_there(holder):
        raise NotTheDriver(
            f"run {run_id} is held by a process that cannot be told (the lock names {holder.pid}, which is another "
            "one): end what works on it, then try again"
        )
    if not holder.drives:
        raise NotTheDriver(f"process {holder.pid} is at run {run_id}, as cancel or pull: wait until it is through")


def _until_free(runbook: Runbook, run_id: str, holder: Holder, number: signal.Signals, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    asked_at = -ASK_EVERY_S
    while (now := time.monotonic()) < deadline:
        if runbook.held_by(run_id) != holder:
            return True
        if now - asked_at >= ASK_EVERY_S and is_there(holder):
            asked_at = now
            with suppress(ProcessLookupError):
                os.kill(holder.pid, number)
        time.sleep(LOOK_S)
    return runbook.held_by(run_id) != holder


def _until_gone(holder: Holder) -> None:
    deadline = time.monotonic() + GONE_S
    while is_there(holder) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
