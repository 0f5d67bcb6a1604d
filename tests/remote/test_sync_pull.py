from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remote.agent.files import UnsafePath
from remote.progress import Progress
from remote.sync import pull
from remote.sync.holdings import Holdings, parse_listing
from remote.sync.pull import pull_artifacts, pull_complete
from remote.sync.push import push_run
from remote.transport import Transport, TransportError
from tests.remote.sshd import Sshd, eventually

ODD_NAMES = [
    "page.png",
    "with space",
    "it's",
    'q"uote',
    "new\nline",
    "Пример",
    "-rf",
    "tab\t",
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
]


class BoxRun:
    """A run's folder on the box, as its job writes it."""

    def __init__(self, sshd: Sshd) -> None:
        self.folder = sshd.home / "spotter" / "runs" / "01run"
        self.folder.mkdir(parents=True)
        self.path = "spotter/runs/01run"

    def write(self, name: str, data: bytes, retention: str = "keep") -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.list(name, data, retention)

    def list(self, name: str, data: bytes, retention: str = "keep") -> None:
        row = {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "retention": retention}
        with (self.folder / "artifacts.jsonl").open("a") as listing:
            listing.write(json.dumps(row) + "\n")


@pytest.fixture
def box(sshd: Sshd) -> BoxRun:
    return BoxRun(sshd)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    return tmp_path / "laptop" / "out" / "runs" / "01run"


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".incoming" not in path.parts and path.name != "artifacts.jsonl"
    }


def test_what_is_listed_arrives_and_the_rest_does_not(transport: Transport, box: BoxRun, local: Path) -> None:
    for name in ODD_NAMES:
        box.write(f"artifacts/{name}", name.encode("utf-8", "surrogateescape"))
    box.write("artifacts/empty", b"")
    box.write("tmp/scratch", b"not for the laptop", retention="scratch")
    (box.folder / "unlisted").write_text("still being written")
    seen: list[Progress] = []
    pulled = pull_artifacts(transport, box.path, local, seen.append)
    expected = {f"artifacts/{name}": name.encode("utf-8", "surrogateescape") for name in ODD_NAMES}
    assert files_of(local) == expected | {"artifacts/empty": b""}
    assert (pulled.files, pulled.listed, pulled.missing) == (len(ODD_NAMES) + 1, len(ODD_NAMES) + 1, ())
    assert seen[-1].done == seen[-1].total
    assert pull_complete(transport, box.path, local) == ()
    assert len((local / "artifacts.jsonl").read_bytes().splitlines()) == len(ODD_NAMES) + 1


def test_a_second_pull_fetches_only_what_is_new(transport: Transport, box: BoxRun, local: Path) -> None:
    box.write("a", b"one")
    pull_artifacts(transport, box.path, local)
    box.write("b", b"two")
    box.write("a", b"one, rewritten")
    pulled = pull_artifacts(transport, box.path, local)
    assert (pulled.files, pulled.bytes, pulled.listed) == (2, len(b"two") + len(b"one, rewritten"), 2)
    assert files_of(local) == {"a": b"one, rewritten", "b": b"two"}
    again = pull_artifacts(transport, box.path, local)
    assert (again.files, again.bytes, again.missing) == (0, 0, ())


@pytest.mark.parametrize("damage", ["delete", "resize", "edit"])
def test_a_file_lost_or_damaged_here_is_fetched_again(
    transport: Transport, box: BoxRun, local: Path, damage: str
) -> None:
    box.write("a", b"content")
    pull_artifacts(transport, box.path, local)
    if damage == "delete":
        (local / "a").unlink()
    else:
        (local / "a").write_bytes(b"short" if damage == "resize" else b"CONTENT")
    assert pull_complete(transport, box.path, local) == ("a",)
    assert pull_artifacts(transport, box.path, local).files == 1
    assert (local / "a").read_bytes() == b"content"


