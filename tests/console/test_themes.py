"""Themes: built in, the terminal's own, and files of the operator's that may be wrong and may change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Button, Input, Static

from console.models.console_state import read_state, write_state
from console.themes import OF_TERMINAL, Themes, ThemeWatch, ThemeWrong, read_theme, read_themes, theme_folders
from console.workspace import Workspace
from tests.console.piloting import until

PAPER = 'name: paper\ndark: false\nprimary: "#0a4fd0"\nbackground: "#fffdf5"\nvariables: {border-blurred: "#cccccc"}\n'


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")
    return folder / name


def test_a_file_is_a_theme(tmp_path: Path) -> None:
    theme = read_theme(write(tmp_path, "x.yaml", PAPER))
    assert (theme.name, theme.dark, theme.primary, theme.background) == ("paper", False, "#0a4fd0", "#fffdf5")
    assert read_theme(write(tmp_path, "ночь.yml", "primary: blue\n")).name == "ночь"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "expected names and colours"),
        ("[1, 2]", "expected names and colours"),
        ("primary: [", "not YAML"),
        ("dark: true\n", "primary is missing"),
        ("primary: reddish\n", "primary: reddish is no colour"),
        ("primary: 5\n", "primary: 5 is no colour"),
        ("primary: blue\nprimry: red\n", "unknown: primry"),
        ("primary: blue\ndark: maybe\n", "dark: true or false"),
        ("name: nord\nprimary: blue\n", "nord is a built-in theme"),
        ("name: spotter-dark\nprimary: blue\n", "built-in"),
        ("name: ''\nprimary: blue\n", "name:"),
        ("name: '[/x]'\nprimary: blue\n", "name:"),
        ("primary: blue\nname: 2026-99-99\n", "not YAML"),
        ("[" * 5000, "not YAML"),
        ("primary: blue\nvariables: {x}\n", "x: None is no colour"),
        ("primary: blue\nvariables: [x]\n", "variables: expected"),
        ("primary: blue\nvariables: {border: '}{'}\n", "is no colour"),
        ("primary: blue\nvariables: {'a b': red}\n", "is no name"),
        ("primary: blue\nvariables: {link-text-style: blinking}\n", "no text style"),
        ("primary: blue\nvariables: {primary: red}\n", "is no name"),
    ],
)
def test_what_is_no_theme_says_why(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ThemeWrong) as caught:
        read_theme(write(tmp_path, "x.yaml", text))
    assert named in str(caught.value)


def test_all_bad_files_are_one_message_and_the_good_ones_are_there(tmp_path: Path) -> None:
    write(tmp_path / "a", "paper.yaml", PAPER)
    write(tmp_path / "a", "one.yaml", "primary: [")
    write(tmp_path / "a", "two.yaml", "dark: true")
    (tmp_path / "a" / "three.yaml").mkdir()
    write(tmp_path / "b", "paper.yaml", PAPER.replace("#0a4fd0", "#ff0000"))
    write(tmp_path / "b", "notes.txt", "not a theme")
    found = read_themes((tmp_path / "a", tmp_path / "b", tmp_path / "nowhere"))
    assert [(theme.name, theme.primary) for theme in found.themes] == [("paper", "#0a4fd0")]
    assert len(found.problems) == 3
    assert all(name in found.message for name in ("one.yaml", "two.yaml", "three.yaml"))


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ThemeWrong, match="too large"):
        read_theme(write(tmp_path, "x.yaml", "#" * 100_000))


def test_folders_are_the_workspaces_and_the_homes(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert theme_folders(workspace, {"HOME": "/home/o"}) == (
        tmp_path / ".spotter" / "themes",
        Path("/home/o/.config/spotter/themes"),
    )
    assert theme_folders(workspace, {"XDG_CONFIG_HOME": "/x", "HOME": "/h"})[1] == Path("/x/spotter/themes")


@pytest.mark.parametrize("broken", ["", "[]", "{", "5"])
def test_a_broken_memory_is_no_memory(tmp_path: Path, broken: str) -> None:
    write(tmp_path, "console.json", broken)
    assert read_state(tmp_path) == {}
    write_state(tmp_path, {"theme": "paper"})
    write_state(tmp_path, {"other": 1})
    assert read_state(tmp_path) == {"theme": "paper", "other": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["console.json"]


class Shell(App[None]):
    CSS_PATH = str(Path("console/screens/shell.tcss").resolve())

    def __init__(self, workspace: Workspace, wanted: str = "") -> None:
        super().__init__()
        self.workspace = workspace
        self.told: list[str] = []
        self.themes = Themes(self, wanted)  # type: ignore[arg-type]

    def compose(self) -> ComposeResult:
        yield Static("view")
        yield Input("field", classes="filter")
        yield Button("button", variant="error")

    def on_mount(self) -> None:
        self.themes.begin()

    def on_unmount(self) -> None:
        self.themes.end()

    def tell(self, text: str, severity: str = "information") -> None:
        self.told.append(text)

    def in_background(self, ask: Callable[[], Any], then: Callable[[Any], None]) -> None:
        def run() -> None:
            answer = ask()
            if self.is_running:
                self.call_from_thread(then, answer)

        threading.Thread(target=run, daemon=True).start()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Workspace(tmp_path / "place")


async def test_one_key_goes_through_all_and_the_choice_is_kept(workspace: Workspace) -> None:
    write(workspace.state / "themes", "paper.yaml", PAPER)
    app = Shell(workspace)
    async with app.run_test() as pilot:
        assert app.theme == "spotter-dark"
        await until(pilot, lambda: "paper" in app.themes.names, "the operator's theme")
        seen = []
        for _ in app.themes.names:
            seen.append(app.themes.next())
            await pilot.pause()
            assert "view" in app.export_screenshot()
        assert seen == ["spotter-light", *OF_TERMINAL, "paper", "spotter-dark"]
        app.themes.next()
        await until(pilot, lambda: read_state(workspace.state).get("theme") == "spotter-light", "the choice on disk")
    again = Shell(workspace)
    async with again.run_test():
        assert again.theme == "spotter-light"


@pytest.mark.parametrize(
    ("wanted", "worn"), [("ansi-dark", "ansi-dark"), ("nowhere", "spotter-dark"), ("nord", "nord")]
)
async def test_what_the_settings_want_goes_before_the_memory(workspace: Workspace, wanted: str, worn: str) -> None:
    write_state(workspace.state, {"theme": "spotter-light"})
    app = Shell(workspace, wanted)
    async with app.run_test():
        assert app.theme == worn


async def test_a_theme_is_worn_anew_when_its_file_changes_and_left_when_it_goes(workspace: Workspace) -> None:
    path = write(workspace.state / "themes", "paper.yaml", PAPER)
    write_state(workspace.state, {"theme": "paper"})
    app = Shell(workspace)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.theme == "paper", "the theme that was chosen last")
        await until(pilot, lambda: app.themes._watch and app.themes._watch._observer, "the watch")
        path.write_text(PAPER.replace("#fffdf5", "#112233"))
        await until(pilot, lambda: app.screen.styles.background.hex == "#112233", "the new colour")
        path.write_text("primary: [")
        await until(pilot, lambda: any("paper.yaml" in text for text in app.told), "the message")
        assert app.theme == "spotter-dark"
        path.write_text(PAPER)
        await until(pilot, lambda: "paper" in app.themes.names, "the theme again")


async def test_without_a_folder_nothing_is_watched(workspace: Workspace) -> None:
    app = Shell(workspace)
    async with app.run_test():
        assert app.themes._watch is None
        assert app.told == []


def test_a_watch_that_was_ended_before_it_began_calls_nothing(tmp_path: Path) -> None:
    called: list[None] = []
    watch = ThemeWatch([tmp_path], lambda: called.append(None))
    watch.stop()
    watch.start()
    watch._soon()
    assert watch._observer is None
    assert watch._timer is None
    assert called == []
