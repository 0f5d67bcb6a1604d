"""Signals: how a command is asked to stop, and where it must not be interrupted."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from console.operations.letting_go import LET_GO

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_ASK_AGAIN_S = 0.02


def stop_on_signals(*, also_hangup: bool = False) -> None:
    """Make SIGINT and SIGTERM both raise KeyboardInterrupt, also when a parent process had them ignored.

    `also_hangup`: the closed terminal too; for work that nothing goes on with once its console is gone.

    Python runs a handler between any two instructions of the main thread, so also inside a finalizer, whose exceptions
    it prints and forgets: the operator's Ctrl-C would be gone. Such a one is raised again a moment later.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def ask_again(_number: int, _frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.setitimer(signal.ITIMER_REAL, _ASK_AGAIN_S)
        else:
            raise KeyboardInterrupt

    report = sys.unraisablehook

    def unraisable(event: sys.UnraisableHookArgs) -> None:
        if event.exc_type is KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, _ASK_AGAIN_S)
        else:
            report(event)

    sys.unraisablehook = unraisable
    signal.signal(signal.SIGALRM, ask_again)
    for number in (*_STOPPING, signal.SIGHUP) if also_hangup else _STOPPING:
        signal.signal(number, stop)


@contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Ignore them and the closed terminal inside; outside the main thread, which alone hears them, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (*_STOPPING, signal.SIGHUP, LET_GO)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
