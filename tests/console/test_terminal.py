"""The console in a real terminal: first steps, a shell in its place, any size, an end without warning, no colour."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psutil
import pytest

from console.workspace import create_workspace
from tests.end_to_end.driving import Operator, wait_for
from tests.terminal import Terminal, to_the_hits

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux: apt-get install tmux"),
    pytest.mark.xdist_group("terminal"),  # they look at one workspace
]
NEEDS_SSH = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH's client")
DEMO_S = 240.0
"""The main job on five documents, on a machine that does other things besides."""
QUERIES = Path(__file__).parents[2] / "examples" / "queries.txt"
SIZE = (100, 30)
HIT = re.compile(r" 1 \S (\S.*?) p(\d+) ")
"""The first hit: its document and its page."""


@pytest.fixture(scope="module")
def rented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A workspace with one emulated machine."""
    operator = Operator(tmp_path_factory.mktemp("окно") / "w")
    create_workspace(operator.root)
    try:
        operator.run("rent", "--yes")
        yield operator
    finally:
        operator.stop_cloud()


@pytest.fixture(scope="module")
def machine(rented: Operator) -> str:
    """The machine's number."""
    return str(rented.instances()[0]["id"])


@contextmanager
def terminal(
    folder: Path, size: tuple[int, int] = SIZE, without: tuple[str, ...] = (), **environment: str
) -> Iterator[Terminal]:
    made = Terminal(folder, size, without, **environment)
    try:
        yield made
    finally:
        made.stop()


def at_the_fleet(shown: Terminal, operator: Operator, machine: str) -> None:
    """Open the console and wait for the row of the machine."""
    shown.start(*operator.command())
    shown.begins("FLEET")
    shown.shows(f"  {machine}  ")


