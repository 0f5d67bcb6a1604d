from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pymupdf
import pytest

from remote.jobs import Agent, AgentError, JobSpec, SqliteCopy
from remote.sync.live import pull_live
from remote.sync.pull import BoxBehind, BoxDiverged
from remote.sync.push import push_blobs, push_run
from remote.transport import Transport
from tests.remote.sshd import Sshd, eventually, signal_all

REPOSITORY = Path(__file__).parents[2]
PAGES = 12


@pytest.fixture
def agent(transport: Transport) -> Iterator[Agent]:
    with Agent.start(transport, "spotter") as agent:
        yield agent


class BoxRun:
    """A run on the box whose ledger is written here as its runner would."""

    def __init__(self, sshd: Sshd, agent: Agent) -> None:
        self.folder = sshd.home / "spotter" / "runs" / "01run"
        self.folder.mkdir(parents=True)
        self.path = f"{agent.root}/runs/01run"
        self.writer: sqlite3.Connection | None = None

    def finish(self, item: str) -> None:
        """A file, its line in the list, its row in the ledger: in this order."""
        self.list(item, item.encode())
        if self.writer is None:
            self.writer = sqlite3.connect(self.folder / "ledger.sqlite", isolation_level=None)
            self.writer.execute("PRAGMA journal_mode=WAL")
            self.writer.execute("CREATE TABLE IF NOT EXISTS results (item)")
        self.writer.execute("INSERT INTO results VALUES (?)", (item,))

    def end_session(self) -> None:
        """Fold the log in and list the ledger."""
        assert self.writer is not None
        self.writer.execute("PRAGMA journal_mode=DELETE")
        self.writer.close()
        self.writer = None
        self.list("ledger.sqlite", (self.folder / "ledger.sqlite").read_bytes())

    def list(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)
        row = {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        with (self.folder / "artifacts.jsonl").open("a") as listing:
            listing.write(json.dumps(row) + "\n")


@pytest.fixture
def box(sshd: Sshd, agent: Agent) -> Iterator[BoxRun]:
    run = BoxRun(sshd, agent)
    yield run
    if run.writer is not None:
        run.writer.close()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return tmp_path / "ноутбук" / "01run"


def done_here(local: Path) -> list[str]:
    with closing(sqlite3.connect(local / "ledger.sqlite")) as ledger:
        return [item for (item,) in ledger.execute("SELECT item FROM results ORDER BY rowid")]


def listed_here(local: Path) -> list[str]:
    return [json.loads(line)["path"] for line in (local / "artifacts.jsonl").read_text().splitlines()]


def test_a_run_without_a_ledger_is_pulled_all_the_same(
    agent: Agent, transport: Transport, box: BoxRun, local: Path
) -> None:
    box.list("a", b"1")
    assert pull_live(agent, transport, box.path, local).files == 1
    assert not (local / "ledger.sqlite").exists()


def test_the_ledger_of_a_living_run_follows_and_its_files_are_all_here(
    agent: Agent, transport: Transport, box: BoxRun, local: Path
) -> None:
    for count in range(1, 4):
        box.finish(f"item-{count}")
        pulled = pull_live(agent, transport, box.path, local)
        assert (pulled.files, pulled.missing) == (1, ())
        assert done_here(local) == [f"item-{number + 1}" for number in range(count)]
        assert all((local / item).exists() for item in done_here(local))
    written = (local / "ledger.sqlite").stat()
    pull_live(agent, transport, box.path, local)
    assert (local / "ledger.sqlite").stat().st_ino == written.st_ino, "fetched again although nothing was done"
    assert not list(local.glob("ledger.sqlite-*"))


def after_snapshot(agent: Agent, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    take = agent.snapshot_sqlite

    def taken(path: str, to: str, **options: Any) -> SqliteCopy:
        copy = take(path, to, **options)
        act()
        return copy

    monkeypatch.setattr(agent, "snapshot_sqlite", taken)


def test_what_is_done_after_the_snapshot_is_not_in_the_ledger_before_its_files_are_here(
    agent: Agent, transport: Transport, box: BoxRun, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.finish("a")
    after_snapshot(agent, monkeypatch, lambda: box.finish("b"))
    pull_live(agent, transport, box.path, local)
    assert done_here(local) == ["a"]
    assert listed_here(local) == ["a", "b"]


def test_a_final_ledger_that_was_listed_meanwhile_is_not_replaced_by_the_older_snapshot(
    agent: Agent, transport: Transport, box: BoxRun, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.finish("a")

    def end() -> None:
        box.finish("b")
        box.end_session()

    with monkeypatch.context() as patch:
        after_snapshot(agent, patch, end)
        pull_live(agent, transport, box.path, local)
    final = (box.folder / "ledger.sqlite").read_bytes()
    assert (local / "ledger.sqlite").read_bytes() == final
    assert pull_live(agent, transport, box.path, local).missing == ()
    assert (local / "ledger.sqlite").read_bytes() == final


def test_a_session_after_the_listed_one_is_followed_and_its_end_listed_again(
    agent: Agent, transport: Transport, box: BoxRun, local: Path
) -> None:
    box.finish("a")
    box.end_session()
    pull_live(agent, transport, box.path, local)
    assert listed_here(local) == ["a", "ledger.sqlite"]
    box.finish("b")
    assert pull_live(agent, transport, box.path, local).missing in ((), ("ledger.sqlite",))
    assert done_here(local) == ["a", "b"]
    assert listed_here(local) == ["a", "b"], "the list here speaks of a ledger that is not here"
    box.end_session()
    assert pull_live(agent, transport, box.path, local).missing == ()
    assert done_here(local) == ["a", "b"]
    assert set(listed_here(local)) == {"a", "b", "ledger.sqlite"}


def test_a_ledger_that_cannot_be_copied_is_told_after_the_files_are_pulled(
    agent: Agent, transport: Transport, box: BoxRun, local: Path
) -> None:
    box.finish("a")
    (box.folder / ".snapshot").write_text("in the way")
    with pytest.raises(AgentError, match="snapshot"):
        pull_live(agent, transport, box.path, local)
    assert listed_here(local) == ["a"]


def test_a_journal_that_a_reader_left_here_is_not_played_into_the_new_ledger(
    agent: Agent, transport: Transport, box: BoxRun, local: Path
) -> None:
    local.mkdir(parents=True)
    reader = sqlite3.connect(local / "ledger.sqlite", isolation_level=None)
    reader.execute("PRAGMA journal_mode=WAL")
    reader.execute("CREATE TABLE results (item)")
    reader.execute("INSERT INTO results VALUES ('of long ago')")
    box.finish("a")
    pull_live(agent, transport, box.path, local)
    assert done_here(local) == ["a"]
    reader.close()


@pytest.mark.parametrize(
    ("on_the_box", "refusal"), [('{"seq": 1}\n', BoxBehind), ("", BoxBehind), ('{"seq": 1}\n{"seq": 9}\n', BoxDiverged)]
)
def test_an_abandoned_box_never_brings_back_what_another_one_went_on_from(
    agent: Agent, transport: Transport, box: BoxRun, local: Path, on_the_box: str, refusal: type[BoxBehind]
) -> None:
    box.finish("old")
    (box.folder / "events.jsonl").write_text(on_the_box)
    pull_live(agent, transport, box.path, local)
    newer = {"events.jsonl": b'{"seq": 1}\n{"seq": 2}\n', "ledger.sqlite": b"newer", "old": b"newer"}
    for name, data in newer.items():
        (local / name).write_bytes(data)
    listing = (local / "artifacts.jsonl").read_bytes()
    box.finish("late")
    with pytest.raises(refusal, match="another box"):
        pull_live(agent, transport, box.path, local)
    assert {name: (local / name).read_bytes() for name in newer} == newer
    assert (local / "artifacts.jsonl").read_bytes() == listing
    (box.folder / "events.jsonl").write_bytes(newer["events.jsonl"] + b'{"seq": 3}\n')
    pull_live(agent, transport, box.path, local)
    assert done_here(local) == ["old", "late"]


# the real worker


def write_pdf(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with pymupdf.open() as document:
        for number in range(PAGES):
            page = document.new_page(width=595, height=842)
            for line in range(40):
                page.insert_text((60, 80 + 16 * line), f"Page {number + 1}, line {line}: measured and written down.")
            page.draw_rect(pymupdf.Rect(60, 740, 300, 800))
        document.save(path)


def plan(workspace: Path, run_dir: Path) -> dict[str, Any]:
    (workspace / "params.yaml").write_text("sources: [data]\nworkers: 1\n")
    argv = [sys.executable, "-m", "pipeline", "plan", "docparse", "--params", str(workspace / "params.yaml")]
    argv += ["--run-dir", str(run_dir), "--workspace", str(workspace)]
    done = subprocess.run(argv, check=True, capture_output=True, cwd=REPOSITORY)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def job(job_id: str, run_path: str, blobs: str) -> JobSpec:
    argv = (sys.executable, "-m", "pipeline", "run", "docparse", "--run-dir", run_path, "--blobs", blobs, "--resume")
    return JobSpec(job_id, argv, env={"PYTHONPATH": str(REPOSITORY)})


def executions(ledger: Path) -> Counter[tuple[str, str]]:
    with closing(sqlite3.connect(ledger)) as database:
        return Counter(database.execute("SELECT stage, item_id FROM executions WHERE outcome = 'ok'").fetchall())


def works_in(process: psutil.Process, folder: str) -> bool:
    """Whether a process was started for the folder; one that ended meanwhile was a command of the agent's."""
    try:
        return folder in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_a_run_whose_box_is_lost_goes_on_elsewhere_and_repeats_nothing_that_the_laptop_knew_of(
    sshd: Sshd, transport: Transport, agent: Agent, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    write_pdf(workspace / "data" / "a report.pdf")
    local = workspace / "out" / "runs" / "01run"
    planned = plan(workspace, local)
    assert planned["items"] == PAGES
    blobs = {source["sha256"]: workspace / source["path"] for source in planned["sources"]}
    first = push_run(transport, "spotter", local)
    stored = push_blobs(transport, "spotter", blobs).path
    agent.launch(job("first", first.path, stored))

    def a_third_is_here() -> bool:
        pull_live(agent, transport, first.path, local)
        here = local / "ledger.sqlite"
        return here.exists() and sum(executions(here).values()) >= PAGES // 3

    eventually(a_third_is_here, timeout_s=60, what="a third of the pages is done and known here")
    lost = [process for process in sshd.leftovers() if works_in(process, first.path)]
    signal_all(lost, signal.SIGKILL)
    assert agent.wait("first", timeout_s=60).signal == signal.SIGKILL
    known = executions(local / "ledger.sqlite")
    assert set(known.values()) == {1}

    with Agent.start(transport, "another box") as other:
        second = push_run(transport, "another box", local)
        assert not second.reused
        stored = push_blobs(transport, "another box", blobs).path
        other.launch(job("second", second.path, stored))
        ended = other.wait("second", timeout_s=120)
        assert ended.exit_code == 0, other.follow(ended.log, 0).decode()
        pull_live(other, transport, second.path, local)

    total = executions(local / "ledger.sqlite")
    assert json.loads((local / "run.json").read_text())["state"] == "succeeded"
    assert {key: total[key] for key in known} == dict.fromkeys(known, 1)
    assert len(total) > len(known), "the run was over before its box was lost: nothing was shown"
    with closing(sqlite3.connect(local / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM sessions").fetchone() == (2,)
