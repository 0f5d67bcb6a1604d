"""Notes of what is being sent to a box: any process can read them, and stop what is under way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.operations.events import OperationEvent
from console.operations.transfers import NothingToStop, TransferNotes
from console.workspace import Workspace, create_workspace


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path)[0]


def test_a_transfer_tells_how_far_it_is_and_that_it_is_over(place: Workspace) -> None:
    notes = TransferNotes(place)
    assert notes.read(7) is None
    with notes.noting(7, "push") as tell:
        assert notes.holder(7) == os.getpid()
        tell(OperationEvent("push", "started", "sending data/"))
        tell(OperationEvent("push", "finished", "data/: 3 files"))
        found = notes.read(7)
        assert found is not None
        assert (found.what, found.state, found.message) == ("push", "running", "data/: 3 files")
        assert found.last_ok_at is not None
    ended = notes.read(7)
    assert ended is not None
    assert ended.state == "finished"
    assert notes.holder(7) is None


def test_a_transfer_goes_on_where_no_note_can_be_kept(place: Workspace) -> None:
    (place.state / "transfers").write_text("in the way")
    with TransferNotes(place).noting(7, "push") as tell:
        tell(OperationEvent("push", "started", "sending data/"))


def test_ticks_give_a_share_and_a_rate(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.operations.transfers.WRITE_EVERY_S", 0.0)
    now = 1000.0
    monkeypatch.setattr("console.operations.transfers.time.time", lambda: now)
    notes = TransferNotes(place)
    with notes.noting(7, "push") as tell:
        tell(OperationEvent("push", "started", "sending"))
        now = 1010.0
        tell(OperationEvent("push", "progress", "sending", 500.0, 2000.0, "bytes"))
        found = notes.read(7)
    assert found is not None
    assert (found.fraction, found.rate) == (0.25, 50.0)


def test_a_failed_transfer_says_why_and_keeps_when_it_last_went_well(place: Workspace) -> None:
    notes = TransferNotes(place)
    with notes.noting(7, "push") as tell:
        tell(OperationEvent("push", "finished", "done"))
    before = notes.read(7)
    with pytest.raises(OSError, match="line broke"), notes.noting(7, "push"):
        raise OSError("line broke")
    found = notes.read(7)
    assert found is not None
    assert before is not None
    assert (found.state, found.message, found.last_ok_at) == ("failed", "line broke", before.last_ok_at)


def test_a_second_transfer_leaves_the_first_ones_note_alone(place: Workspace) -> None:
    notes = TransferNotes(place)
    with notes.noting(7, "sync --watch"):
        with notes.noting(7, "push") as tell:
            tell(OperationEvent("push", "started", "mine"))
        found = notes.read(7)
    assert found is not None
    assert (found.what, found.message) == ("sync --watch", "")


def test_a_transfer_in_another_process_is_stopped_as_by_ctrl_c(place: Workspace) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from console.operations.transfers import TransferNotes\n"
        "from console.workspace import Workspace\n"
        "with TransferNotes(Workspace(Path(sys.argv[1]))).noting(7, 'push'):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
    )
    sender = subprocess.Popen(
        [sys.executable, "-c", program, str(place.root)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert sender.stdout is not None
        assert sender.stdout.readline() == b"begun\n"
        notes = TransferNotes(place)
        assert notes.holder(7) == sender.pid
        notes.stop(7)
        assert sender.wait(60) != 0
        found = notes.read(7)
        assert found is not None
        assert (found.state, found.message) == ("failed", "stopped")
        with pytest.raises(NothingToStop):
            notes.stop(7)
    finally:
        sender.kill()
        sender.wait()


def test_a_transfer_whose_process_was_killed_is_broken_off(place: Workspace) -> None:
    notes = TransferNotes(place)
    with notes.noting(7, "push"):
        kept = (place.state / "transfers" / "7.json").read_bytes()
    (place.state / "transfers" / "7.json").write_bytes(kept)
    assert b'"running"' in kept
    found = notes.read(7)
    assert found is not None
    assert found.state == "broken off"