def stepped_out(shown: Terminal) -> bool:
    """Press Esc, which leaves the query if that has the keyboard by now, else the view; whether the view is left."""
    shown.press("Escape")  # alone: with a letter behind it, it would be that letter with Alt
    deadline = time.monotonic() + 1
    while shown.top().strip().startswith("INDEX"):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def leave(shown: Terminal) -> None:
    """Leave the console, and the machine as it is."""
    shown.press("q")
    shown.shows("Leave? These go on")
    shown.press("q")
    shown.shows("ended with 0")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_by_keys_from_the_welcome_to_the_page_of_a_hit(
    tmp_path: Path,
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    operator = Operator(empty / "demo")
    spotter = (sys.executable, "-m", "console")
    try:
        with terminal(tmp_path, (120, 36)) as shown:
            shown.start(*spotter, folder=empty)
            shown.begins("WELCOME")
            shown.press("d")
            shown.begins("INDEX", DEMO_S)
            shown.shows("lexical vectors")
            shown.press("C-u")
            shown.type("cold store")
            shown.until(lambda: "INDEX ▸ cold store " in shown.top(), "the query in the top line")
            shown.until(lambda: HIT.search(shown.screen()), "its hits")
            to_the_hits(shown)
            name, page = wait_for(lambda: HIT.search(shown.screen()), "the first hit").groups()
            shown.press("Enter")
            shown.shows("n p page")
            shown.shows(f"│ {name} · page {page}")
            shown.shows("│ ▄▄▄▄")
            shown.press("Escape")
            shown.gone("n p page")
            shown.press("C-q")
            shown.shows("ended with 0")
        assert operator.processes() == []
        [log] = (operator.root / ".spotter" / "console").glob("*-demo-*.log")
        said = log.read_text("utf-8")  # what the command prints where no terminal is
        for query in QUERIES.read_text("utf-8").strip().splitlines():
            assert f"? {query}" in said
        assert said.count("  1. ") == 3
        assert "is gone" in said
        assert operator.instances() == []

        events = operator.run_folder() / "events.jsonl"
        before = events.read_bytes()
        with terminal(tmp_path) as shown:  # done before, nothing is done again: its command goes to the same place
            shown.start(*spotter, "demo", "--dir", str(operator.root))
            shown.begins("INDEX ▸")
            shown.shows("lexical vectors")
            shown.press("C-q")
            screen = shown.shows("ended with 0")
        assert "nothing to do" in screen
        assert "rent" not in screen.partition("\n")[2]
        assert events.read_bytes() == before
        assert operator.processes() == []
    finally:
        operator.stop_cloud()


@NEEDS_SSH
def test_a_shell_takes_the_terminal_and_gives_it_back_also_when_it_cannot_be_run(
    tmp_path: Path, rented: Operator, machine: str
) -> None:
    ssh = tmp_path / "bin" / "ssh"  # the only one there is for this console
    ssh.parent.mkdir()
    ssh.symlink_to(str(shutil.which("ssh")))
    with terminal(tmp_path, without=("TMUX",), PATH=str(ssh.parent)) as shown:
        at_the_fleet(shown, rented, machine)
        shown.press("s")
        shown.gone("FLEET")
        shown.type("echo $((6 * 7)) on $CONTAINER_ID\n")
        shown.shows(f"42 on {machine}")
        shown.type("exit\n")
        shown.begins("FLEET")
        shown.shows(f"  {machine}  ")
        shown.shows("proven · destroys")  # its card, at whose height the guard is told

        ssh.unlink()  # another that is found, and fails as it is started: inside the block that left the terminal
        ssh.write_text("#!/nowhere/at-all\n")
        ssh.chmod(0o755)
        shown.press("s")
        shown.shows("[Errno 2] No such file")
        shown.begins("FLEET")
        shown.press("4")
        shown.begins("RUNS")
        leave(shown)
        assert f"42 on {machine}" in shown.screen(), "what the shell said stays behind the console"


@NEEDS_SSH
def test_inside_tmux_a_shell_is_a_window_beside_the_console(tmp_path: Path, rented: Operator, machine: str) -> None:
    with terminal(tmp_path) as shown:
        at_the_fleet(shown, rented, machine)
        shown.press("s")
        shown.until(lambda: f"ssh {machine}" in shown.windows(), "the window")
        shown.type("echo there, $((6 * 7))\n", window="1")
        shown.shows("there, 42", window="1")
        assert shown.top().strip().startswith("FLEET")
        shown.press("4")
        shown.begins("RUNS")
        shown.type("exit\n", window="1")
        shown.until(lambda: len(shown.windows()) == 1, "the window gone")
        leave(shown)


def test_a_storm_of_sizes_while_figures_come_leaves_the_keys_working(
    tmp_path: Path, rented: Operator, machine: str
) -> None:
    random = Random(6)
    with terminal(tmp_path) as shown:
        at_the_fleet(shown, rented, machine)
        for _ in range(30):
            shown.resize(random.randint(20, 200), random.randint(5, 50))
        shown.resize(*SIZE)
        shown.shows(f"  {machine}  ")
        shown.press("4")
        shown.begins("RUNS")
        assert len(shown.top().rstrip()) > SIZE[0] - 10, "the top line is as wide as the screen"
        leave(shown)
        assert "Traceback" not in shown.screen()


@pytest.mark.parametrize("where", ["at the fleet", pytest.param("in a shell", marks=NEEDS_SSH)])
def test_a_terminal_that_is_closed_ends_the_console_and_all_that_is_its_own(
    tmp_path: Path, rented: Operator, machine: str, where: str
) -> None:
    with terminal(tmp_path, without=("TMUX",)) as shown:
        at_the_fleet(shown, rented, machine)
        if where == "in a shell":
            shown.press("s")
            shown.gone("FLEET")
            shown.type("echo $((6 * 7))\n")
            shown.shows("42\n")
        own = psutil.Process(shown.shell_pid()).children(recursive=True)
        names = [name for process in own for name in process.cmdline()[:1]]
        assert str(rented.root) in " ".join(own[0].cmdline())
        assert any(name.endswith("ssh") for name in names) == (where == "in a shell")
        shown.stop()
        wait_for(lambda: not any(map(psutil.Process.is_running, own)), f"the end of {own}", 20)
    for path in rented.root.rglob("*"):
        if path.is_file() and "cloud" not in path.parts:
            assert b"Traceback" not in path.read_bytes(), path


def test_without_colour_no_hue_is_sent_and_the_cursor_stands_by_reverse(
    tmp_path: Path, rented: Operator, machine: str
) -> None:
    with terminal(tmp_path, NO_COLOR="1") as shown:
        at_the_fleet(shown, rented, machine)
        for key, view in (("", "FLEET"), ("4", "RUNS"), ("6", "INDEX")):
            shown.press(*filter(None, [key]))
            shown.begins(view)
            assert coloured(shown.dressed()) == []
        shown.until(lambda: stepped_out(shown), "another view than the index")
        shown.press("1")
        shown.begins("FLEET")
        shown.until(lambda: 7 in row_styles(shown, machine), "the row in reverse, once the rows have the keys")
        leave(shown)


def test_a_dumb_terminal_and_a_pipe_get_a_sentence_and_every_command(tmp_path: Path, rented: Operator) -> None:
    for command, says, code in (((), "every screen is a command too", 2), (("runs",), "no run", 0)):
        with terminal(tmp_path, TERM="dumb") as shown:
            shown.start(*rented.command(*command))
            shown.shows(f"ended with {code}")
            assert says in shown.screen()
    piped = subprocess.run(rented.command(), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert piped.returncode == 2
    assert piped.stdout == ""
    assert piped.stderr.count("\n") == 1
    assert "every screen is a command too" in piped.stderr
    assert "\x1b" not in rented.run("runs").stdout


def sequences(screen: str) -> list[list[int]]:
    """The numbers of each escape that changes how text is drawn."""
    return [[int(code or 0) for code in found.split(";")] for found in re.findall(r"\x1b\[([\d;]*)m", screen)]


def row_styles(shown: Terminal, machine: str) -> list[int]:
    """How the row of the machine is drawn."""
    row = next((line for line in shown.dressed().splitlines() if f"  {machine}  " in line), "")
    return [code for sequence in sequences(row) for code in sequence]


def coloured(screen: str) -> list[list[int]]:
    """Escapes that give text or its ground a colour."""
    return [codes for codes in sequences(screen) if any(c in (38, 48) or 30 <= c <= 37 or c >= 90 for c in codes)]
