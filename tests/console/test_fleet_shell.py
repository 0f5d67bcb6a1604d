"""A shell on a machine: a window of its own in tmux, otherwise in the console's place; nothing leaves it hanging."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from console.app import SpotterApp
from console.operations import in_use, shell
from console.operations.shell import ShellCommand
from console.screens import instance_shell
from console.workspace import Workspace, create_workspace
from tests.console.piloting import until
from tests.console.test_burn import NOW
from tests.console.test_fleet_view import FREE, app_of, opened, put

COMMAND = ShellCommand(("ssh", "-F", "x.conf", "spotter-31245"), "direct 10.0.0.1:22")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "workspace")[0]


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(SpotterApp, "tell", lambda _app, message, *_more: found.append(message))
    return found


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A terminal that can be left, no tmux, and a machine that lets in; says when it was left and entered again."""
    story: list[str] = []

    @contextlib.contextmanager
    def leave(_app: SpotterApp) -> Iterator[None]:
        story.append("left")
        yield  # as Textual does it: without a `finally`, so an exception would leave it stopped
        story.append("back")

    @contextlib.contextmanager
    def used(_session: object, instance_id: int) -> Iterator[None]:
        story.append(f"using {instance_id}")
        yield
        story.append("done")

    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setattr(SpotterApp, "suspend", leave)
    monkeypatch.setattr(in_use, "in_use", used)
    monkeypatch.setattr(shell, "shell_command", lambda *_: COMMAND)
    return story


async def test_a_shell_takes_the_consoles_place_counts_as_use_and_gives_it_back(
    workspace: Workspace, terminal: list[str], notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "run_in_terminal", lambda _command: terminal.append("ssh") or 0)
    app = app_of(workspace)
    async with opened(app, size=(100, 30)) as (pilot, made):
        put(made, FREE.id)
        await pilot.press("s")
        await until(pilot, lambda: "back" in terminal, "the console back")
    assert terminal == ["left", "using 31245", "ssh", "done", "back"]
    assert notes == []


@pytest.mark.parametrize(
    ("fails", "says"), [(OSError("no pty [/x]"), "no pty [/x]"), (255, "ssh could not hold direct 10.0.0.1:22")]
)
async def test_what_goes_wrong_in_the_shell_brings_the_console_back_and_is_said(
    workspace: Workspace,
    terminal: list[str],
    notes: list[str],
    monkeypatch: pytest.MonkeyPatch,
    fails: Exception | int,
    says: str,
) -> None:
    def run(_command: ShellCommand) -> int:
        if isinstance(fails, Exception):
            raise fails
        return fails

    monkeypatch.setattr(shell, "run_in_terminal", run)
    app = app_of(workspace)
    async with opened(app, size=(100, 30)) as (pilot, made):
        put(made, FREE.id)
        await pilot.press("s")
        await until(pilot, lambda: notes, "what went wrong")
        assert terminal[-1] == "back"
        await pilot.press("a")  # and its keys work
        await until(pilot, lambda: len(app.screen_stack) == 2, "the guard's panel")
    assert notes == [says]


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was asked of tmux, in which the console runs."""
    ran: list[list[str]] = []

    def run(command: list[str], **_how: object) -> SimpleNamespace:
        ran.append(command)
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setenv("TMUX", "/tmp/tmux-0/x,1,0")
    monkeypatch.setattr(instance_shell.shutil, "which", lambda _name: "/usr/bin/tmux")
    monkeypatch.setattr(instance_shell.subprocess, "run", run)
    return ran


async def test_inside_tmux_it_is_a_window_of_its_own_and_the_console_stays(
    workspace: Workspace, terminal: list[str], windows: list[list[str]], notes: list[str]
) -> None:
    app = app_of(workspace)
    async with opened(app, size=(100, 30)) as (pilot, made):
        put(made, FREE.id)
        await pilot.press("s")
        await until(pilot, lambda: notes, "what was opened")
    (command,) = [each for each in windows if each[0] == "tmux"]
    assert command[:4] == ["tmux", "new-window", "-n", "ssh 31245"]
    assert command[4].endswith("ssh 31245")
    assert "left" not in terminal
    assert app.now() == NOW


async def test_no_window_opens_for_a_shell_that_cannot_begin_and_its_reason_is_said(
    workspace: Workspace,
    terminal: list[str],
    windows: list[list[str]],
    notes: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> ShellCommand:
        raise OSError("no endpoint of 31245 answers")

    monkeypatch.setattr(shell, "shell_command", refused)
    app = app_of(workspace)
    async with opened(app, size=(100, 30)) as (pilot, made):
        put(made, FREE.id)
        await pilot.press("s")
        await until(pilot, lambda: notes, "what went wrong")
    assert notes == ["no endpoint of 31245 answers"]
    assert [each for each in windows if each[0] == "tmux"] == []
