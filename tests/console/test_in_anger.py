"""What an operator met who drove the console for hours: each of these once froze, lost or let something go unsaid."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from console.actions.action import Question
from console.app import SpotterApp
from console.screens.doctor import Doctor
from console.screens.index_list import Query
from console.screens.view import View
from console.widgets import typed_line
from console.widgets.command_line import CommandLine
from console.widgets.confirm import Confirm
from console.widgets.help import Help
from console.widgets.leave import Leave
from console.widgets.typed_line import LONGEST
from console.workspace import Workspace, create_workspace
from tests.console.piloting import shown, until


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    place, _ = create_workspace(tmp_path_factory.mktemp("anger"))
    return place


def keys_are_in_the_view(app: SpotterApp) -> bool:
    """Also for the widget itself: a field that hears of its focus late selects what was written into it meanwhile."""
    focused = app.focused
    return focused is not None and focused.has_focus and app.view in focused.ancestors_with_self


async def test_keys_go_to_a_view_that_is_never_told_that_it_is_shown(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(View, "on_show", lambda _self: None)  # Textual drops the event when something scrolls meanwhile
    app = SpotterApp(workspace, live=False)
    async with app.run_test(size=(100, 30)) as pilot:
        for name in ("runs", "offers", "runs", "log", "index"):
            app.go(name)
            await until(pilot, lambda: keys_are_in_the_view(app), f"the keyboard in {name}")


async def test_a_line_that_is_typed_in_keeps_the_keyboard(workspace: Workspace) -> None:
    app = SpotterApp(workspace, live=False)
    async with app.run_test(size=(100, 30)) as pilot:
        app.go("runs")
        await until(pilot, lambda: keys_are_in_the_view(app), "the keyboard in the view")
        await pilot.press(":")
        app.give_keys(app.view)
        await pilot.press("d", "o")
        assert app.query_one(CommandLine).query_one(Input).value == "do"


async def test_an_answer_that_cannot_be_drawn_is_told_once_and_asked_for_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    drawn = 0

    def show(self: Doctor, _news: object) -> None:
        nonlocal drawn
        drawn += 1
        raise RuntimeError("[/x] a fault")  # the kind that a loop which closes raises too

    monkeypatch.setattr(Doctor, "show", show)
    monkeypatch.setattr(Doctor, "read", lambda _self: None)
    monkeypatch.setattr(Doctor, "POLL_S", 0.01)
    app = SpotterApp(workspace, view="doctor")
    tell = app.tell

    def heard(message: str, *more: object) -> None:
        told.append(message)
        tell(message, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(app, "tell", heard)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: drawn > 2, "a third answer after two that could not be drawn")
        view = app.view
        assert isinstance(view, Doctor)
        assert view.stale == "RuntimeError: [/x] a fault"
        assert view.heard_at is None
    assert sum("a fault" in each for each in told) == 1


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_no_key_leaves_machines_unsaid(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    app = SpotterApp(workspace, live=False)
    async with app.run_test(size=(100, 30)) as pilot:
        monkeypatch.setattr(type(app.running), "notes", property(lambda _self: ("rent offer 1",)))
        left: list[str] = []
        monkeypatch.setattr(app, "exit", lambda *_a, **_k: left.append("left"))
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Leave), "what goes on")
        assert not left
        await pilot.press(key)
        await until(pilot, lambda: left, "the end: it was said, and asked for again")


async def test_ctrl_c_tells_our_own_key_to_leave(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    app = SpotterApp(workspace, live=False)
    heard: list[str] = []
    monkeypatch.setattr(app, "say", heard.append)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("ctrl+c")
        await until(pilot, lambda: heard == ["q leaves; nothing was stopped"], "how to leave")


async def test_what_must_be_typed_stays_in_sight_and_a_wrong_answer_is_told(workspace: Workspace) -> None:
    app = SpotterApp(workspace, live=False)
    async with app.run_test(size=(80, 24)) as pilot:
        app.ask(Question("Destroy 1795288938?", "Its disk is gone.", "Destroy", (("destroy", "1"),), "", typed="8938"))
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press(*"1234", "enter")
        words = shown(app)
        assert isinstance(app.screen, Confirm)
        assert "type 8938 to go on" in words
        assert "it is not that; nothing was done" in words


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a line said of what does not fit; notes on screen go, and may be said again, after five seconds."""
    found: list[str] = []
    monkeypatch.setattr(typed_line, "QUIET_S", 1e6)
    monkeypatch.setattr(typed_line.TypedLine, "notify", lambda _line, message, **_options: found.append(message))
    return found


