"""Names, logs, captions and errors that no program may take at its word: shown as text, everywhere.

What the screen is made of is looked at cell by cell: a character that is not printable would reach the terminal.
"""

from __future__ import annotations

import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from console.actions.action import Question
from console.app import SpotterApp
from console.screens.catalog import CLASSES
from console.widgets.confirm import Confirm
from tests.console.piloting import shown, until
from tests.console.worlds import BUSY, DONE, FAILED, HOSTILE, IDLE, LIVE, LONG, World, world

pytestmark = pytest.mark.xdist_group("hostile")  # they share one world

ARGUMENTS = {"instance": str(BUSY), "run": FAILED, "log": DONE, "review": DONE, "index": "node"}
MARKUP = "[/x]"
SHOWS_MARKUP = ("fleet", "offers", "runs", "log", "index")
"""Views in which something that looks like markup is in sight without a search for it."""
ESCAPES = (b"\x1b]52;", b"\x1b]0;", b"\x1b[31mred", "\x9b31m".encode(), "\u202e".encode(), "\u2066".encode(), b"\x0b")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("hostile") / "w", seed=3, hostile=True) as made:
        yield made


def assert_plain(app: SpotterApp, where: str) -> None:
    """Nothing on screen but what has a width and a glyph."""
    for strip in app.screen._compositor.render_strips():
        odd = [character for segment in strip if not segment.control for character in segment.text
               if not character.isprintable()]  # fmt: skip
        assert odd == [], f"{where}: {odd!r} in {strip.text!r}"


async def look_around(pilot: Pilot[None], app: SpotterApp, where: str) -> str:
    """Look at the view, at its first rows, and at what its keys of every view open; returns all that was seen."""
    seen = ""
    for _ in range(8):
        await pilot.press("down")
        await pilot.pause(0.02)
        assert_plain(app, where)
        seen += shown(app)
    for key in ("question_mark", "y", "at", "semicolon"):
        await pilot.press(key)
        await pilot.pause()
        assert_plain(app, f"{where}, {key}")
        while len(app.screen_stack) > 1:
            app.pop_screen()
    return seen


@pytest.mark.parametrize("name", sorted(CLASSES))
async def test_a_view_of_a_hostile_world_shows_text(place: World, name: str) -> None:
    app = SpotterApp(place.workspace, name, ARGUMENTS.get(name, ""))
    async with app.run_test(size=(160, 45)) as pilot:
        table = app.view.table
        if name in ("fleet", "offers", "runs"):
            await until(pilot, lambda: table is not None and table.cursor_key is not None, "the rows")
        for field in app.view.query(Input):
            if field.has_focus:
                await pilot.press("enter")
        seen = await look_around(pilot, app, name)
        if name in SHOWS_MARKUP:
            await until(pilot, lambda: MARKUP in seen + shown(app), "what looks like markup, as it is")
        place.market.mood = "garbage"
        app.view.refresh_news()
        await pilot.pause(0.3)
        assert_plain(app, f"{name} over a cloud that answers garbage")
        place.market.mood = "well"


@pytest.mark.parametrize("text", [*HOSTILE, LONG], ids=("markup", "escapes", "control", "bidi", "lines", "long"))
async def test_notes_and_questions_show_text(place: World, text: str) -> None:
    app = SpotterApp(place.workspace, "runs", live=False)
    async with app.run_test(size=(120, 36)) as pilot:
        app.tell(text, "error", title=text[:100])
        app.ring(text[:100], text)
        await pilot.pause(0.1)
        assert_plain(app, "a note")
        app.log_command(text[:1000], text[:100])
        app.ask(Question(text[:1000], text[:5000], "Go", (("destroy", text[:1000]),), text[:100]))
        await until(pilot, lambda: isinstance(app.screen, Confirm) and bool(app.screen.query("#cancel")), "it")
        await pilot.pause()
        assert_plain(app, "a question")
        await pilot.press("escape")
        await pilot.press("at")
        await pilot.pause()
        assert_plain(app, "the command log")


async def test_what_is_typed_and_pasted_is_text_too(place: World) -> None:
    from textual import events

    app = SpotterApp(place.workspace, "index")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: isinstance(app.focused, Input), "the query line")
        for text in HOSTILE:
            app.post_message(events.Paste(text))
            await pilot.pause(0.05)
            assert_plain(app, "a query that was pasted")
        await pilot.press("escape", "escape", "colon")
        app.post_message(events.Paste(" ".join(HOSTILE)))
        await pilot.press("enter")
        await pilot.pause(0.05)
        assert_plain(app, "a command line that was pasted")


def test_no_escape_of_the_data_reaches_a_terminal(place: World) -> None:
    """All the way through a pty: what the console writes is its own."""
    child, master = pty.fork()
    if child == 0:
        ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 160, 0, 0))
        os.environ |= {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "COLUMNS": "160",
            "LINES": "45",
        }
        os.chdir(Path(__file__).parents[2])
        os.execv(sys.executable, [sys.executable, "-m", "console", "-C", str(place.workspace.root)])
    written = b""

    def read(until_seen: bytes, seconds: float = 90) -> None:
        nonlocal written
        deadline, begin = time.monotonic() + seconds, len(written)
        while until_seen not in written[begin:]:
            assert time.monotonic() < deadline, f"never saw {until_seen!r} after {written[-3000:]!r}"
            if select.select([master], [], [], 0.1)[0]:
                written += os.read(master, 1 << 16)

    try:
        read(str(BUSY).encode())
        for line, sign in ((f"log {DONE}", b"INFO"), (f"run {FAILED}", b"detect"), ("index node", b"VisualCaption"),
                           (f"run {LIVE}", b"running")):  # fmt: skip
            os.write(master, f":{line}\r".encode())
            read(sign)
            os.write(master, b"\x1b1")
            read(str(IDLE).encode())
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(master)
    assert MARKUP.encode() in written
    assert [escape for escape in ESCAPES if escape in written] == []
