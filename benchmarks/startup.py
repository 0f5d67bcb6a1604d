"""How fast Spotter starts: `spotter --help`, and the app's first frame beside a hello-world Textual app.

The first frame is the moment the terminal receives the first byte of a frame that holds text, on a pty of 120×36,
each program started in turn, medians over the runs. Run: `uv run python benchmarks/startup.py [--quick] [--json]`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("MARKER")
Hello().run()
"""


def help_seconds() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "console", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def first_frame_seconds(command: list[str], marker: bytes, timeout_s: float = 30) -> float:
    """Start `command` on a pty and wait until `marker` is drawn."""
    started = time.perf_counter()
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execv(command[0], command)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    seen = b""
    try:
        while marker not in seen:
            ready, _, _ = select.select([master], [], [], 0.5)
            if ready:
                seen += os.read(master, 65536)
            if time.perf_counter() - started > timeout_s:
                raise TimeoutError(f"{command} drew no {marker!r} in {timeout_s} s: {seen[-500:]!r}")
        return time.perf_counter() - started
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    runs = 3 if arguments.quick else 9
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "console", "init", folder], check=True, stdout=subprocess.DEVNULL)
        hello = Path(folder) / "hello.py"
        hello.write_text(HELLO)
        helps, hellos, firsts = [], [], []
        help_seconds()  # the first start compiles bytecode
        for _ in range(runs):
            helps.append(help_seconds())
            hellos.append(first_frame_seconds([sys.executable, str(hello)], b"MARKER"))
            firsts.append(first_frame_seconds([sys.executable, "-m", "console", "-C", folder], b"FLEET"))
    figures = {
        "help_s": round(statistics.median(helps), 3),
        "hello_first_frame_s": round(statistics.median(hellos), 3),
        "first_frame_s": round(statistics.median(firsts), 3),
        "first_frame_ratio": round(
            statistics.median(ours / theirs for ours, theirs in zip(firsts, hellos, strict=True)), 2
        ),
        "runs": runs,
    }
    if arguments.json:
        print(json.dumps(figures))
    else:
        print(f"spotter --help            {figures['help_s']} s")
        print(f"hello-world first frame   {figures['hello_first_frame_s']} s")
        print(f"spotter first frame       {figures['first_frame_s']} s  ({figures['first_frame_ratio']}× hello-world)")


if __name__ == "__main__":
    main()
