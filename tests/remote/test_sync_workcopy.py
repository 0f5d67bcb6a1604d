from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from console.operations.destroy import StillNeeded, check_nothing_is_lost
from console.operations.events import OperationEvent
from console.operations.live_sync import live_sync
from console.operations.session import Session
from console.operations.sync import NothingToTake, diff, push, take
from console.settings import Secrets, Settings
from console.workspace import create_workspace
from remote.agent.files import UnsafePath
from remote.sync.session import TransferError
from remote.sync.workcopy import CopyFile, checkout
from remote.transport import Transport
from tests.remote.sshd import Sshd, eventually


class SshdSession(Session):
    """A session whose only instance is a real OpenSSH server."""

    def __init__(self, workspace: Any, sshd: Sshd) -> None:
        super().__init__(workspace, Settings(), Secrets())
        self.sshd = sshd

    def reach(self, instance_id: int) -> Transport:
        return self.sshd.connect()


@pytest.fixture
def here(sshd: Sshd, tmp_path: Path) -> SshdSession:
    workspace, _fresh = create_workspace(tmp_path / "laptop")
    root = workspace.root
    subprocess.run(["git", "-C", str(root), "init", "-q"], check=True)
    (root / "notes.ipynb").write_text("v1")
    (root / "src").mkdir()
    (root / "src" / "job.py").write_text("print(1)")
    (root / ".env").write_text("VAST_API_KEY=sk-planted-4f2a9c8e7d")
    (root / ".env").chmod(0o600)
    (root / "data" / "отчёты").mkdir()
    (root / "data" / "отчёты" / "a.pdf").write_bytes(os.urandom(3 << 20))
    (root / "data" / "b.json").write_text("{}")
    (root / "data" / "gcs_sa.json").write_text("secret")
    return SshdSession(workspace, sshd)


def copy_of(sshd: Sshd) -> Path:
    return sshd.home / "spotter" / "workspace"


def differences(here: Session, path: str | None = None) -> dict[str, str]:
    return {each.name: each.kind for each in diff(here, 1, path)}


def test_a_push_brings_code_and_data_and_nothing_secret(here: SshdSession, sshd: Sshd) -> None:
    pushed = push(here, 1)
    copy = copy_of(sshd)
    assert (copy / "notes.ipynb").read_text() == "v1"
    source = here.workspace.data / "отчёты" / "a.pdf"
    assert (copy / "data" / "отчёты" / "a.pdf").read_bytes() == source.read_bytes()
    assert pushed.data_files == 2
    assert "data/gcs_sa.json: its name says that it is secret" in pushed.left_out
    everything = [path.read_bytes() for path in (sshd.home / "spotter").rglob("*") if path.is_file()]
    assert not any(b"sk-planted-4f2a9c8e7d" in data or data == b"secret" for data in everything)
    assert (sshd.home / "spotter" / "code" / "src" / "job.py").read_text() == "print(1)"
    assert b'"dirty": ["' in (sshd.home / "spotter" / "releases" / f"{pushed.code_release}.json").read_bytes()
    assert differences(here) == {}
    again = push(here, 1)
    assert (again.updated, again.removed, again.sent_bytes, again.conflicts) == ((), (), 0, ())


def test_what_was_edited_on_the_box_survives_every_push(here: SshdSession, sshd: Sshd) -> None:
    push(here, 1)
    copy, root = copy_of(sshd), here.workspace.root
    (copy / "notes.ipynb").write_text("edited on the box")
    (copy / "made-there.txt").write_text("made there")
    (root / "notes.ipynb").write_text("v2")
    (root / "src" / "job.py").write_text("print(2)")
    (root / "data" / "b.json").unlink()
    pushed = push(here, 1)
    assert pushed.conflicts == ("notes.ipynb",)
    assert (pushed.updated, pushed.removed) == (("src/job.py",), ("data/b.json",))
    assert (copy / "notes.ipynb").read_text() == "edited on the box"
    assert (copy / "made-there.txt").read_text() == "made there"
    assert differences(here) == {"made-there.txt": "only there", "notes.ipynb": "changed on both"}
    assert differences(here, "src") == {}
    with pytest.raises(StillNeeded, match=r"made-there.txt"):
        check_nothing_is_lost(here, 1)


