"""Commands that the console runs beside itself: a few at a time, each watched to its end, and its end told."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from console.language import _

if TYPE_CHECKING:
    from console.app import SpotterApp
    from console.models.command_log import Ran
    from console.operations.background import Beside

AT_ONCE = 4
"""Each is a process of its own with the cloud's library in it; more of them only wait for each other."""
LOOK_S = 0.5


@dataclass(slots=True)
class _Running:
    entry: Ran
    note: str
    beside: Beside


class Running:
    """What was begun from this console and has not ended. All methods are called on the screen's loop."""

    def __init__(self, app: SpotterApp) -> None:
        self._app = app
        self._waiting: deque[tuple[tuple[str, ...], str]] = deque()
        self._starting = 0
        self._under_way: list[_Running] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """What is under way or waits for its turn, in words."""
        return (*(each.note for each in self._under_way), *(note for _argv, note in self._waiting))

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

    def _start_more(self) -> None:
        while self._waiting and len(self._under_way) + self._starting < AT_ONCE:
            argv, note = self._waiting.popleft()
            self._starting += 1
            entry = self._app.commands.begin(("spotter", *argv), note, self._app.now())
            self._app.say(_("started: {what}").format(what=note))
            self._app.in_background(partial(self._start, argv), partial(self._begun, entry, note))

    def _start(self, argv: tuple[str, ...]) -> Beside | OSError:
        from console.operations.background import start_beside

        try:
            return start_beside(self._app.workspace, list(argv))
        except OSError as error:
            return error

    def _begun(self, entry: Ran, note: str, beside: Beside | OSError) -> None:
        self._starting -= 1
        if isinstance(beside, OSError):
            self._app.commands.end(entry, 1, self._app.now())
            self._app.ring(note, _("it could not be started: {reason}").format(reason=beside), "error")
        else:
            self._under_way.append(_Running(entry, note, beside))