def test_a_held_file_is_not_hashed_again(
    transport: Transport, box: BoxRun, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.write("a", b"content")
    pull_artifacts(transport, box.path, local)
    monkeypatch.setattr("remote.sync.holdings.sha256_of", lambda _path: pytest.fail("hashed again"))
    assert pull_complete(transport, box.path, local) == ()


def test_no_list_yet_is_nothing_to_pull(transport: Transport, box: BoxRun, local: Path) -> None:
    pulled = pull_artifacts(transport, box.path, local)
    assert (pulled.files, pulled.listed, pulled.missing) == (0, 0, ())


def test_a_line_still_being_written_waits(transport: Transport, box: BoxRun, local: Path) -> None:
    box.write("a", b"1")
    with (box.folder / "artifacts.jsonl").open("a") as listing:
        listing.write('{"path": "b", "sha')
    assert pull_artifacts(transport, box.path, local).listed == 1


def test_a_list_that_was_written_anew_is_read_anew(transport: Transport, box: BoxRun, local: Path) -> None:
    box.write("a", b"1")
    box.write("b", b"2")
    pull_artifacts(transport, box.path, local)
    (box.folder / "artifacts.jsonl").unlink()
    box.write("c", b"3" * 500)
    assert pull_artifacts(transport, box.path, local).listed == 1
    assert (local / "c").read_bytes() == b"3" * 500


def test_a_file_that_changed_after_it_was_listed_stays_missing(transport: Transport, box: BoxRun, local: Path) -> None:
    box.write("good", b"good")
    for name in ("ledger.sqlite", "shorter", "gone"):
        box.write(name, b"as listed")
    (box.folder / "ledger.sqlite").write_bytes(b"AS LISTED")
    (box.folder / "shorter").write_bytes(b"as")
    (box.folder / "gone").unlink()
    pulled = pull_artifacts(transport, box.path, local)
    assert pulled.missing == ("ledger.sqlite", "shorter", "gone")
    assert files_of(local) == {"good": b"good"}
    assert set(pull_complete(transport, box.path, local)) == {"ledger.sqlite", "shorter", "gone"}
    assert b"ledger" not in (local / "artifacts.jsonl").read_bytes()


WICKED = ["../outside", "/etc/passwd", "a/../../outside", ".incoming/held.sqlite", "", ".", "x" * 300, "nul\0"]


def test_names_that_leave_the_run_are_refused_and_the_rest_is_saved(
    transport: Transport, box: BoxRun, local: Path
) -> None:
    (box.folder.parent / "outside").write_bytes(b"outside")
    box.write("good", b"good")
    for name in WICKED:
        box.list(name, b"outside")
    with pytest.raises(UnsafePath, match=f"{len(WICKED)} names"):
        pull_artifacts(transport, box.path, local)
    assert files_of(local) == {"good": b"good"}
    assert not (local.parent / "outside").exists()
    assert set(pull_complete(transport, box.path, local)) == set(WICKED)


def test_links_and_devices_of_the_box_are_never_read(
    transport: Transport, box: BoxRun, local: Path, sshd: Sshd
) -> None:
    (sshd.home / "secret").write_bytes(b"secret")
    (box.folder / "link").symlink_to(sshd.home / "secret")
    (box.folder / "folder").symlink_to(sshd.home)
    os.mkfifo(box.folder / "pipe")
    for name in ("link", "folder/secret", "pipe"):
        box.list(name, b"secret")
    assert set(pull_artifacts(transport, box.path, local).missing) == {"link", "folder/secret", "pipe"}
    assert files_of(local) == {}


def test_a_pull_cut_in_the_middle_goes_on_where_it_stopped(sshd: Sshd, box: BoxRun, local: Path) -> None:
    for number in range(40):
        box.write(f"artifacts/{number}", os.urandom(50_000))
    box.write("artifacts/big", os.urandom(24 << 20))
    total = sum(len(data) for data in files_of(box.folder).values())
    cuts = 0
    fetched = 0

    def cut_at_ten_megabytes(progress: Progress) -> None:
        nonlocal cuts
        if progress.done > 10 << 20 and cuts == 0:
            cuts += 1
            sshd.cut()

    with sshd.connect() as transport, pytest.raises(TransportError):
        pull_artifacts(transport, box.path, local, cut_at_ten_megabytes)
    eventually(lambda: not sshd.leftovers(), what="the box gave up the transfer")
    here = sum(path.stat().st_size for path in local.rglob("*") if path.is_file() and path.name != "listing.jsonl")
    with sshd.connect() as transport:
        pulled = pull_artifacts(transport, box.path, local)
        fetched = pulled.bytes
        assert pull_complete(transport, box.path, local) == ()
    assert files_of(local) == files_of(box.folder)
    assert here > 8 << 20
    assert fetched < total - (8 << 20)
    assert not list((local / ".incoming").glob("*.part"))


def test_a_large_file_travels_in_pieces(
    transport: Transport, box: BoxRun, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "BATCH_BYTES", 1_000_000)
    monkeypatch.setattr(pull, "BATCH_FILES", 3)
    for name, size in {"a": 10, "b": 2_500_000, "c": 0, "d": 1_000_000, "e": 7, "f": 8, "g": 9}.items():
        box.write(name, os.urandom(size))
    assert pull_artifacts(transport, box.path, local).missing == ()
    assert files_of(local) == files_of(box.folder)


def test_a_wrong_part_of_an_earlier_pull_costs_one_more_pull_at_most(
    transport: Transport, box: BoxRun, local: Path
) -> None:
    box.write("a", b"0123456789")
    place = hashlib.sha256(b"a").hexdigest()[:16]
    part = local / ".incoming" / f"{hashlib.sha256(b'0123456789').hexdigest()}-{place}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"XXXX")
    assert pull_artifacts(transport, box.path, local).missing == ("a",)
    assert pull_artifacts(transport, box.path, local).missing == ()
    assert (local / "a").read_bytes() == b"0123456789"


def test_two_pulls_at_once_do_the_work_once(sshd: Sshd, box: BoxRun, local: Path) -> None:
    for number in range(30):
        box.write(str(number), os.urandom(1000))
    fetched: list[int] = []

    def work() -> None:
        with sshd.connect() as transport:
            fetched.append(pull_artifacts(transport, box.path, local).files)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(fetched) == [0, 0, 30]


def test_a_pulled_run_can_be_pushed_to_another_box(sshd: Sshd, transport: Transport, box: BoxRun, local: Path) -> None:
    box.write("run.json", b'{"run_id": "01run"}')
    box.write("artifacts/a", b"1")
    pull_artifacts(transport, box.path, local)
    pushed = push_run(transport, "second box", local)
    assert files_of(Path(pushed.path)) == files_of(local)
    assert (Path(pushed.path) / "artifacts.jsonl").read_bytes() == (local / "artifacts.jsonl").read_bytes()


@pytest.mark.parametrize("call", ["publish", "note"])
def test_what_a_killed_pull_had_landed_is_listed_before_the_run_goes_to_another_box(
    transport: Transport, box: BoxRun, local: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    box.write("run.json", b'{"run_id": "01run"}')
    box.write("artifacts/a", b"1")
    box.write("ledger.sqlite", b"says that a is done")
    with monkeypatch.context() as patched:
        patched.setattr(Holdings, call, Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            pull_artifacts(transport, box.path, local)
    assert (local / "ledger.sqlite").exists()
    listed = local / "artifacts.jsonl"
    assert not listed.exists() or not listed.read_bytes()
    push_run(transport, "second box", local)
    assert b"artifacts/a" in (local / "artifacts.jsonl").read_bytes()
    pushed = push_run(transport, "third box", local)
    assert files_of(Path(pushed.path)) == files_of(box.folder)


@given(
    st.binary(max_size=300)
    | st.lists(st.dictionaries(st.sampled_from(["path", "sha256", "bytes", "x"]), st.text() | st.integers())).map(
        lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode()
    )
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_list_however_broken_breaks_its_reader(data: bytes) -> None:
    listed, _refused = parse_listing(data)
    for path in listed:
        assert not path.startswith("/")
        assert ".." not in path.split("/")


def test_a_name_cannot_be_a_file_and_a_folder() -> None:
    rows = [{"path": path, "sha256": "0" * 64, "bytes": 1} for path in ("a", "a/b", "c")]
    listed, refused = parse_listing("".join(json.dumps(row) + "\n" for row in rows).encode())
    assert (set(listed), refused) == ({"a/b", "c"}, ("a",))
