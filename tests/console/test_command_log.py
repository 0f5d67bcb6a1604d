"""What was run: kept, shown newest first, copied, and never with a secret in it."""

from __future__ import annotations

import fcntl
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from console.models import command_log
from console.models.command_log import REMEMBERED, CommandLog, Ran, append, read_calls, without_secrets

KEY = "planted0secret0value"


@pytest.fixture
def log(tmp_path: Path) -> CommandLog:
    (tmp_path / ".spotter").mkdir()
    return CommandLog(tmp_path / ".spotter" / "commands.jsonl", {"VAST_API_KEY": KEY, "HOME": "/home/operator"})


def test_a_command_is_kept_as_it_is_typed_with_how_it_ended(log: CommandLog) -> None:
    entry = log.begin(("spotter", "run", "data/мой файл.pdf", "--param", "dpi=200"), "run мой файл", 100.0)
    assert log.entries[0].exit_code is None
    log.end(entry, 3, 104.5)
    log.written()
    [row] = [json.loads(line) for line in log.path.read_text("utf-8").splitlines()]
    assert row == {
        "at": 100.0,
        "line": "spotter run 'data/мой файл.pdf' --param dpi=200",
        "note": "run мой файл",
        "exit_code": 3,
        "seconds": 4.5,
    }
    assert log.entries[0].exit_code == 3
    assert log.path.stat().st_mode & 0o077 == 0


def test_two_that_run_at_once_end_as_themselves(log: CommandLog) -> None:
    first, second = log.begin(("spotter", "a"), "a", 1.0), log.begin(("spotter", "b"), "b", 2.0)
    log.end(first, 0, 5.0)
    log.end(second, 1, 3.0)
    assert [(each.line, each.exit_code, each.seconds) for each in log.entries] == [
        ("spotter a", 0, 4.0),
        ("spotter b", 1, 1.0),
    ]


def test_files_that_grow_make_room_and_hold_the_newest_of_several_consoles(
    log: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_log, "FILE_BYTES", 4096)
    consoles, commands = 4, 60

    def console(number: int) -> None:
        for nth in range(commands):
            append(log.path, Ran(nth, float(nth), f"spotter {number} {nth}", "x" * 40))

    with ThreadPoolExecutor(consoles) as pool:
        list(pool.map(console, range(consoles)))
    files = [log.path.with_name("commands.1.jsonl"), log.path]
    assert sorted(log.path.parent.iterdir()) == sorted(files)
    assert all(file.stat().st_size < 4096 + 200 for file in files)
    kept = [json.loads(line)["line"] for file in files for line in file.read_text().splitlines()]
    assert 20 < len(kept) < consoles * commands
    for number in range(consoles):
        own = [int(line.split()[2]) for line in kept if line.startswith(f"spotter {number} ")]
        assert own == list(range(commands - len(own), commands)), "the newest, each once, none left out"
    assert oct(log.path.stat().st_mode & 0o777) == "0o600"


def test_a_command_that_met_a_file_put_aside_goes_into_the_new_one(
    log: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another console makes room between opening and locking."""
    aside, locked = log.path.with_name("commands.1.jsonl"), fcntl.flock

    def late(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", locked)
        log.path.replace(aside)
        locked(descriptor, how)

    append(log.path, Ran(1, 1.0, "spotter ps", ""))
    monkeypatch.setattr(fcntl, "flock", late)
    append(log.path, Ran(2, 2.0, "spotter runs", ""))
    assert [json.loads(file.read_text())["line"] for file in (aside, log.path)] == ["spotter ps", "spotter runs"]


def test_the_list_has_a_bound_and_the_file_has_all(log: CommandLog) -> None:
    for number in range(REMEMBERED + 20):
        log.note(f"ssh box{number}", "shell", float(number))
    log.written()
    assert len(log.entries) == REMEMBERED
    assert len(log.path.read_text().splitlines()) == REMEMBERED + 20


@pytest.mark.parametrize(
    "line",
    [
        f"VAST_API_KEY={KEY} spotter ps",
        f"curl -H 'Authorization: Bearer {KEY}x'",
        f"http://127.0.0.1:8888/?token={KEY}",
        "spotter x --api-key abcdefgh",
        "openai --key sk-proj-abcdefghijklmnop",
        f"vastai show --api-key={'0a' * 32}",
        f"echo {'0a' * 32}",
    ],
)
def test_no_secret_is_kept(log: CommandLog, line: str) -> None:
    log.note(line, line, 1.0)
    log.written()
    kept = log.path.read_text("utf-8") + repr(log.entries)
    for secret in (KEY, "abcdefgh", "0a0a0a0a"):
        assert secret not in kept


@pytest.mark.parametrize("line", ["spotter run --param tokens=5", "ssh -i .spotter/keys/id_ed25519 root@1.2.3.4"])
def test_what_is_no_secret_stays(line: str) -> None:
    assert without_secrets(line, {"HOME": "/home/x", "MONKEY": "root@1.2.3.4"}) == line


def test_a_file_that_cannot_be_written_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "spotter.toml").write_text("")
    (tmp_path / "in-the-way").write_text("")
    log = CommandLog(tmp_path / "in-the-way" / "commands.jsonl")
    log.note("ssh box", "shell", 1.0)
    log.written()
    assert "not written" in log.trouble
    assert log.entries


def test_a_folder_that_is_no_workspace_stays_untouched(tmp_path: Path) -> None:
    log = CommandLog(tmp_path / ".spotter" / "commands.jsonl", {})
    log.note("ssh box", "shell", 1.0)
    log.written()
    assert log.entries
    assert log.trouble == ""
    assert list(tmp_path.iterdir()) == []


def test_the_clouds_calls_are_read_from_its_audit(tmp_path: Path) -> None:
    path = tmp_path / "vast-calls.jsonl"
    assert read_calls(path) == []
    row = {"at": 5.0, "method": "PUT", "host": "console.vast.ai", "path": "/api/v0/asks/7/", "query": "a=b", "body_sha256": None, "status": 200, "ms": 81, "waited_ms": 0, "attempt": 1}  # fmt: skip  # noqa: E501
    path.write_text(json.dumps(row) + "\n" + '{"at": 6.0, "met')
    [call] = read_calls(path)
    assert (call.line, call.status, call.milliseconds) == ("PUT https://console.vast.ai/api/v0/asks/7/?a=b", "200", 81)


def test_a_long_audit_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "vast-calls.jsonl"
    row = {"at": 0.0, "method": "GET", "host": "h", "path": "/p", "query": "", "status": 200, "ms": 1}
    path.write_text("".join(json.dumps({**row, "at": float(number)}) + "\n" for number in range(10_000)))
    calls = read_calls(path)
    assert calls[-1].at == 9_999
    assert 1_000 < len(calls) < 10_000
