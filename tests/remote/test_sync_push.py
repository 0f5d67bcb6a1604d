from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remote.agent.files import UnsafePath, check_name
from remote.progress import Progress
from remote.release import ReleaseFile, ReleaseUnavailable, worker_files
from remote.sync.hashes import HashCache
from remote.sync.push import ChecksumMismatch, RunDiverged, push_blobs, push_release, push_run
from remote.transport import Transport, TransportError
from tests.remote.sshd import Sshd, eventually

ODD_NAMES = ["plain.py", "with space", "it's", 'q"uote', "new\nline", "Пример/план.txt", "$HOME", "-rf", "a;b", "tab\t"]


def write_tree(folder: Path, names: list[str]) -> list[ReleaseFile]:
    files = []
    for number, name in enumerate(names):
        path = folder / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{name}:{number}".encode("utf-8", "surrogateescape") * (number + 1))
        files.append(ReleaseFile(name, path, 0o755 if number % 2 else 0o644))
    return files


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_release_arrives_whole_and_current_points_to_it(sshd: Sshd, transport: Transport, tmp_path: Path) -> None:
    files = write_tree(tmp_path / "code", ODD_NAMES)
    seen: list[Progress] = []
    release = push_release(transport, "spotter", files, seen.append)
    place = Path(release.path)
    assert tree(place) == {file.name: file.source.read_bytes() for file in files}
    assert {file.name: (place / file.name).stat().st_mode & 0o777 for file in files} == {f.name: f.mode for f in files}
    assert (sshd.home / "spotter" / "current").resolve() == place.resolve()
    assert (release.files, release.reused) == (len(files), False)
    assert seen[-1].done == seen[-1].total == release.bytes


def test_bytes_that_flow_are_the_laptops_heartbeat(sshd: Sshd, transport: Transport, tmp_path: Path) -> None:
    heartbeat = sshd.home / "spotter" / "deadman" / "heartbeat"
    assert not heartbeat.exists()
    push_release(transport, "spotter", write_tree(tmp_path / "code", ["a.py"]))
    assert heartbeat.exists()


def test_the_same_release_is_reused_and_a_damaged_one_replaced(transport: Transport, tmp_path: Path) -> None:
    files = write_tree(tmp_path / "code", ["a.py", "b.py"])
    first = push_release(transport, "spotter", files)
    (Path(first.path) / "__pycache__").mkdir()
    (Path(first.path) / "__pycache__" / "a.pyc").write_bytes(b"python's own")
    assert push_release(transport, "spotter", files).reused
    (Path(first.path) / "a.py").write_text("edited in place")
    again = push_release(transport, "spotter", files)
    assert (again.path, again.reused) == (first.path, False)
    assert (Path(first.path) / "a.py").read_bytes() == files[0].source.read_bytes()


def test_a_release_that_was_edited_in_place_is_kept_beside_the_right_one(
    sshd: Sshd, transport: Transport, tmp_path: Path
) -> None:
    files = write_tree(tmp_path / "code", ["a.py", "b.py"])
    place = Path(push_release(transport, "spotter", files).path)
    (place / "a.py").write_text("edited on the box")
    push_release(transport, "spotter", files)
    edited = next(place.parent.glob(f"{place.name}.edited-*"))
    assert (edited / "a.py").read_text() == "edited on the box"
    assert (place / "a.py").read_bytes() == files[0].source.read_bytes()


def test_only_what_changed_since_the_release_before_is_sent(transport: Transport, tmp_path: Path) -> None:
    files = write_tree(tmp_path / "code", [f"{number}.py" for number in range(20)])
    first = push_release(transport, "spotter", files)
    files[3].source.write_bytes(b"changed" * 1000)
    seen: list[Progress] = []
    second = push_release(transport, "spotter", files, seen.append)
    assert second.bytes - min(each.done for each in seen) <= 7000
    assert tree(Path(second.path)) == {file.name: file.source.read_bytes() for file in files}
    assert tree(Path(first.path))["3.py"] != files[3].source.read_bytes()


