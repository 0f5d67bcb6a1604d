"""Welcome: begins without anything, writes nothing unasked, shows the demo's progress and moves to what it made."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from textual.widgets import Button, Input
from typer.testing import CliRunner

from console import entry
from console.app import SpotterApp, run_app
from console.cli import app as cli
from console.models.api_key import SecretWrong, checked_key
from console.models.demo_progress import DemoProgress, read_demo_log
from console.operations.background import Beside
from console.operations.secrets_file import put_secret
from console.screens.welcome import Welcome
from console.settings import load_secrets
from console.widgets.key_form import KeyForm
from console.workspace import Workspace, WorkspaceError, create_workspace, folder_without_workspace
from tests.console.piloting import shown, until

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("VAST_API_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    place = tmp_path / "place"
    place.mkdir()
    return folder_without_workspace(place)


def test_a_key_is_written_for_its_owner_only_and_other_lines_stay(folder: Workspace) -> None:
    folder.env_file.write_text("# mine\nOTHER=1\nVAST_API_KEY=old\nexport VAST_API_KEY=older\n")
    path = put_secret(folder, "VAST_API_KEY", f"  {KEY}\n")
    assert path.read_text() == f"# mine\nOTHER=1\nVAST_API_KEY={KEY}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    known = load_secrets(folder).vast_api_key
    assert known is not None
    assert known.get_secret_value() == KEY
    assert [each.name for each in folder.root.iterdir()] == [".env"]


def test_a_key_goes_where_a_linked_file_leads_and_the_link_stays(folder: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "secrets" / "vast.env"
    folder.env_file.symlink_to("../secrets/vast.env")
    for key in (KEY, KEY[::-1]):  # nothing is there at first, then a file
        assert put_secret(folder, "VAST_API_KEY", key) == folder.env_file
        assert folder.env_file.is_symlink()
        assert elsewhere.read_text() == f"VAST_API_KEY={key}\n"
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600
        assert list(elsewhere.parent.iterdir()) == [elsewhere]


@pytest.mark.parametrize("value", ["", "short", "with blanks in it all over", f'"{KEY}"', f"{KEY}\nX=1", "ключ" * 10])
def test_what_cannot_be_a_key_is_refused_without_repeating_it(folder: Workspace, value: str) -> None:
    with pytest.raises(SecretWrong) as caught:
        put_secret(folder, "VAST_API_KEY", value)
    assert not value or value not in str(caught.value)
    assert not folder.env_file.exists()


def test_a_folder_that_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="spotter init"):
        folder_without_workspace(tmp_path / "nowhere")


def test_the_command_takes_a_key_from_stdin_and_never_says_it(folder: Workspace) -> None:
    create_workspace(folder.root)
    done = CliRunner().invoke(cli, ["-C", str(folder.root), "key"], input=f"{KEY}\n")
    assert done.exit_code == 0
    assert KEY not in done.output
    assert checked_key(KEY) in folder.env_file.read_text()


def test_an_empty_folder_opens_the_welcome_and_a_workspace_the_fleet(
    folder: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Path, str]] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("console.app.run_app", lambda workspace, view, read_only: opened.append((workspace.root, view)))
    assert entry.open_console(folder.root) == 0
    assert list(folder.root.iterdir()) == []
    create_workspace(folder.root)
    assert entry.open_console(folder.root) == 0
    assert opened == [(folder.root, "welcome"), (folder.root, "fleet")]


@pytest.mark.parametrize(
    ("tty", "environment", "code"),
    [
        (True, {"TERM": "xterm"}, 0),
        (True, {"TERM": "dumb"}, 2),
        (False, {"TERM": "xterm"}, 2),
        (False, {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}, 0),
    ],
)
def test_the_console_opens_where_it_can_be_drawn_a_browser_included(
    folder: Workspace, monkeypatch: pytest.MonkeyPatch, tty: bool, environment: dict[str, str], code: int
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: tty, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: tty, raising=False)
    monkeypatch.setattr("console.app.run_app", lambda workspace, view, read_only: None)
    monkeypatch.delenv("TERM", raising=False)
    monkeypatch.delenv("TEXTUAL_DRIVER", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert entry.open_console(folder.root) == code


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_each_way_is_explained_and_nothing_is_written_unasked(folder: Workspace, size: tuple[int, int]) -> None:
    app = SpotterApp(folder, "welcome")
    async with app.run_test(size=size) as pilot:
        for words in ("no account, no cost", "Check what this machine", "vast.ai key, hidden", "workspace of your own"):
            await until(pilot, lambda words=words: words in shown(app), words)
        await pilot.press("T")
        await pilot.press("1")
        await until(pilot, lambda: app.view.NAME == "fleet", "the fleet")
        await pilot.press("escape")
        await until(pilot, lambda: app.view.NAME == "welcome", "the welcome again")
    assert list(folder.root.iterdir()) == []


async def test_this_folder_becomes_a_workspace_by_a_key(folder: Workspace) -> None:
    app = SpotterApp(folder, "welcome", live=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("i")
        await until(pilot, lambda: folder.exists and "This is the workspace" in shown(app), "the workspace")
        assert app.refusal(_action("welcome.init"))


def _action(action_id: str) -> object:
    from console.actions.registry import action_called

    return action_called(action_id)


async def test_a_key_is_written_only_after_a_second_yes(folder: Workspace) -> None:
    app = SpotterApp(folder, "welcome", live=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, KeyForm), "the form")
        app.screen.query_one(Input).value = KEY
        await pilot.press("enter")
        await until(pilot, lambda: "32 characters" in shown(app), "the question")
        assert app.focused is app.screen.query_one("#cancel", Button)
        assert not folder.env_file.exists()
        assert KEY not in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, KeyForm), "the form gone")
        assert not folder.env_file.exists()
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, KeyForm), "the form")
        app.screen.query_one(Input).value = KEY
        await pilot.press("enter", "right", "enter")
        await until(pilot, lambda: folder.env_file.exists(), "the key written")
    assert KEY in folder.env_file.read_text()
    assert not folder.state.exists()


async def test_a_read_only_console_writes_no_key(folder: Workspace) -> None:
    app = SpotterApp(folder, "welcome", live=False, read_only=True)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("a", "i")
        await pilot.pause()
        assert not isinstance(app.screen, KeyForm)
        assert not folder.exists


class Running:
    """A process that a test ends."""

    def __init__(self) -> None:
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code


def begin(monkeypatch: pytest.MonkeyPatch, folder: Workspace) -> tuple[Running, Path, list[list[str]]]:
    process, log = Running(), folder.root.parent / "demo.log"
    asked: list[list[str]] = []

    def start(workspace: Workspace, arguments: list[str]) -> Beside:
        asked.append(arguments)
        log.write_text("     …  plan       data/[/x].pdf\n")
        return Beside(process, log)  # type: ignore[arg-type]

    monkeypatch.setattr("console.operations.background.start_beside", start)
    return process, log, asked


async def test_the_demo_shows_what_it_does_and_its_end_moves_to_its_index(
    folder: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, log, asked = begin(monkeypatch, folder)
    app = SpotterApp(folder, "welcome")
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: "data/[/x].pdf" in shown(app), "its first line")
        await pilot.press("d")
        assert asked == [["demo", "--dir", str(folder.root / "demo")]]
        with log.open("a") as more:
            more.write("    ok  rent       \x1b[31m1 machine\n")
        await until(pilot, lambda: "1 machine" in shown(app), "its next line")
        process.code = 0
        await until(pilot, lambda: app.moves_to is not None, "the way to its workspace")
    assert app.moves_to is not None
    workspace, view, query = app.moves_to
    assert (workspace.root, view, bool(query)) == (folder.root / "demo", "index", True)
    assert app.commands.entries[0].exit_code == 0


async def test_a_demo_that_ends_waits_until_the_key_is_typed(
    folder: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, _log, asked = begin(monkeypatch, folder)
    app = SpotterApp(folder, "welcome")
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: bool(asked), "the demo")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, KeyForm), "the form")
        app.screen.query_one(Input).value = KEY
        process.code = 0
        await until(pilot, lambda: any(each.exit_code == 0 for each in app.commands.entries), "the end of the demo")
        app.query_one(Welcome).show(DemoProgress())
        await pilot.pause()
        assert app.moves_to is None
        await pilot.press("enter", "right", "enter")
        await until(pilot, lambda: app.moves_to is not None, "the way to its workspace")
    assert KEY in folder.env_file.read_text()


async def test_a_demo_that_fails_says_why_and_can_be_begun_again(
    folder: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, log, asked = begin(monkeypatch, folder)
    app = SpotterApp(folder, "welcome")
    told: list[str] = []
    monkeypatch.setattr(app, "ring", lambda title, text, severity="information": told.append(f"{title}: {text}"))
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: bool(asked), "the demo")
        log.write_text("spotter: the documents are missing\n")
        process.code = 1
        await until(pilot, lambda: bool(told), "the reason")
        assert told == ["The demo failed: spotter: the documents are missing"]
        assert app.moves_to is None
        await pilot.press("d")
        await until(pilot, lambda: len(asked) == 2, "another demo")


def test_the_console_opens_anew_where_it_moves_to_and_stays_read_only(
    folder: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Path, bool]] = []
    other = Workspace(folder.root / "demo")

    def run(app: SpotterApp) -> None:
        opened.append((app.workspace.root, app.read_only))
        if app.workspace == folder:
            app.read_only ^= toggled  # as `:ro` does
            app.moves_to = (other, "index", "слой")

    monkeypatch.setattr(SpotterApp, "run", run)
    toggled = False
    run_app(folder, "welcome", read_only=True)
    toggled = True
    run_app(folder, "welcome")
    assert opened == [(folder.root, True), (other.root, True), (folder.root, False), (other.root, True)]


def test_a_log_that_is_not_there_yet_has_no_lines(tmp_path: Path) -> None:
    assert read_demo_log(tmp_path / "log", lambda: None) == DemoProgress((), None, running=True)
    (tmp_path / "log").write_text("line\n" * 20_000)
    assert len(read_demo_log(tmp_path / "log", lambda: 3).lines) == 40


def test_the_view_is_the_one_in_the_catalog() -> None:
    from console.screens.catalog import make_view

    assert isinstance(make_view("welcome"), Welcome)
