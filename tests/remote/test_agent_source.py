from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from remote.agent.files import Landing, TreeEntry, tree_hash, write_atomically
from remote.agent.frames import BrokenFrame, FrameReader, frame
from remote.agent.samples import append_to_ring
from remote.bootstrap import box_probe
from remote.bootstrap.install import agent_files


def sources() -> dict[str, str]:
    return agent_files() | {"box_probe.py": Path(box_probe.__file__).read_text()}


@pytest.mark.parametrize("name", sorted(sources()))
def test_box_code_is_python_3_9_and_imports_the_standard_library_only(name: str) -> None:
    tree = ast.parse(sources()[name], feature_version=(3, 9))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for imported in names:
            ours = imported.startswith("remote.agent")
            assert ours or imported.split(".")[0] in sys.stdlib_module_names, f"{name} imports {imported}"


def feed(data: bytes, piece: int) -> FrameReader:
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    return FrameReader(lambda _size: pieces.pop(0) if pieces else b"")


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_frames_survive_any_cutting(piece: int) -> None:
    data = frame({"id": 1, "name": "\udcff\n"}, b"\n{}\n") + frame({"id": 2}) + frame({"id": 3}, b"x" * 50)
    reader = feed(data, piece)
    assert reader.header() == {"id": 1, "name": "\udcff\n", "payload": 4}
    assert reader.exactly(4) == b"\n{}\n"
    assert reader.header() == {"id": 2}
    header = reader.header()
    assert header
    assert reader.exactly(header["payload"]) == b"x" * 50
    assert reader.header() is None


@pytest.mark.parametrize("data", [b"not json\n", b"[1]\n", b'{"id": 1'])
def test_what_is_no_frame_is_said(data: bytes) -> None:
    with pytest.raises(BrokenFrame):
        feed(data, 100).header()


def test_a_payload_cut_short_and_an_endless_line_are_said() -> None:
    with pytest.raises(BrokenFrame, match="middle of a payload"):
        feed(b"abc", 100).exactly(4)
    with pytest.raises(BrokenFrame, match="longer than"):
        FrameReader(lambda size: b"x" * size, max_header_bytes=1000).header()
    with pytest.raises(BrokenFrame, match="no greeting"):
        FrameReader(lambda size: b"noise\n" * 100).skip_until(b"hello", limit_bytes=1000)


def test_the_ring_keeps_the_newest_whole_lines(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "stats.jsonl"
    for number in range(200):
        append_to_ring(path, {"n": number}, ring_bytes=500)
    numbers = [json.loads(line)["n"] for line in path.read_text().splitlines()]
    assert numbers == list(range(numbers[0], 200))
    assert path.stat().st_size <= 500


def test_a_tree_hash_cannot_be_forged_by_names_that_look_like_rows() -> None:
    one = [TreeEntry("a", 0o644, 1, "0" * 64), TreeEntry("b", 0o644, 1, "1" * 64)]
    forged = [TreeEntry("a\n644 " + "1" * 64 + " 1:b", 0o644, 1, "0" * 64)]
    assert tree_hash(one) == tree_hash(reversed(one)) != tree_hash(forged)


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    target = tmp_path / "file"
    write_atomically(target, b"old")
    monkeypatch.setattr("os.fsync", lambda _handle: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_bytes() == b"old"


def test_a_landing_moves_only_when_told(tmp_path) -> None:  # type: ignore[no-untyped-def]
    landing = Landing(max_files=2)
    for name in "ab":
        (tmp_path / f"{name}.part").write_text(name)
    assert not landing.add(tmp_path / "a.part", tmp_path / "x" / "a", 1)
    assert landing.add(tmp_path / "b.part", tmp_path / "y" / "b", 1)
    assert [Path(place) for place in landing.land()] == [tmp_path / "x" / "a", tmp_path / "y" / "b"]
    assert not list(tmp_path.glob("*.part"))
    assert landing.land() == []
