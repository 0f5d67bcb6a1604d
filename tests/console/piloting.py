"""Driving the console in tests: waiting for what must come to be, and reading what stands on the screen."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from textual.css.query import NoMatches
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.app import App
    from textual.pilot import Pilot

STEPS = 2_000
STEP_S = 0.01
LONGEST_STEP_S = 0.03
PATIENCE_S = 60.0
"""A machine that many tests share is slow, not wrong: only what never comes is to fail."""


async def until(pilot: Pilot[Any], condition: Callable[[], object], what: str, *, every: float | None = None) -> None:
    """Wait for a condition while the app goes on.

    A widget that is not there yet is a condition that does not hold yet. `every`: seconds between two looks; without
    it they are the further apart the longer it takes.

    Raises:
        AssertionError: it never came; says what, and what the screen showed instead.
    """
    deadline = time.monotonic() + PATIENCE_S
    for step in range(STEPS):
        try:
            if condition():
                return
        except NoMatches:
            pass
        if time.monotonic() > deadline:
            break
        await pilot.pause(every or min(LONGEST_STEP_S, STEP_S * (1 + step / 20)))
    raise AssertionError(f"never saw {what}; the screen:\n{shown(pilot.app)}")


def shown(app: App[Any]) -> str:
    """The words on the whole screen, line by line, as an operator reads them."""
    width, height = app.size
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, record=True, _environ={})
    console.print(app.screen._compositor.render_update(full=True, screen_stack=app._background_screens))
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def said(app: App[Any], selector: str) -> str:
    """The plain text of one `Static` of the screen on top: a card, a question's detail."""
    return str(app.screen.query_one(selector, Static).render())


def note(app: App[Any], selector: str = ".note") -> str:
    """What the notes on screen say: the line under a list, an input's verdict. Those of hidden views stay silent."""
    on_screen = [
        each
        for each in app.screen.query(selector).results(Static)
        if all(node.display for node in each.ancestors_with_self)
    ]
    return "\n".join(str(each.render()) for each in on_screen)
