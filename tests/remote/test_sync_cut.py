"""A connection that dies in mid-transfer, three ways, against a real OpenSSH server: noticed, resumed, identical."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from remote.progress import Progress
from remote.release import ReleaseFile
from remote.sync.pull import pull_artifacts
from remote.sync.push import push_blobs, push_release, push_run
from remote.transport import Transport, TransportError
from tests.remote.sshd import Sshd, Starved, eventually, signal_all

SMALL_FILES = 60
LARGE_BYTES = 32 << 20
"""Far more than may be on its way when a peer dies: the channel's window (4 MiB) and the kernel's buffers."""
DIE_AT_BYTES = 6 << 20
NOTICED_WITHIN_S = 10.0

Death = Callable[[Sshd, Transport], None]


def killed(sshd: Sshd, _transport: Transport) -> None:
    """The session's process on the box dies; its socket closes."""
    sshd.cut()


def frozen(sshd: Sshd, _transport: Transport) -> None:
    """Nothing on the box answers any more; the sockets stay open."""
    sshd.freeze()


def cut(sshd: Sshd, transport: Transport) -> None:
    """This side hangs up in the middle."""
    transport.close()


DEATHS = pytest.mark.parametrize("death", [killed, frozen, cut])


class Once:
    """Lets the connection die when so much has gone over it, and remembers when."""

    def __init__(self, sshd: Sshd, transport: Transport, death: Death) -> None:
        self._sshd, self._transport, self._death = sshd, transport, death
        self.died_at = 0.0

    def __call__(self, progress: Progress) -> None:
        if not self.died_at and progress.unit == "bytes" and DIE_AT_BYTES < progress.done < (progress.total or 0):
            self.died_at = time.monotonic()
            self._death(self._sshd, self._transport)


def dies(sshd: Sshd, death: Death, act: Callable[[Transport, Once], object]) -> None:
    """Run `act` until the connection dies in it, and see that this is noticed in time."""
    transport = sshd.connect()
    once = Once(sshd, transport, death)
    try:
        with Starved() as starved, pytest.raises(TransportError):
            act(transport, once)
        assert time.monotonic() - once.died_at < starved.longer(NOTICED_WITHIN_S)
    finally:
        transport.close()
        sshd.thaw()


def material(folder: Path) -> dict[str, bytes]:
    """Small files around a large one, which sorts in the middle."""
    files = {f"artifacts/{number:03}/a": os.urandom(5000) for number in range(SMALL_FILES)}
    files["artifacts/030-large"] = os.urandom(LARGE_BYTES)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return files


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Meter:
    """How many bytes were still to go when a transfer began."""

    def __init__(self) -> None:
        self.first: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        if self.first is None and progress.total:
            self.first = progress

    @property
    def left(self) -> float:
        assert self.first is not None
        return (self.first.total or 0) - self.first.done


@DEATHS
def test_a_release_goes_on_with_what_arrived(sshd: Sshd, tmp_path: Path, death: Death) -> None:
    files = material(tmp_path / "code")
    release = [ReleaseFile(name, tmp_path / "code" / name) for name in files]
    dies(sshd, death, lambda transport, once: push_release(transport, "spotter", release, once))
    releases = sshd.home / "spotter" / "releases"
    assert not [path for path in releases.iterdir() if not path.name.startswith(".")]
    meter = Meter()
    with sshd.connect() as transport:
        pushed = push_release(transport, "spotter", release, meter)
    assert tree(Path(pushed.path)) == files
    assert meter.left < sum(map(len, files.values())) - DIE_AT_BYTES / 2, "it began anew"
    assert not list(releases.glob(".*.draft"))


@DEATHS
def test_a_run_goes_on_with_what_arrived(sshd: Sshd, tmp_path: Path, death: Death) -> None:
    run = tmp_path / "01run"
    material(run)
    (run / "run.json").write_text('{"run_id": "01run"}')
    dies(sshd, death, lambda transport, once: push_run(transport, "spotter", run, once))
    assert not (sshd.home / "spotter" / "runs" / "01run").exists()
    meter = Meter()
    with sshd.connect() as transport:
        pushed = push_run(transport, "spotter", run, meter)
    assert tree(Path(pushed.path)) == tree(run)
    assert meter.left < LARGE_BYTES - DIE_AT_BYTES / 2, "it began anew"


