"""Random keys and resizes on worlds in which things go wrong: no exception, no dead screen, nothing done unasked.

A hundred keys by default; `SPOTTER_FUZZ_KEYS=20000 pytest tests/console/test_fuzz.py` presses that many, and
`SPOTTER_FUZZ_SEED` begins with another seed: several processes with seeds far apart share the work. A failure names
its seed and the last keys.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
import unicodedata
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from textual import events
from textual.keys import _character_to_key, _get_unicode_name_from_key
from textual.pilot import Pilot

from console.actions.registry import ACTIONS
from console.app import SpotterApp
from console.screens.catalog import CLASSES
from console.widgets.confirm import Confirm
from tests.console.piloting import shown, until
from tests.console.worlds import BUSY, DONE, LIVE, World, world

KEYS = int(os.environ.get("SPOTTER_FUZZ_KEYS", "100"))
SEED = int(os.environ.get("SPOTTER_FUZZ_SEED", "1"))
KEYS_A_WORLD = 500
FAULT_EVERY, RESIZE_EVERY, SETTLE_EVERY = 40, 25, 60
PAUSES_S = (0.0, 0.0, 0.001, 0.005, 0.03)
"""Between keys: a held key, a fast typist, somebody who looks."""
SIZES = ((80, 24), (120, 36), (200, 50), (60, 15), (40, 10), (20, 5), (1, 1))
NAMES = sorted({key for action in ACTIONS for key in action.keys.split(",") if key} - {"q", "ctrl+q"})
PLAIN = [*"abcdefghijklmnoprstuvwxyz", *"0123456789", *"XDRKUF", "enter", "escape", "tab", "shift+tab", "space", "up",
         "down", "left", "right", "pageup", "pagedown", "home", "end", "backspace", "delete",
         "ctrl+c", "y", "n"]  # fmt: skip
LINES = ("fleet", "runs state=failed", f"run {LIVE}", f"log {DONE}@12:00:03", "offers gpu=4090 <0.6", "index node",
         f"instance {BUSY}", f"review {DONE} score<0.6", "nonsense [/x]", "fleet.destroy", "ro",
         "metrics", "pulse")  # fmt: skip
LOOKS = (("index", "doctor"), ("keys", "--check"))
"""Fixes of the doctor's that change nothing: enter runs them unasked."""


class Watch:
    """What was agreed to by a yes, and what ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.agreed: list[tuple[str, ...]] = []
        self.unasked: list[tuple[str, ...]] = []
        self.programs: list[Any] = []
        dismiss = Confirm.dismiss

        def dismissed(screen: Confirm, result: bool | None = None) -> Any:
            if result:
                self.agreed.extend(screen.question.commands)
            return dismiss(screen, result)

        def run(_app: SpotterApp, argv: tuple[str, ...], _note: str) -> None:
            if argv in self.agreed:
                self.agreed.remove(argv)
            elif argv not in LOOKS:
                self.unasked.append(argv)

        def started(_process: Any, arguments: Any, *_rest: Any, **_more: Any) -> None:
            self.programs.append(arguments)
            raise FileNotFoundError(2, "no programs here")

        monkeypatch.setattr(Confirm, "dismiss", dismissed)
        monkeypatch.setattr(SpotterApp, "run_command", run)
        monkeypatch.setattr(subprocess.Popen, "__init__", started)
        monkeypatch.setattr(SpotterApp, "exit", lambda _app, *_rest, **_more: None)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def parts() -> Iterator[tuple[int, int]]:
    """Seed and number of keys of each world."""
    for at in range(-(-KEYS // KEYS_A_WORLD)):
        yield SEED + at, min(KEYS_A_WORLD, KEYS - at * KEYS_A_WORLD)


def a_key(random: Random, app: SpotterApp) -> str:
    """Keys that mean something here are pressed more often than others; a question is sometimes agreed to."""
    if isinstance(app.screen, Confirm) and random.random() < 0.5:
        return random.choice(("enter", "escape", "y", "tab", *app.screen.question.typed))
    return random.choice(NAMES if random.random() < 0.6 else PLAIN)


async def alive(pilot: Pilot[None], app: SpotterApp) -> None:
    """Whatever is open can be left by esc, and `:fleet` shows the fleet."""
    await pilot.resize_terminal(120, 36)
    for _ in range(12):
        if app.screen is app.screen_stack[0]:
            break
        await pilot.press("escape")
    await until(pilot, lambda: app.screen is app.screen_stack[0], "the way out of what is open")
    await pilot.press("escape", "escape", "alt+1")
    await until(pilot, lambda: app.view.NAME == "fleet" and bool(shown(app).strip()), "the fleet")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("seed", "count"), list(parts()))
async def test_nothing_that_is_pressed_breaks_it_or_does_what_nobody_agreed_to(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, seed: int, count: int
) -> None:
    random = Random(seed)
    pressed: deque[str] = deque(maxlen=40)
    with world(tmp_path / "w", seed, hostile=seed % 2 == 0) as place:
        app = SpotterApp(place.workspace, random.choice(sorted(CLASSES)))
        began = time.monotonic()
        try:
            async with app.run_test(size=(120, 36)) as pilot:
                for number in range(count):
                    await step(pilot, app, place, random, pressed, number)
                    if number % SETTLE_EVERY == SETTLE_EVERY - 1:
                        await alive(pilot, app)
                await alive(pilot, app)
        except BaseException:
            print(f"seed {seed}, the last keys: {' '.join(pressed)}")
            raise
        print(f"seed {seed}: {count} keys in {time.monotonic() - began:.1f} s")
    assert watch.unasked == []
    assert [each for each in place.market.changes if "/ssh/" not in each[1]] == []


async def step(
    pilot: Pilot[None], app: SpotterApp, place: World, random: Random, pressed: deque[str], number: int
) -> None:
    if number % FAULT_EVERY == FAULT_EVERY - 1:
        pressed.append(f"<{place.fault(random)}>")
    if number % RESIZE_EVERY == RESIZE_EVERY - 1:
        size = random.choice(SIZES)
        pressed.append(f"<{size[0]}×{size[1]}>")
        await pilot.resize_terminal(*size)
    if random.random() < 0.03 and app.screen is app.screen_stack[0]:
        line = random.choice(LINES)
        pressed.append(f"<:{line}>")
        for each in ("escape", "escape", "colon", *line, "enter"):
            send(app, each)  # pilot.press would wait after each letter until the whole process is at rest
            await asyncio.sleep(random.choice(PAUSES_S))
        return
    key = a_key(random, app)
    pressed.append(key)
    send(app, key)
    await asyncio.sleep(random.choice(PAUSES_S))


def send(app: SpotterApp, key: str) -> None:
    """Press a key as a terminal does, which waits for nobody."""
    if len(key) == 1:
        name, character = _character_to_key(key), key
    else:
        name = key
        try:
            character = unicodedata.lookup(_get_unicode_name_from_key(key))
        except KeyError:
            character = ""
    assert app._driver is not None
    event = events.Key(name, character or None)
    event.set_sender(app)
    app._driver.send_message(event)