async def test_a_paste_that_comes_key_by_key_stops_at_what_a_person_types(
    workspace: Workspace, told: list[str]
) -> None:
    app = SpotterApp(workspace, live=False)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("index")
        await until(pilot, lambda: keys_are_in_the_view(app), "the query")
        query = app.view.query_one(Query)
        query.value = "x" * LONGEST
        query.post_message(events.Paste("y" * 10_000))
        await pilot.press(*"zzz")
        await pilot.pause()
        assert query.value == "x" * LONGEST
        assert told == ["more than 1000 characters do not fit here"]


async def test_a_paste_goes_in_whole_as_far_as_it_fits_and_is_worked_through_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    app = SpotterApp(workspace, live=False)
    async with app.run_test(size=(80, 24)) as pilot:
        app.go("index")
        await until(pilot, lambda: keys_are_in_the_view(app), "the query")
        query, asked = app.view.query_one(Query), []
        monkeypatch.setattr(app.view, "find", lambda: asked.append(query.value))
        app.post_message(events.Paste("слой\n" + "y" * 10_000))
        await until(pilot, lambda: bool(asked), "the question")
        assert query.value == "слой " + "y" * (LONGEST - 5)
        assert asked == [query.value]
        assert told == ["more than 1000 characters do not fit here"]
        query.value = ""
        await until(pilot, lambda: asked[-1] == "", "an empty query")
        for _ in range(200):  # a terminal without bracketed paste
            app.post_message(events.Key("z", "z"))
        await until(pilot, lambda: asked[-1] == "z" * 200, "the question of all of them")
        assert len(asked) < 20


async def test_a_file_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    place, _ = create_workspace(tmp_path)
    place.state.mkdir(exist_ok=True)
    (place.state / "screens").write_text("in the way")
    app = SpotterApp(place, live=False)
    told: list[str] = []
    async with app.run_test(size=(80, 24)) as pilot:
        app.tell = lambda message, *_more: told.append(message)  # type: ignore[method-assign]
        await pilot.press("S")
        await until(pilot, lambda: told, "why no screen was saved")
    assert told == [f"{place.state / 'screens'}: File exists"]


async def test_a_full_disk_is_told_without_a_number_of_python(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = SpotterApp(workspace, live=False)
    told: list[str] = []

    def write() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of a file that is open already: Python names none

    async with app.run_test(size=(80, 24)) as pilot:
        monkeypatch.setattr(app, "tell", lambda message, *_more: told.append(message))
        app.in_background(write, lambda _done: None)
        await until(pilot, lambda: told, "why it was not written")
    assert told == ["No space left on device"]


@pytest.mark.parametrize("behind", ["slash", "j", "G", "escape"])
async def test_a_key_in_one_go_with_the_one_that_opens_the_help_finds_it_not_there_yet(
    workspace: Workspace, behind: str
) -> None:
    app = SpotterApp(workspace, live=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: keys_are_in_the_view(app), "the keyboard in the view")
        for key in ("question_mark", behind):
            app.post_message(events.Key(key, None))
        await until(pilot, lambda: isinstance(app.screen, Help) == (behind != "escape"), "the help, or the view again")
        await pilot.press("escape", "escape", "4")
        await until(pilot, lambda: app.view.NAME == "runs", "the runs")


async def test_a_question_that_cannot_be_read_yet_hears_only_a_no(workspace: Workspace) -> None:
    app = SpotterApp(workspace, live=False)
    heard: list[object] = []
    async with app.run_test(size=(80, 24)) as pilot:
        for screen, keys in (
            (Leave(["a machine goes on"]), ("X", "q", "a")),
            (Confirm(Question("Rent?", "", "Rent", (), "")), ("y",)),
        ):
            app.push_screen(screen, heard.append)
            for key in keys:
                await app._check_bindings(key)
            assert heard == [], "it is not drawn yet"
            assert app.screen is screen
            await until(pilot, lambda here=screen: here.is_mounted, "it")
            await pilot.press("n")
            await until(pilot, lambda: heard, "the no")
            assert heard.pop() in ("stay", False)
