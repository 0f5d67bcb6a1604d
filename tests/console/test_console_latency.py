"""How soon a key is answered while a log pours in: a ratio to the same console at rest, without a terminal.

`benchmarks/console_latency.py` measures the milliseconds, through a pty. Here the same app runs headless; a key's clock
stops at the first frame after the cursor moved.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual import events

from benchmarks.console_latency_apps import RUN, ours
from console.app import SpotterApp
from console.operations.runbook import Phase, Runbook, RunEntry
from console.screens.log import LogView
from console.workspace import Workspace, create_workspace
from tests.console.piloting import until

LINES_PER_S, STEP_S = 5_000, 0.02
KEYS, ROUNDS, TRIES = 12, 3, 3
MOST = 4.0
HELD = 12
"""A loop that is held up is so for so many times what a key waits at rest: a key then waits half of that, or more."""
LONGEST_HELD_S = 4.0
PATIENCE_S = 5.0


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place, _ = create_workspace(tmp_path)
    (place.run_folder(RUN) / "logs").mkdir(parents=True)
    log_of(place).write_text("begun\n")
    Runbook(place).write(RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.DONE, created_at=1.0))
    return place


def log_of(place: Workspace) -> Path:
    return place.run_folder(RUN) / "logs" / "job-1.log"


class Load:
    """Appends 5,000 lines a second to the run's log, as long as it is on."""

    def __init__(self, path: Path) -> None:
        self.on = threading.Event()
        self.over = threading.Event()
        self._path = path
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        count = round(LINES_PER_S * STEP_S)
        chunk = "2026-11-21T12:00:03 INFO worker-1 item page-00000017 detect 12 regions, 0.031 s\n" * count
        with self._path.open("a") as out:
            while not self.over.wait(STEP_S):
                if self.on.is_set():
                    out.write(chunk)
                    out.flush()

    def end(self) -> None:
        self.over.set()
        self._thread.join()


@pytest.fixture
def load(workspace: Workspace) -> Iterator[Load]:
    made = Load(log_of(workspace))
    yield made
    made.end()


async def waits(app: SpotterApp, keys: int) -> list[float]:
    """Seconds from each of some keys to the frame that shows its cursor; PATIENCE_S for one that froze."""
    table: Any = app.query_one("#bench-table")
    drawn, found = asyncio.Event(), []
    expected = 0

    def frame() -> None:
        if table.moves >= expected:
            drawn.set()

    app.post_display_hook = frame  # type: ignore[method-assign]  # called after every frame
    for number in range(keys):
        pressed = time.perf_counter() + random.uniform(0.05, 0.12)  # by a hand, which no held-up loop holds up
        await asyncio.sleep(pressed - time.perf_counter())
        expected = table.moves + 1
        drawn.clear()
        app.post_message(events.Key("down" if number % 2 else "up", None))
        try:
            await asyncio.wait_for(drawn.wait(), PATIENCE_S)
        except TimeoutError:
            found.append(PATIENCE_S)
        else:
            found.append(time.perf_counter() - pressed)
    return found


async def ratio(
    app: SpotterApp, load: Load, rounds: int, rested: Callable[[float], None] = lambda _wait_s: None
) -> float:
    """Median wait under load ÷ median wait at rest, in rounds that take turns; infinite if a key froze.

    `rested` is told the median at rest.
    """
    view: Any = app.view
    rest: list[float] = []
    loaded: list[float] = []
    for _ in range(rounds):
        load.on.clear()
        view.load = False
        await asyncio.sleep(0.4)  # what was written is read and drawn
        rest += await waits(app, KEYS)
        rested(statistics.median(rest))
        load.on.set()
        view.load = True
        await asyncio.sleep(0.3)
        loaded += await waits(app, KEYS)
    load.on.clear()
    if max(loaded) >= PATIENCE_S:
        return math.inf
    return statistics.median(loaded) / statistics.median(rest)


async def ready(app: SpotterApp, pilot: Any) -> None:
    """The table has its cursor in the middle, and the log is there."""
    await until(pilot, lambda: len(app.query_one(LogView).log_lines.buffer) > 0, "the log")
    app.post_message(events.Key("down", None))
    await until(pilot, lambda: app.query_one("#bench-table").moves >= 1, "the cursor")  # type: ignore[attr-defined]


async def test_under_5000_lines_a_second_a_key_waits_at_most_four_times_as_long(
    workspace: Workspace, load: Load
) -> None:
    app = ours(workspace.root, load=False)
    async with app.run_test(size=(160, 50)) as pilot:
        await ready(app, pilot)
        seen = []
        for _ in range(TRIES):  # other processes share the machine
            before, began = app.query_one(LogView).log_lines.buffer.end, time.monotonic()
            seen.append(await ratio(app, load, ROUNDS))
            lines = app.query_one(LogView).log_lines.buffer.end - before
            loaded = lines > 0.2 * LINES_PER_S * (time.monotonic() - began)
            if loaded and seen[-1] <= MOST:
                return
        raise AssertionError(f"waits under load ÷ at rest, {TRIES} times: {seen}; {lines} lines the last time")


async def test_lines_that_hold_up_the_loop_would_be_seen(
    workspace: Workspace, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = ours(workspace.root, load=False)
    async with app.run_test(size=(160, 50)) as pilot:
        await ready(app, pilot)
        take, held_s = LogView._take, 0.0

        def rested(wait_s: float) -> None:
            """However slow this machine is now, it is held up for much longer."""
            nonlocal held_s
            held_s = min(HELD * wait_s, LONGEST_HELD_S)

        def slow(view: LogView) -> None:
            take(view)
            if load.on.is_set():
                time.sleep(held_s)

        monkeypatch.setattr(LogView, "_take", slow)
        monkeypatch.setattr("console.screens.log.UNFOCUSED_DRAINS", 1)  # one after another, no time between them
        assert await ratio(app, load, 1, rested) > MOST
