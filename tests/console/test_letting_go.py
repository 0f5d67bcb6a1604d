"""Taking a run over: its driver is asked, killed only when it does not answer, and nobody else is ever interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest
import typer

from console.operations import letting_go
from console.operations.letting_go import NotTheDriver, take_over
from console.operations.runbook import Holder, Runbook
from console.workspace import create_workspace
from remote.agent import process

RUN = "01abc"
PROGRAM = """
    import sys, time
    from pathlib import Path
    from console.operations.letting_go import LetGo, may_let_go
    from console.operations.runbook import Runbook
    from console.operations.signals import deaf_to_signals
    from console.workspace import Workspace

    def hold(**role):
        return Runbook(Workspace(Path(sys.argv[1]))).hold("01abc", **role)

    {body}
"""
DRIVES = """
    try:
        with may_let_go(), hold(drives=True):
            print("holds", flush=True)
            time.sleep(60)
    except LetGo as word:
        print(word, flush=True)
"""
DEAF = """
    with may_let_go(), hold(drives=True), deaf_to_signals():
        print("holds", flush=True)
        time.sleep(60)
"""
CANCELS = """
    with hold():
        print("holds", flush=True)
        time.sleep(60)
"""
Started = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def runbook(tmp_path: Path) -> Runbook:
    return Runbook(create_workspace(tmp_path / "w")[0])


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    living: list[subprocess.Popen[str]] = []

    def start(body: str) -> subprocess.Popen[str]:
        program = dedent(PROGRAM).format(body=dedent(body))
        argv = [sys.executable, "-c", program, str(tmp_path / "w")]
        living.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
        assert living[-1].stdout is not None
        assert living[-1].stdout.readline() == "holds\n"
        return living[-1]

    yield start
    for each in living:
        each.kill()
        each.communicate()


def test_a_driver_that_is_asked_lets_go_and_says_so(runbook: Runbook, started: Started) -> None:
    driver, said = started(DRIVES), list[str]()
    take_over(runbook, RUN, said.append)
    assert runbook.held_by(RUN) is None
    assert driver.communicate(timeout=60)[0] == "another process goes on with this run\n"
    assert driver.returncode == 0
    assert said == [f"asking process {driver.pid}, which follows run {RUN}, to let go"]


def test_one_that_does_not_answer_is_killed(runbook: Runbook, started: Started) -> None:
    driver, said = started(DEAF), list[str]()
    take_over(runbook, RUN, said.append, patience_s=0.2)
    assert driver.wait(timeout=60) == -signal.SIGKILL
    assert said[1:] == [f"process {driver.pid} does not answer and is killed"]


def test_who_is_at_the_run_and_does_not_drive_it_is_left_alone(runbook: Runbook, started: Started) -> None:
    other = started(CANCELS)
    with pytest.raises(NotTheDriver, match=f"process {other.pid} is at run {RUN}"):
        take_over(runbook, RUN, print)
    assert other.poll() is None


def test_a_stranger_under_the_number_in_the_lock_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = process.row(os.getppid())
    assert found is not None
    holder = Holder(found.pid, found.start + "0", drives=True)
    monkeypatch.setattr(letting_go.os, "kill", lambda *_: pytest.fail("it was sent a signal"))
    book = SimpleNamespace(held_by=lambda _run_id: holder)
    with pytest.raises(NotTheDriver, match="cannot be told"):
        take_over(book, RUN, print)  # type: ignore[arg-type]


def test_cancel_interrupts_no_stranger_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from console.commands import runs

    holder = Holder(os.getppid(), "another's", drives=True)
    monkeypatch.setattr(runs.os, "kill", lambda *_: pytest.fail("it was sent a signal"))
    with pytest.raises(typer.Exit):
        runs.stop_driver(SimpleNamespace(held_by=lambda _run_id: holder), RUN)  # type: ignore[arg-type]
    assert "cannot be told" in capsys.readouterr().err
