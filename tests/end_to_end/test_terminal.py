"""The console in a real terminal: tmux types, tmux reads the screen."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.workspace import create_workspace
from tests.end_to_end.driving import Operator, draw_pdf, wait_for

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux: apt-get install tmux"),
    pytest.mark.xdist_group("terminal"),  # they look at one workspace
]


class Terminal:
    """One tmux session with one program in it."""

    def __init__(self, folder: Path, size: tuple[int, int], **environment: str) -> None:
        self.name = f"t{uuid.uuid4().hex[:10]}"
        self._socket = str(folder / f"{self.name}.sock")
        self._size = size
        self.environment = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"} | environment

    @property
    def colourless(self) -> bool:
        return "NO_COLOR" in self.environment

    def start(self, *command: str) -> None:
        columns, lines = self._size
        words = " ".join(f"{key}={shlex.quote(value)}" for key, value in self.environment.items())
        line = f"env {words} {shlex.join(command)}; echo ended with $?; exec cat"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", self.name, "-x", str(columns), "-y", str(lines), line)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", self._socket, *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-t", self.name, "-l", text)

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", "-t", self.name, *keys)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-t", self.name, "-p")

    def resize(self, columns: int, lines: int) -> None:
        self._tmux("resize-window", "-t", self.name, "-x", str(columns), "-y", str(lines))

    def shows(self, text: str, timeout_s: float = 30) -> str:
        try:
            wait_for(lambda: text in self.screen(), text, timeout_s)
        except AssertionError:
            raise AssertionError(f"never saw {text!r}; the screen:\n{self.screen()}") from None
        return self.screen()

    def stop(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A workspace with one finished run in its index."""
    operator = Operator(tmp_path_factory.mktemp("терминал") / "w")
    create_workspace(operator.root)
    draw_pdf(operator.root / "data" / "stack.pdf", 3, "Слои платформы")
    operator.run("run")
    yield operator
    operator.stop_cloud()


@pytest.fixture
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    size, environment = getattr(request, "param", ((80, 24), {}))
    session = Terminal(tmp_path, size, **environment)
    yield session
    session.stop()


SIZES = pytest.mark.parametrize(
    "terminal",
    [((80, 24), {}), ((200, 50), {}), ((80, 24), {"NO_COLOR": "1"})],
    indirect=True,
    ids=["80x24", "200x50", "no colour"],
)


@SIZES
def test_a_query_is_typed_and_its_hit_read_and_its_page_seen(terminal: Terminal, parsed: Operator) -> None:
    terminal.start(*parsed.command())
    terminal.shows("SPOTTER ▸ fleet")
    terminal.press("6")
    terminal.shows("SPOTTER ▸ search")
    terminal.type("слой платформа")
    screen = terminal.shows("stack.pdf p")
    assert "Слои платформы" in screen
    terminal.press("Enter")
    terminal.shows("o Open")
    terminal.press("Enter")
    terminal.shows("Pictures need colour" if terminal.colourless else "│ ▄▄▄▄")
    terminal.press("Escape")
    terminal.shows("lexical vectors")
    terminal.press("Escape")
    terminal.shows("SPOTTER ▸ fleet")
    terminal.press("q")
    terminal.shows("ended with 0")


def test_help_lists_the_keys_of_the_view_it_was_asked_in(terminal: Terminal, parsed: Operator) -> None:
    terminal.start(*parsed.command())
    terminal.shows("SPOTTER ▸ fleet")
    terminal.press("?")
    terminal.shows("Destroy the marked instance")
    terminal.press("Escape")
    wait_for(lambda: "Destroy the marked instance" not in terminal.screen(), "the help to close")
    terminal.press("4")
    terminal.shows("succeeded")
    terminal.press("Enter")
    screen = terminal.shows("✓ records")
    assert "render" in screen
    terminal.press("q")
    terminal.shows("ended with 0")


def test_a_storm_of_resizes_and_wrong_keys_leaves_the_console_standing(terminal: Terminal, parsed: Operator) -> None:
    terminal.start(*parsed.command())
    terminal.shows("SPOTTER ▸ fleet")
    for step, size in enumerate([(20, 5), (200, 50), (40, 10), (81, 24), (1, 1), (120, 36)] * 2):
        terminal.resize(*size)
        terminal.press("D", "R", "K", "x", "Escape", "1246"[step % 4], "/", "Escape")
    terminal.resize(100, 30)
    terminal.press("Escape", "Escape", "Escape")
    wait_for(lambda: "SPOTTER ▸" in terminal.screen(), "the top line", 30)
    assert "Traceback" not in terminal.screen()
    terminal.press("C-q")
    terminal.shows("ended with 0")


def test_a_closed_terminal_ends_the_console(tmp_path: Path, parsed: Operator) -> None:
    session = Terminal(tmp_path, (80, 24))
    session.start(*parsed.command())
    session.shows("SPOTTER ▸ fleet")
    before = [process.pid for process in parsed.processes() if "console" in process.cmdline()]
    assert before
    session.stop()
    wait_for(lambda: not any(process.pid in before for process in parsed.processes()), "the console to end", 20)


def test_a_dumb_terminal_gets_a_sentence(terminal: Terminal, parsed: Operator) -> None:
    terminal.environment["TERM"] = "dumb"
    terminal.start(*parsed.command())
    terminal.shows("every screen is a command too")
    terminal.shows("ended with 2")
