"""A real terminal for tests: tmux types, tmux reads the screen."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 60.0
"""A machine that many tests share is slow, not wrong: only what never comes is to fail."""
FIRST_LOOK_S, LONGEST_LOOK_S = 0.05, 0.4
"""Each look is a process of its own: soon at first, seldom while something takes long."""
HALF_A_FRAME_S = 0.2
COMMON = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "PS1": "$ "}

WRONG_SIZE = ("COLUMNS", "LINES")
"""What the terminal of the tests said of its size would be taken for this one's."""


class Terminal:
    """One tmux server with one program in its first window.

    Args:
        folder: for its socket.
        size: columns and lines.
        without: variables that the program is not to have: without TMUX it knows nothing of tmux.
        environment: variables that it is to have.
    """

    def __init__(self, folder: Path, size: tuple[int, int], without: tuple[str, ...] = (), **environment: str) -> None:
        self.name = f"t{uuid.uuid4().hex[:10]}"
        self._socket = str(folder / f"{self.name}.sock")
        self._size = size
        self._without = without
        self.environment = COMMON | environment

    @property
    def colourless(self) -> bool:
        """Whether the program was asked to draw without colour."""
        return "NO_COLOR" in self.environment

    def start(self, *command: str, folder: Path | None = None) -> None:
        """Start a program, in `folder`; when it has ended, the screen says with what."""
        columns, lines = self._size
        less = " ".join(f"-u {name}" for name in (*WRONG_SIZE, *self._without))
        words = " ".join(f"{key}={shlex.quote(value)}" for key, value in self.environment.items())
        line = f"env {less} {words} {shlex.join(command)}; echo ended with $?; exec cat"
        where = () if folder is None else ("-c", str(folder))
        size = ("-x", str(columns), "-y", str(lines))
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", self.name, *where, *size, line)

    def tmux(self, *arguments: str) -> str:
        """What tmux answers to a command."""
        done = subprocess.run(["tmux", "-S", self._socket, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"tmux {shlex.join(arguments)}: {done.stderr}"
        return done.stdout

    def type(self, text: str, window: str = "0") -> None:
        """Type letters."""
        self.tmux("send-keys", "-t", f"{self.name}:{window}", "-l", text)

    def press(self, *keys: str, window: str = "0") -> None:
        """Press keys by tmux's names of them."""
        self.tmux("send-keys", "-t", f"{self.name}:{window}", *keys)

    def screen(self, window: str = "0") -> str:
        """The screen's text."""
        return self.tmux("capture-pane", "-t", f"{self.name}:{window}", "-p")

    def top(self) -> str:
        """The first line."""
        return self.screen().partition("\n")[0]

    def dressed(self) -> str:
        """The screen's text with the escapes of its colours and styles."""
        return self.tmux("capture-pane", "-t", f"{self.name}:0", "-e", "-p")

    def windows(self) -> list[str]:
        """The names of all windows."""
        return self.tmux("list-windows", "-t", self.name, "-F", "#{window_name}").splitlines()

    def shell_pid(self) -> int:
        """The process that the program is a child of."""
        return int(self.tmux("display-message", "-t", f"{self.name}:0", "-p", "#{pane_pid}"))

    def resize(self, columns: int, lines: int) -> None:
        """Make the window so large."""
        self.tmux("resize-window", "-t", self.name, "-x", str(columns), "-y", str(lines))

    def shows(self, text: str, timeout_s: float = PATIENCE_S, window: str = "0") -> str:
        """Wait until the text is on the screen; the screen then.

        Raises:
            AssertionError: it never came; says what was there instead.
        """
        self.until(lambda: text in self.screen(window), text, timeout_s)
        return self.screen(window)

    def gone(self, text: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the text is off the screen, and stays off: half a frame, as tmux may show it, lacks much.

        Raises:
            AssertionError: it is there still; says what else is.
        """

        def off() -> bool:
            if text in self.screen():
                return False
            time.sleep(HALF_A_FRAME_S)
            return text not in self.screen()

        self.until(off, f"no {text!r}", timeout_s)

    def begins(self, text: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the first line begins with the text: the view's name.

        Raises:
            AssertionError: it never did; says what was there instead.
        """
        self.until(lambda: self.top().strip().startswith(text), f"{text} on the top line", timeout_s)

    def until(self, condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait for a condition.

        Raises:
            AssertionError: it never held; says what was on the screen.
        """
        deadline, pause_s = time.monotonic() + timeout_s, FIRST_LOOK_S
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"never saw {what!r}; the screen:\n{self.screen()}")
            time.sleep(pause_s)
            pause_s = min(LONGEST_LOOK_S, 1.2 * pause_s)

    def stop(self) -> None:
        """End the server and, by hanging up, whatever runs in it."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)


def to_the_hits(terminal: Terminal, key: str = "Enter") -> None:
    """Go from the query to the first hit."""
    _handed_over(terminal, key)


def to_the_query(terminal: Terminal) -> None:
    """Go from the first hit to the query."""
    _handed_over(terminal, "/")


def _handed_over(terminal: Terminal, key: str) -> None:
    """Press a key that gives the first hit the keyboard, or takes it away: how the query is drawn tells when it is.

    Without colour the query tells nothing, but then the hit stands in reverse while it has the keyboard.
    """

    def look() -> str:
        _top, query, *lines = terminal.dressed().splitlines()
        if not terminal.colourless:
            return re.match(r"[\x1b\[\d;m ]*", query)[0]  # type: ignore[index]  # it matches whatever there is
        hit = next((line.partition(" 1 ")[0] for line in lines if " 1 " in line), "")
        return "in reverse" if re.search(r"[\[;]7[;m]", hit) else "plain"

    before = look()
    terminal.press(key)
    terminal.until(lambda: look() != before, "the keyboard handed over")
