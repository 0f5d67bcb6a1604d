"""The console in a real terminal: tmux types, tmux reads the screen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.workspace import create_workspace
from tests.end_to_end.driving import Operator, draw_pdf
from tests.terminal import Terminal, to_the_hits, to_the_query

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux: apt-get install tmux"),
    pytest.mark.xdist_group("terminal"),  # they look at one workspace
]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A workspace with one finished run in its index."""
    operator = Operator(tmp_path_factory.mktemp("терминал") / "w")
    create_workspace(operator.root)
    draw_pdf(operator.root / "data" / "stack.pdf", 3, "Слои платформы")
    try:
        operator.run("run", timeout_s=170)
        yield operator
    finally:
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
    terminal.begins("FLEET")
    terminal.press("6")
    terminal.begins("INDEX")
    terminal.type("слой платформа")
    screen = terminal.shows("stack.pdf p")
    assert "Слои платформы" in screen
    to_the_hits(terminal)
    terminal.press("Enter")
    terminal.shows("n p page")
    terminal.shows("│ Pictures need colour" if terminal.colourless else "│ ▄▄▄▄")
    terminal.press("Escape")
    terminal.gone("n p page")
    to_the_query(terminal)
    to_the_hits(terminal, "Escape")
    terminal.press("Escape")
    terminal.begins("FLEET")
    terminal.press("q")
    terminal.shows("ended with 0")


def test_help_lists_the_keys_of_the_view_it_was_asked_in(terminal: Terminal, parsed: Operator) -> None:
    terminal.start(*parsed.command())
    terminal.begins("FLEET")
    terminal.press("?")
    terminal.shows("A shell on the marked instance")
    terminal.press("Escape")
    terminal.gone("A shell on the marked instance")
    terminal.press("4")
    terminal.shows("succeeded")
    terminal.press("Enter")
    screen = terminal.shows("✓ records")
    assert "render" in screen
    terminal.press("q")
    terminal.shows("ended with 0")


def test_a_storm_of_resizes_and_wrong_keys_leaves_the_console_standing(terminal: Terminal, parsed: Operator) -> None:
    terminal.start(*parsed.command())
    terminal.begins("FLEET")
    for step, size in enumerate([(20, 5), (200, 50), (40, 10), (81, 24), (1, 1), (120, 36)] * 2):
        terminal.resize(*size)
        terminal.press("D", "R", "K", "x", "Escape", "1246"[step % 4], "/", "Escape")
    terminal.resize(100, 30)
    terminal.press("Escape", "Escape", "Escape")
    terminal.until(lambda: " live" in terminal.top() or " STALE" in terminal.top(), "the top line")
    assert "Traceback" not in terminal.screen()
    terminal.press("C-q")
    terminal.shows("ended with 0")