def test_a_file_whose_hash_is_remembered_is_not_read_until_it_changes(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_tree(tmp_path / "code", ["a.py", "b.py"])
    for file in files:
        os.utime(file.source, (1, 1))
    monkeypatch.setattr("remote.sync.hashes.SETTLED_S", -1)
    with HashCache(tmp_path / "hashes.db") as hashes:
        first = push_release(transport, "spotter", files, hashes=hashes)
    with monkeypatch.context() as patch, HashCache(tmp_path / "hashes.db") as hashes:
        patch.setattr(Path, "read_bytes", lambda _self: pytest.fail("read again"))
        assert push_release(transport, "spotter", files, hashes=hashes).reused
    files[0].source.write_bytes(b"x" * files[0].source.stat().st_size)
    os.utime(files[0].source, (1, 1))
    with HashCache(tmp_path / "hashes.db") as hashes:
        assert push_release(transport, "spotter", files, hashes=hashes).tree_hash != first.tree_hash


def test_another_content_mode_or_name_is_another_release(transport: Transport, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1")
    hashes = set()
    for file in (
        ReleaseFile("a", tmp_path / "f"),
        ReleaseFile("a", tmp_path / "f", 0o755),
        ReleaseFile("b", tmp_path / "f"),
    ):
        hashes.add(push_release(transport, "spotter", [file]).tree_hash)
    (tmp_path / "f").write_text("2")
    hashes.add(push_release(transport, "spotter", [ReleaseFile("a", tmp_path / "f")]).tree_hash)
    assert len(hashes) == 4


def test_a_push_cut_in_the_middle_shows_nothing_and_the_next_one_completes(sshd: Sshd, tmp_path: Path) -> None:
    files = write_tree(tmp_path / "code", ["first.py"])
    big = tmp_path / "big"
    big.write_bytes(os.urandom(8 << 20))
    with sshd.connect() as transport:
        before = push_release(transport, "spotter", files)
        cut = threading.Event()

        def cut_once(progress: Progress) -> None:
            if progress.done > 2 << 20 and not cut.is_set():
                cut.set()
                sshd.cut()

        with pytest.raises(TransportError):
            push_release(transport, "spotter", [*files, ReleaseFile("big", big)], cut_once)
    releases = sshd.home / "spotter" / "releases"
    assert (sshd.home / "spotter" / "current").resolve() == Path(before.path).resolve()
    assert [path.name for path in releases.iterdir() if not path.name.startswith(".")] == [before.tree_hash]
    with sshd.connect() as transport:
        after = push_release(transport, "spotter", [*files, ReleaseFile("big", big)])
    assert tree(Path(after.path)) == {"first.py": files[0].source.read_bytes(), "big": big.read_bytes()}


def test_the_root_may_be_absolute_or_below_home(sshd: Sshd, transport: Transport, tmp_path: Path) -> None:
    files = write_tree(tmp_path / "code", ["a"])
    relative = push_release(transport, "my root", files)
    assert relative.path.startswith(f"{sshd.home}/my root/releases/")
    assert push_release(transport, f"{sshd.home}/my root", files).reused
    assert push_release(transport, "~/my root", files).reused


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a//b", "", ".", "a/.", "nul\0"])
def test_a_name_that_leaves_its_folder_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        check_name(name)


def test_blobs_are_sent_once_and_land_under_their_hash(sshd: Sshd, transport: Transport, tmp_path: Path) -> None:
    blobs = {}
    for content in (b"", b"one", b"two" * 100_000, "три".encode()):
        path = tmp_path / f"source {len(blobs)}"
        path.write_bytes(content)
        blobs[sha256(content)] = path
    first = push_blobs(transport, "spotter", blobs)
    assert (first.sent, first.present, first.path) == (4, 0, f"{sshd.home}/spotter/blobs")
    for name, path in blobs.items():
        assert (Path(first.path) / name[:2] / name).read_bytes() == path.read_bytes()
    second = push_blobs(transport, "spotter", blobs)
    assert (second.sent, second.sent_bytes, second.present) == (0, 0, 4)


def test_no_blobs_are_no_work(transport: Transport) -> None:
    done = push_blobs(transport, "spotter", {})
    assert (done.sent, done.present) == (0, 0)


def test_a_damaged_blob_on_the_box_is_sent_again(transport: Transport, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"right")
    blobs = {sha256(b"right"): source}
    stored = next(Path(push_blobs(transport, "spotter", blobs).path).glob(f"*/{sha256(b'right')}"))
    stored.chmod(0o644)
    stored.write_bytes(b"wrong")
    assert push_blobs(transport, "spotter", blobs).sent == 1
    assert stored.read_bytes() == b"right"


def test_a_source_that_is_not_its_hash_is_refused(transport: Transport, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"other")
    with pytest.raises(ChecksumMismatch, match="scan the sources again"):
        push_blobs(transport, "spotter", {sha256(b"expected"): source})


def test_an_interrupted_blob_goes_on_where_it_stopped(sshd: Sshd, tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(os.urandom(16 << 20))
    blobs = {sha256(source.read_bytes()): source}

    def cut(progress: Progress) -> None:
        if progress.done > 6 << 20:
            sshd.cut()

    with sshd.connect() as transport, pytest.raises(TransportError):
        push_blobs(transport, "spotter", blobs, cut)
    parts = list((sshd.home / "spotter" / "blobs").glob("*/.*.part"))
    assert len(parts) == 1
    eventually(lambda: not sshd.leftovers(), what="the box gave up the transfer")
    arrived = parts[0].stat().st_size
    assert arrived > 0
    with sshd.connect() as transport:
        done = push_blobs(transport, "spotter", blobs)
    assert done.sent_bytes == source.stat().st_size - arrived
    name = next(iter(blobs))
    assert (Path(done.path) / name[:2] / name).read_bytes() == source.read_bytes()


def test_a_wrong_part_from_before_is_thrown_away(sshd: Sshd, transport: Transport, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"0123456789")
    name = sha256(b"0123456789")
    part = sshd.home / "spotter" / "blobs" / name[:2] / f".{name}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"XXXX")
    done = push_blobs(transport, "spotter", {name: source})
    assert (Path(done.path) / name[:2] / name).read_bytes() == b"0123456789"
    assert not part.exists()


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "01run"
    (folder / "artifacts" / "Пример 1" / "p0001").mkdir(parents=True)
    (folder / "run.json").write_text('{"run_id": "01run"}')
    (folder / "manifest.jsonl").write_text("{}\n")
    (folder / "events.jsonl").write_text('{"seq": 1}\n')
    (folder / "artifacts" / "Пример 1" / "p0001" / "page.png").write_bytes(os.urandom(1000))
    (folder / ".incoming").mkdir()
    (folder / ".incoming" / "x.part").write_text("mine")
    return folder


def test_a_run_arrives_without_this_machines_own_state(transport: Transport, run_dir: Path) -> None:
    expected = tree(run_dir)
    del expected[".incoming/x.part"]
    (run_dir / "logs").mkdir(exist_ok=True)
    (run_dir / "logs" / "operations.jsonl").write_text("what this machine did")
    pushed = push_run(transport, "spotter", run_dir)
    assert tree(Path(pushed.path)) == expected
    assert pushed.path.endswith("/spotter/runs/01run")
    assert push_run(transport, "spotter", run_dir).reused


def test_a_box_that_is_further_keeps_its_run(transport: Transport, run_dir: Path) -> None:
    place = Path(push_run(transport, "spotter", run_dir).path)
    with (place / "events.jsonl").open("a") as events:
        events.write('{"seq": 2}\n')
    assert push_run(transport, "spotter", run_dir).reused
    assert (place / "events.jsonl").read_text().count("\n") == 2


def test_a_box_that_is_behind_gets_the_newer_run(transport: Transport, run_dir: Path) -> None:
    place = Path(push_run(transport, "spotter", run_dir).path)
    (run_dir / "events.jsonl").write_text('{"seq": 1}\n{"seq": 2}\n')
    (run_dir / "artifacts" / "more").write_text("more")
    assert not push_run(transport, "spotter", run_dir).reused
    assert (place / "artifacts" / "more").read_text() == "more"


@pytest.mark.parametrize("box_events", ['{"seq": 9}\n', '{"seq": 9}\n{"seq": 10}\n'])
def test_a_run_that_two_boxes_continued_is_not_mixed(transport: Transport, run_dir: Path, box_events: str) -> None:
    place = Path(push_run(transport, "spotter", run_dir).path)
    (place / "events.jsonl").write_text(box_events)
    (run_dir / "events.jsonl").write_text('{"seq": 1}\n{"seq": 2}\n')
    with pytest.raises(RunDiverged, match="two boxes worked on it"):
        push_run(transport, "spotter", run_dir)
    assert (place / "events.jsonl").read_text() == box_events


def test_an_open_ledger_is_pushed_as_a_consistent_copy(transport: Transport, run_dir: Path) -> None:
    with closing(sqlite3.connect(run_dir / "ledger.sqlite")) as ledger:
        ledger.execute("PRAGMA journal_mode=WAL")
        ledger.execute("CREATE TABLE done (item TEXT)")
        ledger.execute("INSERT INTO done VALUES ('a')")
        ledger.commit()
        assert (run_dir / "ledger.sqlite-wal").exists()
        place = Path(push_run(transport, "spotter", run_dir).path)
    assert not (place / "ledger.sqlite-wal").exists()
    with closing(sqlite3.connect(place / "ledger.sqlite")) as copy:
        assert copy.execute("SELECT item FROM done").fetchall() == [("a",)]


NAME_PARTS = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0"), min_size=1, max_size=20
).filter(lambda part: part not in (".", ".."))


@given(
    names=st.sets(
        NAME_PARTS.map(lambda part: "d/" + part) | NAME_PARTS.map(lambda part: "f" + part), min_size=1, max_size=8
    )
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_name_survives_the_way(transport: Transport, tmp_path: Path, names: set[str]) -> None:
    files = write_tree(tmp_path / "code", sorted(names))
    release = push_release(transport, "spotter", files)
    assert tree(Path(release.path)) == {file.name: file.source.read_bytes() for file in files}


def test_the_workers_own_files_are_found_without_importing_them() -> None:
    names = [file.name for file in worker_files()]
    assert "pipeline/__init__.py" in names
    assert "pipeline/core/records.py" in names
    assert not [name for name in names if "__pycache__" in name]
    with pytest.raises(ReleaseUnavailable, match="no_such_package"):
        worker_files(("no_such_package",))