@DEATHS
def test_data_goes_on_with_what_arrived(sshd: Sshd, tmp_path: Path, death: Death) -> None:
    files = material(tmp_path / "data")
    blobs = {hashlib.sha256(data).hexdigest(): tmp_path / "data" / name for name, data in files.items()}
    dies(sshd, death, lambda transport, once: push_blobs(transport, "spotter", blobs, once))
    with sshd.connect() as transport:
        pushed = push_blobs(transport, "spotter", blobs)
    assert pushed.sent_bytes < sum(map(len, files.values())) - DIE_AT_BYTES / 2, "it began anew"
    store = Path(pushed.path)
    assert {name: (store / name[:2] / name).read_bytes() for name in blobs} == {
        hashlib.sha256(data).hexdigest(): data for data in files.values()
    }


@DEATHS
def test_a_pull_goes_on_with_what_arrived(sshd: Sshd, tmp_path: Path, death: Death) -> None:
    run = sshd.home / "spotter" / "runs" / "01run"
    files = material(run)
    with (run / "artifacts.jsonl").open("w") as listing:
        for name, data in files.items():
            row = {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            listing.write(json.dumps(row) + "\n")
    local = tmp_path / "01run"
    dies(sshd, death, lambda transport, once: pull_artifacts(transport, "spotter/runs/01run", local, once))
    with sshd.connect() as transport:
        pulled = pull_artifacts(transport, "spotter/runs/01run", local)
    assert pulled.missing == ()
    assert pulled.bytes < sum(map(len, files.values())) - DIE_AT_BYTES / 2, "it began anew"
    got = {name: data for name, data in tree(local).items() if name.startswith("artifacts/")}
    assert got == files


def test_a_transfer_that_hangs_on_a_dead_connection_does_not_keep_the_next_one_out(sshd: Sshd, tmp_path: Path) -> None:
    """The box may not know yet that its peer is gone: its process is ended when somebody wants to go on."""
    files = material(tmp_path / "code")
    release = [ReleaseFile(name, tmp_path / "code" / name) for name in files]
    silent_peer = sshd.connect()
    stuck = Once(sshd, silent_peer, lambda _sshd, _transport: (_ for _ in ()).throw(TimeoutError))
    with pytest.raises(TimeoutError):  # the operator's program stops; session and agent stay as they were
        push_release_without_hanging_up(silent_peer, release, stuck)
    holders = [process for process in sshd.leftovers() if "receive-release" in process.cmdline()]
    assert len(holders) == 1
    with sshd.connect() as transport:
        pushed = push_release(transport, "spotter", release)
    assert tree(Path(pushed.path)) == files
    eventually(lambda: not holders[0].is_running() or holders[0].status() == "zombie", what="the orphan is ended")
    silent_peer.close()


def push_release_without_hanging_up(transport: Transport, release: list[ReleaseFile], stuck: Once) -> None:
    from remote.sync.session import Session

    close = Session.close
    Session.close = lambda self: None  # type: ignore[method-assign]
    try:
        push_release(transport, "spotter", release, stuck)
    finally:
        Session.close = close  # type: ignore[method-assign]


def test_an_agent_that_is_killed_in_the_middle_leaves_nothing_wrong(sshd: Sshd, tmp_path: Path) -> None:
    files = material(tmp_path / "code")
    release = [ReleaseFile(name, tmp_path / "code" / name) for name in files]

    def kill_agent(sshd: Sshd, _transport: Transport) -> None:
        signal_all([each for each in sshd.leftovers() if "receive-release" in each.cmdline()], signal.SIGKILL)

    dies(sshd, kill_agent, lambda transport, once: push_release(transport, "spotter", release, once))
    with sshd.connect() as transport:
        pushed = push_release(transport, "spotter", release)
    assert tree(Path(pushed.path)) == files
