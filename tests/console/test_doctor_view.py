"""The doctor: each finding has its fix, each setting its source; the view does the fix or gives it."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from http.client import BadStatusLine
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from console.app import SpotterApp
from console.cli import app as cli
from console.commands.frame import guard
from console.operations import doctor_place, doctor_screen
from console.operations.doctor import Finding, examine
from console.operations.settings_in_force import settings_in_force
from console.screens.doctor import Doctor
from console.screens.doctor_rows import DoctorNews, file_line, finding_rows, report
from console.settings import Settings
from console.widgets.keyed_table import KeyedTable
from console.workspace import Workspace, create_workspace
from tests.console.piloting import shown, until

SECRET = "planted-secret-0123456789"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in [name for name in os.environ if name.startswith("SPOTTER_")] + ["VAST_API_KEY", "OPENAI_API_KEY"]:
        monkeypatch.delenv(name, raising=False)
    return create_workspace(tmp_path / "place")[0]


def by_subject(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def spoil_keymap(workspace: Workspace) -> None:
    workspace.settings_file.write_text('[keymap]\nfleet.destory = "D"\n')


def spoil_theme(workspace: Workspace) -> None:
    (workspace.state / "themes").mkdir()
    (workspace.state / "themes" / "x.yaml").write_text("primary: [")


def spoil_ssh_key(workspace: Workspace) -> None:
    (workspace.keys / "id_ed25519").write_text("no key")


def spoil_settings(workspace: Workspace) -> None:
    workspace.settings_file.write_text("[money]\nmax_usd = 1\n")


def spoil_env(workspace: Workspace) -> None:
    workspace.env_file.write_text("VAST_API_KEY=x\n")
    workspace.env_file.chmod(0o644)


def spoil_clock(workspace: Workspace) -> None:
    workspace.ledger.touch()
    os.utime(workspace.ledger, (4e9, 4e9))


def forget_key(workspace: Workspace) -> None:
    workspace.settings_file.write_text('[cloud]\nname = "vast"\nurl = "http://127.0.0.1:9"\n')


@pytest.mark.parametrize(
    ("spoil", "subject", "level"),
    [
        (spoil_keymap, "keymap", "warning"),
        (spoil_theme, "themes", "warning"),
        (spoil_ssh_key, "ssh key", "error"),
        (spoil_settings, "settings", "error"),
        (spoil_clock, "clock", "warning"),
        (spoil_env, "secrets", "error"),
        (forget_key, "vast.ai key", "error"),
    ],
)
def test_what_is_wrong_is_found_with_its_fix(workspace: Workspace, spoil: object, subject: str, level: str) -> None:
    before = by_subject(examine(workspace, "")).get(subject)
    assert before is None or before.level == "ok"
    if subject == "clock":
        workspace.ledger.unlink(missing_ok=True)
    spoil(workspace)  # type: ignore[operator]
    found = by_subject(examine(workspace, ""))[subject]
    assert (found.level, bool(found.fix)) == (level, True)


def test_a_check_that_fails_is_a_finding_and_the_others_are_done(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("remote.ledger.Ledger", full)
    found = by_subject(examine(workspace, ""))
    assert found["money"].level == "error"
    assert found["money"].message == "could not be looked at: database or disk is full"
    assert {"disk", "keymap"} <= set(found)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("PRAGMA max_page_count = 1; CREATE TABLE t(x)", "database or disk is full: `spotter doctor` looks at disk"),
        ("SELECT FROM nothing", None),
    ],
)
def test_a_full_disk_is_a_sentence_of_every_command_and_a_bug_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str], script: str, says: str | None
) -> None:
    def command() -> None:
        with closing(sqlite3.connect(":memory:")) as database:
            database.executescript(script)

    if says is None:
        with pytest.raises(sqlite3.OperationalError):
            guard(command)
    else:
        assert guard(command) == 1
        assert says in capsys.readouterr().err


def test_every_finding_that_is_not_well_has_a_fix_and_no_fix_costs_money(workspace: Workspace) -> None:
    for spoil in (spoil_theme, spoil_ssh_key, spoil_keymap):
        spoil(workspace)
    for finding in [*examine(workspace, ""), *examine(None, "no workspace")]:
        assert finding.level == "ok" or finding.fix, finding
        assert finding.command[:1] not in [("rent",), ("destroy",), ("run",), ("rerent",), ("push",), ("pull",)]


@pytest.mark.parametrize(
    ("environment", "size", "encoding", "subject", "level"),
    [
        ({"TERM": "dumb"}, (80, 24), "utf-8", "terminal", "warning"),
        ({"TERM": "xterm"}, (80, 24), "utf-8", "terminal", "warning"),
        ({"TERM": "xterm-256color"}, (80, 24), "utf-8", "terminal", "ok"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, (80, 24), "utf-8", "terminal", "ok"),
        ({"TERM": "xterm-256color"}, (79, 24), "utf-8", "terminal's size", "warning"),
        ({"TERM": "xterm-256color"}, (80, 24), "utf-8", "terminal's size", "ok"),
        ({"TERM": "xterm-256color"}, (80, 24), "ANSI_X3.4-1968", "letters", "warning"),
    ],
)
def test_the_terminal_is_judged(
    environment: dict[str, str], size: tuple[int, int], encoding: str, subject: str, level: str
) -> None:
    found = by_subject(list(doctor_screen.terminal(environment, os.terminal_size(size), encoding)))[subject]
    assert found.level == level
    assert found.level == "ok" or found.fix


@pytest.mark.parametrize(("said", "level"), [("on", "ok"), ("external", "warning"), ("", "warning")])
def test_tmux_is_asked_only_from_inside(said: str, level: str) -> None:
    assert list(doctor_screen.tmux({}, lambda _name: said)) == []
    [found] = doctor_screen.tmux({"TMUX": "/tmp/x"}, lambda _name: said)
    assert found.level == level


def test_a_tmux_that_does_not_answer_is_told() -> None:
    def broken(_name: str) -> str:
        raise FileNotFoundError("tmux")

    [found] = doctor_screen.tmux({"TMUX": "/tmp/x"}, broken)
    assert (found.level, bool(found.fix)) == ("warning", True)


@pytest.mark.parametrize(("ahead_s", "level"), [(0, "ok"), (600, "warning"), (-600, "warning")])
def test_the_clock_is_held_against_the_clouds(workspace: Workspace, ahead_s: float, level: str) -> None:
    import time

    forget_key(workspace)
    [found] = doctor_place.clock(workspace, lambda _url: time.time() + ahead_s)
    assert found.level == level

    def silent(_url: str) -> float:
        raise OSError("no route to host")

    [found] = doctor_place.clock(workspace, silent)
    assert (found.level, "no route" in found.message) == ("warning", True)

    def babbling(_url: str) -> float:
        raise BadStatusLine("SSH-2.0")

    [found] = doctor_place.clock(workspace, babbling)
    assert (found.level, "SSH-2.0" in found.message) == ("warning", True)


def test_every_setting_has_its_source(workspace: Workspace) -> None:
    workspace.settings_file.write_text('[money]\nmax_usd_per_day = 3\n[keymap]\nfleet.shell = "x"\n')
    workspace.env_file.write_text(f"OPENAI_API_KEY={SECRET}\n")
    workspace.env_file.chmod(0o600)
    environment = {"SPOTTER_GUARD__MAX_USD": "7", "VAST_API_KEY": SECRET}
    os.environ.update(environment)
    try:
        found = {each.key: each for each in settings_in_force(workspace, environment)}
    finally:
        for name in environment:
            del os.environ[name]
    assert (found["money.max_usd_per_day"].source, found["money.max_usd_per_day"].value) == ("file", "3.0")
    assert (found["guard.max_usd"].source, found["guard.max_usd"].value) == ("environment", "7.0")
    assert found["guard.max_usd"].variable == "SPOTTER_GUARD__MAX_USD"
    assert (found["cloud.name"].source, found["cloud.name"].default) == ("default", '"local"')
    assert found["keymap.fleet.shell"].source == "file"
    assert (found["VAST_API_KEY"].value, found["VAST_API_KEY"].source) == ("set", "environment")
    assert (found["OPENAI_API_KEY"].value, found["OPENAI_API_KEY"].source) == ("set", ".env")
    assert SECRET not in repr(found)
    assert {key.partition(".")[0] for key in found} >= set(Settings.model_fields) - {"providers"}


def run(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(workspace.root), *arguments])


def test_the_command_tells_fixes_and_settings(workspace: Workspace) -> None:
    spoil_keymap(workspace)
    findings = json.loads(run(workspace, "doctor", "--json").stdout)
    [keymap] = [each for each in findings if each["subject"] == "keymap"]
    assert keymap["fix"]
    assert "→" in run(workspace, "doctor").stdout
    settings = json.loads(run(workspace, "doctor", "--settings", "--json").stdout)
    assert {"key": "cloud.name", "source": "default"}.items() <= settings[0].items()


NEWS = DoctorNews(
    (
        Finding("python", "ok", "3.11"),
        Finding("keymap", "warning", "[/x] is \x1b[31mno key", "edit it", ("keys", "--check")),
        Finding("vast.ai key", "error", "missing", "put it there", view="welcome"),
        Finding("disk", "warning", "1 GiB free", "make room"),
        Finding("disk", "warning", "another", "more room"),
    ),
)


@pytest.fixture
def app(workspace: Workspace) -> SpotterApp:
    return SpotterApp(workspace, "doctor", live=False)


async def opened(app: SpotterApp, row: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[object], list[str]]:
    did: list[object] = []
    copied: list[str] = []
    monkeypatch.setattr(app, "run_command", lambda argv, note: did.append(argv))
    monkeypatch.setattr(app, "go", lambda view, argument="": did.append(view))
    monkeypatch.setattr("console.screens.doctor.copy_text", lambda app, text, label: copied.append(text))
    view = app.view_called("doctor")
    assert isinstance(view, Doctor)
    view.show(NEWS)
    assert view.query_one(KeyedTable).put_cursor(row)
    return did, copied


@pytest.mark.parametrize(
    ("row", "does", "copies"),
    [
        ("finding:keymap", [("keys", "--check")], []),
        ("finding:vast.ai key", ["welcome"], []),
        ("finding:disk", [], ["make room"]),
        ("finding:disk#2", [], ["more room"]),
        ("finding:python", [], []),
    ],
)
async def test_enter_does_the_fix_or_copies_it(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch, row: str, does: list[object], copies: list[str]
) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        did, copied = await opened(app, row, monkeypatch)
        await pilot.press("enter")
        await pilot.pause()
        assert (did, copied) == (does, copies)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_view_shows_findings_as_text_with_their_fix_beside(
    app: SpotterApp, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await opened(app, "finding:keymap", monkeypatch)
        await until(pilot, lambda: "[/x] is \\x1b[31mno key" in shown(app), "the message as text")
        await until(pilot, lambda: "edit it" in shown(app), "its fix")
        assert "1 error" in shown(app)
        assert app.view.problem_count == 1


async def test_problems_only_and_settings_only(
    app: SpotterApp, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(app, "finding:python", monkeypatch)
        view, table = app.view, app.query_one(KeyedTable)
        assert isinstance(view, Doctor)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: all(row.problem for row in table.rows) and len(table.rows) == 4, "problems only")
        await pilot.press("exclamation_mark")
        view.show(DoctorNews(NEWS.findings, tuple(settings_in_force(workspace, {}))))
        await pilot.press("s", "s")
        await until(pilot, lambda: all(row.key.startswith("setting:") for row in table.rows), "settings only")
        table.put_cursor("setting:money.max_usd_per_day")
        await until(pilot, lambda: "SPOTTER_MONEY__MAX_USD_PER_DAY" in shown(app), "how it is changed")
        assert [each.text for each in view.copies()][:1] == ["10.0"]


async def test_it_looks_by_itself_when_it_is_opened_from_another_view(workspace: Workspace) -> None:
    app = SpotterApp(workspace, "welcome")
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press("0")
        await until(pilot, lambda: "cloud.name" in shown(app) or "python" in shown(app), "the findings")


def test_a_report_holds_all_and_no_escape() -> None:
    text = report(NEWS)
    assert all(finding.subject in text for finding in NEWS.findings)
    assert "\x1b" not in text
    assert len(finding_rows(NEWS.findings)) == len(NEWS.findings)


def test_a_setting_is_written_as_the_file_wants_it(workspace: Workspace) -> None:
    lines = {each.key: file_line(each) for each in settings_in_force(workspace, {})}
    assert lines["money.max_usd_per_day"] == "[money] max_usd_per_day = 10.0"
    assert lines["VAST_API_KEY"] == ""
