"""Asking in threads: it never holds the screen's loop back, and what fails on either side is told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeVar

from console.dressed import DressedApp
from console.language import _

Severity = Literal["information", "warning", "error"]
Answer = TypeVar("Answer")


def reason_of(error: Exception) -> str:
    """Why something failed, in words without Python's own: a file that cannot be written is named first, if known."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


class AskingApp(DressedApp):
    """An app whose questions are asked beside it."""

    def __init__(self) -> None:
        super().__init__()
        self._faults: set[str] = set()
        """Of drawing, each told once: a view that is drawn every second would tell it every second."""

    def tell(self, message: str, severity: Severity = "information", title: str = "") -> None:
        """A note in the corner, with its weight."""
        raise NotImplementedError

    def in_background(self, ask: Callable[[], Answer], then: Callable[[Answer], None]) -> None:
        """Call `ask` in a thread that never holds the console back when it leaves, then `then` on the screen's loop.

        What either raises becomes a visible message.
        """

        def run() -> None:
            try:
                answer = ask()
            except Exception as error:  # noqa: BLE001 - a failed worker becomes a visible message
                self._on_the_loop(partial(self.tell, reason_of(error), "error"))
                return
            self._on_the_loop(lambda: self._hear(then, answer))

        threading.Thread(target=run, daemon=True).start()

    def _hear(self, then: Callable[[Answer], None], answer: Answer) -> None:
        """Draw an answer. A fault in it goes on to the thread's end, where tests see it; the operator sees it here."""
        try:
            then(answer)
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            if fault not in self._faults:
                self._faults.add(fault)
                self.tell(_("A fault of Spotter's own: {fault}").format(fault=fault), "error")
            raise

    def _on_the_loop(self, call: Callable[[], None]) -> None:
        if self.is_running:
            with contextlib.suppress(RuntimeError):  # the loop closed between the look and the call
                self.call_from_thread(call)