def test_the_boxes_version_wins_and_ours_is_kept(here: SshdSession, sshd: Sshd) -> None:
    push(here, 1)
    root = here.workspace.root
    (copy_of(sshd) / "notes.ipynb").write_text("theirs")
    assert differences(here) == {"notes.ipynb": "changed there"}
    (root / "notes.ipynb").write_text("ours")
    taken = take(here, 1, "notes.ipynb", "box")
    assert (root / "notes.ipynb").read_text() == "theirs"
    assert taken.kept is not None
    assert (root / taken.kept).read_text() == "ours"
    assert differences(here) == {}
    assert push(here, 1).conflicts == ()
    check_nothing_is_lost(here, 1)
    with pytest.raises(NothingToTake):
        take(here, 1, "notes.ipynb", "box")


def test_our_version_wins_and_theirs_is_kept(here: SshdSession, sshd: Sshd) -> None:
    push(here, 1)
    copy = copy_of(sshd)
    (copy / "notes.ipynb").write_text("theirs")
    (here.workspace.root / "notes.ipynb").write_text("ours")
    taken = take(here, 1, "notes.ipynb", "laptop")
    assert (copy / "notes.ipynb").read_text() == "ours"
    assert taken.kept is not None
    assert (copy / taken.kept).read_text() == "theirs"
    assert differences(here) == {}


def test_a_checkout_never_leaves_its_folder_nor_reads_outside_of_the_store(transport: Transport, sshd: Sshd) -> None:
    (sshd.home / "secret").write_text("secret")
    wicked = [("../out", "blobs/aa/bb"), ("a", "../secret"), ("a", "agent/x"), ("a", "blobs/../../secret")]
    for name, source in wicked:
        with pytest.raises((TransferError, UnsafePath)):
            checkout(transport, "spotter", [CopyFile(name, 0o644, "0" * 64, source)])
    copy_of(sshd).mkdir(parents=True, exist_ok=True)
    (copy_of(sshd) / "way").symlink_to(sshd.home)
    with pytest.raises(TransferError, match="outside"):
        checkout(transport, "spotter", [CopyFile("way/out", 0o644, "0" * 64, "blobs/aa/bb")])
    assert not (sshd.home / "out").exists()


def test_while_it_is_watched_changes_follow_and_errors_are_said(here: SshdSession, sshd: Sshd) -> None:
    said: list[OperationEvent] = []
    stop = threading.Event()
    watching = threading.Thread(target=live_sync, args=(here, 1, stop, said.append))
    watching.start()
    try:
        copy, root = copy_of(sshd), here.workspace.root
        eventually(lambda: (copy / "data" / "b.json").exists(), 30, "the first push")
        eventually(lambda: any("working copy" in event.message for event in said), 30, "the first push's end")
        (root / "data" / "new.json").write_text("[1]")
        (root / "src" / "job.py").write_text("print(2)")
        eventually(lambda: (copy / "data" / "new.json").exists(), 30, "new data")
        eventually(lambda: (copy / "src" / "job.py").read_text() == "print(2)", 30, "changed code")
        (copy / "notes.ipynb").write_text("edited there")
        (root / "notes.ipynb").write_text("edited here")
        eventually(lambda: any(e.operation == "conflict" and "notes.ipynb" in e.message for e in said), 30, "conflict")
        sshd.cut()
        (root / "data" / "after.json").write_text("[2]")
        eventually(lambda: (copy / "data" / "after.json").exists(), 30, "a push over a new connection")
        records = here.workspace.run_folder("01run") / "records"
        records.mkdir(parents=True)
        (records / "docparse.ndjson").write_text("no record\n")
        eventually(lambda: any(event.operation == "ingest" for event in said), 30, "ingestion of what arrived")
    finally:
        stop.set()
        watching.join(90)
    assert not watching.is_alive()
