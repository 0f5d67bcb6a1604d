"""Commands that the console runs beside itself: a few at a time, each watched to its end, and its end told."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from console.language import _

if TYPE_CHECKING:
    from console.app import SpotterApp
    from console.models.command_log import Ran
    from console.operations.background import Beside
    from console.workspace import Workspace

AT_ONCE = 4
"""Each is a process of its own that loads the cloud's library; more of them at once only wait for each other."""
BEGINS_S = 3.0
"""After so long it has begun, and counts no more: runs that go on for hours must not hold a destroy back."""


@dataclass(slots=True)
class _Starting:
    """A command on its way to a process of its own, which either the thread for it starts, or who leaves meanwhile."""

    argv: tuple[str, ...]
    note: str
    entry: Ran
    lock: threading.Lock = field(default_factory=threading.Lock)
    started: Beside | OSError | ValueError | None = None

    def once(self, workspace: Workspace) -> Beside | OSError | ValueError:
        """Start it, unless that was done."""
        from console.operations.background import start_beside

        with self.lock:
            if self.started is None:
                try:
                    self.started = start_beside(workspace, list(self.argv))
                except (OSError, ValueError) as error:  # a word of it that no process can be given is a ValueError
                    self.started = error
            return self.started


@dataclass(slots=True)
class _Running:
    entry: Ran
    note: str
    beside: Beside
    since: float = field(default_factory=time.monotonic)


class Running:
    """What was begun from this console and has not ended. All methods are called on the screen's loop."""

    def __init__(self, app: SpotterApp) -> None:
        self._app = app
        self._waiting: deque[tuple[tuple[str, ...], str]] = deque()
        self._starting: list[_Starting] = []
        self._under_way: list[_Running] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """What is under way or waits for its turn, in words."""
        begun = [each.note for each in self._under_way] + [each.note for each in self._starting]
        return (*begun, *(note for _argv, note in self._waiting))

    @property
    def waiting(self) -> tuple[tuple[str, ...], ...]:
        """Commands that wait for their turn, without `spotter`."""
        return tuple(argv for argv, _note in self._waiting)

    def run(self, argv: tuple[str, ...], note: str) -> None:
        """Start `spotter ARGV` as soon as there is room; it outlives the console."""
        self._waiting.append((argv, note))
        self._start_more()

    def look(self) -> None:
        """See what ended since; called by a timer."""
        for each in list(self._under_way):
            code = each.beside.exit_code
            if code is None:
                continue
            self._under_way.remove(each)
            self._app.commands.end(each.entry, code, self._app.now())
            self._app.in_background(each.beside.last_line, partial(self._tell, each, code))
        self._start_more()

    def _tell(self, each: _Running, code: int, line: str) -> None:
        self._app.ring(each.note, line or each.note, "information" if code == 0 else "error")
        self._app.view.refresh_news()

    def start_all(self) -> tuple[str, ...]:
        """Start what still waits, all at once: the console leaves, and what was said yes to is done all the same.

        Returns what could not be started, a sentence each: no screen is left to tell it.
        """
        while self._waiting:
            self._starting.append(self._next())
        begun = [(each.note, each.once(self._app.workspace)) for each in self._starting]
        return tuple(f"{note}: {_not_begun(each)}" for note, each in begun if isinstance(each, Exception))

    @property
    def _beginning(self) -> int:
        now = time.monotonic()
        return sum(now - each.since < BEGINS_S for each in self._under_way)

    def _start_more(self) -> None:
        while self._waiting and len(self._starting) + self._beginning < AT_ONCE:
            starting = self._next()
            self._starting.append(starting)
            self._app.say(_("started: {what}").format(what=starting.note))
            self._app.in_background(partial(starting.once, self._app.workspace), partial(self._begun, starting))

    def _next(self) -> _Starting:
        argv, note = self._waiting.popleft()
        return _Starting(argv, note, self._app.commands.begin(("spotter", *argv), note, self._app.now()))

    def _begun(self, starting: _Starting, beside: Beside | OSError | ValueError) -> None:
        self._starting.remove(starting)
        if isinstance(beside, Exception):
            self._app.commands.end(starting.entry, 1, self._app.now())
            self._app.ring(starting.note, _not_begun(beside), "error")
        else:
            self._under_way.append(_Running(starting.entry, starting.note, beside))


def _not_begun(reason: Exception) -> str:
    return _("it could not be started: {reason}").format(reason=reason)
