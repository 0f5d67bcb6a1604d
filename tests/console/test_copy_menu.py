"""Copying: the menu, both clipboards, and the pane of what was run."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import OptionList, Static

from console.models.command_log import CommandLog
from console.operations.clipboard import ClipboardFailed, clipboard_program, copy_locally
from console.screens.view import Copyable
from console.widgets.command_log import CommandLogPane
from console.widgets.copy_menu import KEYS, CopyMenu
from console.workspace import Workspace
from tests.console.piloting import shown, until

EVERY = {"pbcopy", "wl-copy", "xclip", "xsel"}


@pytest.mark.parametrize(
    ("environment", "platform", "installed", "chosen"),
    [
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "linux", EVERY, "wl-copy"),
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "linux", {"xclip"}, "xclip"),
        ({"DISPLAY": ":0"}, "linux", EVERY, "xclip"),
        ({"DISPLAY": ":0"}, "linux", {"xsel"}, "xsel"),
        ({}, "darwin", EVERY, "pbcopy"),
        ({}, "linux", EVERY, None),
        ({"DISPLAY": ":0"}, "linux", set(), None),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "linux", EVERY, None),
    ],
)
def test_the_desktops_own_program_is_chosen(
    environment: dict[str, str], platform: str, installed: set[str], chosen: str | None
) -> None:
    command = clipboard_program(environment, platform, lambda name: name if name in installed else None)
    assert (command[0] if command else None) == chosen


def test_a_text_goes_to_the_program_as_it_is(tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    assert copy_locally("ssh root@1.2.3.4 'слой'", ("sh", "-c", f"cat > '{copied}'"))
    assert copied.read_text("utf-8") == "ssh root@1.2.3.4 'слой'"


@pytest.mark.parametrize("command", [("false",), ("/nowhere/at-all",)])
def test_a_program_that_fails_is_an_error(command: tuple[str, ...]) -> None:
    with pytest.raises(ClipboardFailed, match=command[0]):
        copy_locally("x", command)


def test_a_program_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.operations.clipboard.PATIENCE_S", 0.05)
    with pytest.raises(ClipboardFailed, match="did not answer"):
        copy_locally("x", ("sleep", "5"))


class Shell(App[None]):
    CSS_PATH = str(Path("console/screens/shell.tcss").resolve())

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.commands = CommandLog(workspace.state / "commands.jsonl", {})
        self.copied: list[str] = []
        self.said: list[str] = []
        self.calls_are_noted = True

    def session(self) -> SimpleNamespace:
        return SimpleNamespace(notes_calls=self.calls_are_noted)

    def compose(self) -> ComposeResult:
        yield Static("view")

    def copy_to_clipboard(self, text: str) -> None:
        self.copied.append(text)

    def say(self, text: str) -> None:
        self.said.append(text)

    def in_background(self, ask: Callable[[], Any], then: Callable[[Any], None]) -> None:
        threading.Thread(target=lambda: self.call_from_thread(then, ask()), daemon=True).start()


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr("console.operations.clipboard.clipboard_program", lambda: None)
    return Shell(Workspace(tmp_path))


COPIES = [Copyable("id", "31245"), Copyable("ssh command", "ssh -p 2222 root@1.2.3.4"), Copyable("[/x]", "a\x1b[31mb")]


@pytest.mark.parametrize(("keys", "copied"), [("2", COPIES[1].text), ("enter", "31245"), ("G enter", COPIES[2].text)])
async def test_a_key_copies_whole_what_the_line_shows_short(app: Shell, keys: str, copied: str) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(CopyMenu(COPIES))
        await until(pilot, lambda: "ssh -p 2222" in shown(app) and "[/x]" in shown(app), "the lines")
        await pilot.press(*keys.split())
        assert app.copied == [copied]
        await until(pilot, lambda: bool(app.said), "the note")
        assert "\x1b" not in app.said[0]
        assert not isinstance(app.screen, CopyMenu)


async def test_two_keys_at_once_copy_once(app: Shell) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        menu = CopyMenu([Copyable("id", "31245"), Copyable("path", "/x")])
        await app.push_screen(menu)
        for key in ("1", "2", "escape"):
            menu.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: not isinstance(app.screen, CopyMenu), "its end")
        assert app.copied == ["31245"]


async def test_nothing_to_copy_says_so_and_esc_closes(app: Shell) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(CopyMenu([]))
        await until(pilot, lambda: "nothing to copy" in shown(app), "the sentence")
        await pilot.press("1", "escape")
        assert not isinstance(app.screen, CopyMenu)
        assert app.copied == []


def test_no_key_of_a_line_is_one_of_the_lists() -> None:
    assert len(set(KEYS)) == len(KEYS)
    assert not set(KEYS) & set("jkgGyq")


async def test_what_was_run_stands_newest_first_and_enter_copies_the_line(app: Shell) -> None:
    first = app.commands.begin(("spotter", "push", "my file"), "push", 100.0)
    app.commands.end(first, 3, 102.0)
    app.commands.begin(("spotter", "run", "[/x]"), "run", 200.0)
    app.commands.note("ssh box", "shell", 300.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(CommandLogPane())
        await until(pilot, lambda: "3 commands" in shown(app), "the pane")
        lines = [line for line in shown(app).splitlines() if "spotter" in line or "ssh" in line]
        assert ["ssh box" in lines[0], "run '[/x]'" in lines[1], "✗ 3" in lines[2]] == [True] * 3
        await pilot.press("j", "j", "enter")
        assert app.copied == ["spotter push 'my file'"]


async def test_a_line_without_end_and_an_escape_are_only_text(app: Shell) -> None:
    app.commands.note("echo \x1b[2J " + "x" * 1_000_000, "[/x]", 1.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(CommandLogPane())
        await until(pilot, lambda: "echo \\x1b[2J xxx" in shown(app), "the line as text")
        await pilot.press("enter")
        assert len(app.copied[0]) > 1_000_000


async def test_a_command_that_ends_meanwhile_shows_its_end(app: Shell) -> None:
    entry = app.commands.begin(("spotter", "run"), "run", 100.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(CommandLogPane())
        await until(pilot, lambda: "…" in shown(app), "that it runs")
        app.commands.end(entry, 0, 107.0)
        await until(pilot, lambda: "✓ 0" in shown(app) and "7.0s" in shown(app), "its end")


async def test_tab_shows_the_calls_to_the_cloud(app: Shell) -> None:
    path = app.workspace.cloud_calls
    path.parent.mkdir()
    row = {"at": 5.0, "method": "PUT", "host": "vast", "path": "/api/v0/asks/7/", "query": "", "status": 429, "ms": 81}
    path.write_text(json.dumps(row) + "\n")
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(CommandLogPane())
        await pilot.press("tab")
        await until(pilot, lambda: "✗ 429" in shown(app) and "https://vast/api/v0/asks/7/" in shown(app), "the call")
        await pilot.press("tab")
        await until(pilot, lambda: "0 commands" in shown(app), "the commands again")
        assert app.screen.query_one(OptionList).option_count == 0
        await pilot.press("at")
        assert not isinstance(app.screen, CommandLogPane)


@pytest.mark.parametrize("noted", [True, False])
async def test_a_cloud_whose_calls_nobody_notes_is_not_said_to_have_had_none(app: Shell, noted: bool) -> None:
    app.calls_are_noted = noted
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(CommandLogPane())
        await pilot.press("tab")
        said, unsaid = "the last 0 calls", "calls to the local cloud are not noted"
        said, unsaid = (said, unsaid) if noted else (unsaid, said)
        await until(pilot, lambda: said in shown(app), "what is known of calls")
        assert unsaid not in shown(app)
