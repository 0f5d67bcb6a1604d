"""How soon the console answers a key: idle, while 5,000 log lines a second come in, and beside the naive way.

Each app runs on a pty of 160×50 whose output is read as an ideal terminal would. A key is pressed every 80–220 ms, at
random, and the clock stops when a marker with the key's number is drawn; the first two keys are left out. The load is a
process that appends 5,000 lines a second to a run's log, and a table of 200 rows that all change every second. `naive`
has the same load: one call into the loop and one `RichLog.write` a line, a `DataTable` cleared and filled again. The
apps are in `console_latency_apps.py`; runs are interleaved, figures are over all keys of a kind. A key without an
answer for 5 s is frozen: it counts with these 5 s.

`buffer_100k_mb` is what a hundred thousand lines of 120 characters take in the log's buffer (tracemalloc);
`first_frame_ratio` the first frame of `spotter`, which is the shell's and takes keys for the view that comes, ÷ that of
a hello-world Textual app, medians, in turn (`startup.py`); `first_table_s` the fleet's first table.

Run: `uv run python benchmarks/console_latency.py [--quick] [--json]`; on a busy machine under `chrt -r 10`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import random
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from console_latency_apps import RUN  # noqa: E402
from startup import HELLO, first_frame_seconds  # noqa: E402

LINES_PER_S = 5_000
PATIENCE_S = 5.0
START_S = 60.0
DOWN, UP = b"\x1b[B", b"\x1b[A"
TURN = 100
"""Keys down before so many up: the table has 200 rows."""
SEEN = re.compile(rb"<<(\d{5}):(\d{9})>>")

WRITER = """
import sys, time
path, per_s = sys.argv[1], int(sys.argv[2])
began, number = time.monotonic(), 0
with open(path, "a", buffering=1 << 20) as out:
    while True:
        due = int((time.monotonic() - began) * per_s)
        while number < due:
            clock = time.strftime("%Y-%m-%dT%H:%M:%S")
            level = "ERROR" if number % 997 == 0 else "INFO"
            what = f"item page-{number:08} detect {number % 17} regions, 0.031 s"
            print(f"{clock} {level} worker-{number % 4} {what}", file=out)
            number += 1
        out.flush()
        time.sleep(0.02)
"""


@dataclass
class Heard:
    """What one kind of app answered, over all its runs."""

    waits_ms: list[float] = field(default_factory=list)
    frozen: int = 0
    lines: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0

    def at(self, percent: int) -> float:
        """A percentile of the waits (ms)."""
        ordered = sorted(self.waits_ms)
        return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


class Terminal:
    """An app on a pty, and everything that it drew."""

    def __init__(self, command: list[str]) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execv(command[0], command)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)
        self._tail = b""
        self.keys, self.lines = -1, 0
        """The last that the marker told."""

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def read(self, until: Callable[[], bool], seconds: float) -> bool:
        """Take what is drawn until something holds; whether it did."""
        deadline = time.perf_counter() + seconds
        while not until():
            left = deadline - time.perf_counter()
            if left <= 0:
                return False
            if select.select([self._master], [], [], left)[0]:
                try:
                    drawn = os.read(self._master, 1 << 16)
                except OSError as error:
                    raise RuntimeError(f"the app ended: {self._tail[-2000:]!r}") from error
                self._tail = (self._tail + drawn)[-(1 << 17) :]
                for found in SEEN.finditer(self._tail, max(0, len(self._tail) - len(drawn) - 20)):
                    self.keys, self.lines = int(found[1]), int(found[2])
        return True

    def close(self) -> float:
        """End it; returns the seconds of CPU that it took."""
        os.kill(self.pid, signal.SIGKILL)
        *_, usage = os.wait4(self.pid, 0)
        os.close(self._master)
        return usage.ru_utime + usage.ru_stime


def measure(kind: str, folder: Path, seconds: float, heard: Heard) -> None:
    """One run of one kind of app."""
    log = folder / "out" / "runs" / RUN / "logs" / "job-1.log"
    log.write_bytes(b"")
    apps = str(Path(__file__).parent / "console_latency_apps.py")
    terminal = Terminal([sys.executable, apps, kind, str(folder)])
    writer = None
    try:
        if not terminal.read(lambda: terminal.keys >= 0, START_S):
            raise RuntimeError(f"{kind} drew nothing in {START_S} s")
        terminal.read(lambda: False, 1.0)
        if kind != "idle":
            writer = subprocess.Popen([sys.executable, "-c", WRITER, str(log), str(LINES_PER_S)])
            terminal.read(lambda: False, 1.5)
        began, waits = time.perf_counter(), []
        told: list[tuple[float, int]] = []
        while time.perf_counter() - began < seconds:
            terminal.read(lambda: False, random.uniform(0.08, 0.22))
            expected = terminal.keys + 1
            pressed = time.perf_counter()
            terminal.press(UP if len(waits) // TURN % 2 else DOWN)
            if terminal.read(lambda expected=expected: terminal.keys >= expected, PATIENCE_S):
                told.append((time.perf_counter(), terminal.lines))
                waits.append((told[-1][0] - pressed) * 1000)
            else:
                heard.frozen += 1
                waits.append(PATIENCE_S * 1000)
        heard.waits_ms += waits[2:] or waits
        if told:
            heard.lines += told[-1][1] - told[0][1]
            heard.seconds += told[-1][0] - told[0][0]
    finally:
        if writer is not None:
            writer.kill()
            writer.wait()
        heard.cpu_s += terminal.close()


def make_workspace(folder: Path) -> None:
    from console.operations.runbook import Phase, Runbook, RunEntry
    from console.workspace import create_workspace

    place, _ = create_workspace(folder)
    (place.run_folder(RUN) / "logs").mkdir(parents=True)
    Runbook(place).write(RunEntry(run_id=RUN, pipeline="docparse", plan_key="bench", phase=Phase.DONE, created_at=1.0))


def buffer_mb() -> float:
    """What 100,000 lines of 120 characters take in the buffer."""
    import tracemalloc

    from console.models.log_buffer import LogBuffer

    lines = 120_000  # more than fit, as always after a while
    tracemalloc.start()
    buffer = LogBuffer()
    for start in range(0, lines, 500):
        buffer.append(
            [f"2026-11-21T12:00:03 INFO item page-{n:08} ".ljust(120, "x") for n in range(start, start + 500)]
        )
        buffer.drain()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(buffer) == 100_000
    return used / 1e6


def first_frames(folder: Path, runs: int) -> tuple[float, float, float]:
    """Medians (s): the first frame of hello-world, Spotter's first frame, the fleet's first table."""
    hello = folder / "hello.py"
    hello.write_text(HELLO)
    spotter = [sys.executable, "-m", "console", "-C", str(folder)]
    took = [
        (
            first_frame_seconds([sys.executable, str(hello)], b"MARKER"),
            first_frame_seconds(spotter, b"FLEET"),
            first_frame_seconds(spotter, b"no instance is rented"),
        )
        for _ in range(runs + 1)
    ]
    theirs, ours, table = zip(*took[1:], strict=True)  # the first start compiles bytecode
    return statistics.median(theirs), statistics.median(ours), statistics.median(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    runs, seconds = (1, 6.0) if arguments.quick else (3, 10.0)
    kinds = {kind: Heard() for kind in ("idle", "load", "naive")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_workspace(folder)
        for _ in range(runs):
            for kind, heard in kinds.items():
                measure(kind, folder, seconds, heard)
        hello_s, ours_s, table_s = first_frames(folder, 3 if arguments.quick else 9)
    idle, load, naive = kinds["idle"], kinds["load"], kinds["naive"]
    figures = {
        "idle_p50_ms": round(idle.at(50), 1),
        "idle_p95_ms": round(idle.at(95), 1),
        "load_p50_ms": round(load.at(50), 1),
        "load_p95_ms": round(load.at(95), 1),
        "ratio_p50": round(load.at(50) / idle.at(50), 2),
        "frozen": idle.frozen + load.frozen,
        "load_lines_per_s": round(load.lines / load.seconds),
        "load_cpu_percent": round(100 * load.cpu_s / (load.seconds + 2.5 * runs)),
        "naive_p50_ms": round(naive.at(50), 1),
        "naive_p95_ms": round(naive.at(95), 1),
        "naive_frozen": naive.frozen,
        "naive_lines_per_s": round(naive.lines / naive.seconds),
        "buffer_100k_mb": round(buffer_mb(), 1),
        "hello_first_frame_s": round(hello_s, 3),
        "first_frame_s": round(ours_s, 3),
        "first_frame_ratio": round(ours_s / hello_s, 2),
        "first_table_s": round(table_s, 3),
        "keys": len(load.waits_ms),
    }
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"idle   p50 {figures['idle_p50_ms']} ms, p95 {figures['idle_p95_ms']} ms")
    print(
        f"load   p50 {figures['load_p50_ms']} ms ({figures['ratio_p50']}× idle), p95 {figures['load_p95_ms']} ms, "
        f"{figures['frozen']} frozen, {figures['load_lines_per_s']} of {LINES_PER_S} lines/s, "
        f"{figures['load_cpu_percent']} % CPU"
    )
    print(
        f"naive  p50 {figures['naive_p50_ms']} ms, p95 {figures['naive_p95_ms']} ms, {figures['naive_frozen']} frozen, "
        f"{figures['naive_lines_per_s']} of {LINES_PER_S} lines/s"
    )
    print(f"buffer of 100,000 lines  {figures['buffer_100k_mb']} MB")
    print(f"first frame  {figures['first_frame_s']} s, {figures['first_frame_ratio']}× hello-world")
    print(f"first table  {figures['first_table_s']} s")


if __name__ == "__main__":
    main()
