"""Files that only grow: events and artifacts survive a kill at any byte."""

from __future__ import annotations

import tempfile
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.artifacts import Artifact, ArtifactLog, ArtifactWriter, read_artifacts
from pipeline.core.events import EventLog, LogEvent, StateEvent, read_events
from pipeline.core.files import write_atomic

MESSAGES = st.lists(st.text(max_size=30), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(first=MESSAGES, second=MESSAGES, share=st.floats(0, 1))
def test_a_file_torn_at_any_byte_is_never_cut_and_its_sequence_has_no_gap(
    first: list[str], second: list[str], share: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        log = EventLog(path, "run", clock=lambda: 1.5)
        for message in first:
            log.emit(LogEvent(level="info", message=message))
        log.close()
        whole = path.read_bytes()
        torn = whole[: round(share * len(whole))]
        path.write_bytes(torn)
        log = EventLog(path, "run", clock=lambda: 1.5)
        for message in second:
            log.emit(LogEvent(level="info", message=message))
        log.close()
        assert path.read_bytes().startswith(torn)
        events = list(read_events(path))
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        told = [event.message for event in events if event.type == "log"]
        kept = len(whole[: len(torn) + 1].splitlines()) if whole[: len(torn) + 1].endswith(b"\n") else torn.count(b"\n")
        assert told == first[:kept] + second


def test_events_are_read_from_an_offset_and_those_of_a_newer_writer_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, "run", clock=lambda: 12.5)
    log.emit(StateEvent(state="running"))
    offset = path.stat().st_size
    log.emit(StateEvent(state="succeeded", message="all ok"))
    log.close()
    with path.open("ab") as file:
        file.write(b'{"type": "from the future", "seq": 3}\n')
    (event,) = read_events(path, offset)
    assert (event.type, event.ts, event.seq, event.run) == ("state", 12.5, 2, "run")


def artifact(path: str, sha256: str = "0" * 64) -> Artifact:
    return Artifact(path=path, sha256=sha256, bytes=3, kind="text", stage="toy")


def test_the_last_line_for_a_path_wins_and_the_same_content_is_listed_once(tmp_path: Path) -> None:
    path = tmp_path / "artifacts.jsonl"
    log = ArtifactLog(path)
    log.append([artifact("a"), artifact("b")])
    log.append([artifact("a"), artifact("b", "1" * 64)])
    log.close()
    assert len(path.read_bytes().splitlines()) == 3
    assert read_artifacts(path)["b"].sha256 == "1" * 64


def test_an_artifact_is_held_only_while_its_file_is_the_one_that_was_listed(tmp_path: Path) -> None:
    writer = ArtifactWriter(tmp_path, "artifacts/ж 'x\"\n", "toy", "item")
    written = writer.write("a/b.txt", b"abc", "text")
    writer.flush()
    log = ArtifactLog(tmp_path / "artifacts.jsonl")
    assert not log.holds(tmp_path, written), "whole, but not listed"
    log.append(writer.written)
    assert log.holds(tmp_path, written)
    (tmp_path / written.path).write_bytes(b"abd")
    assert not log.holds(tmp_path, written), "the same size, another content"
    (tmp_path / written.path).unlink()
    assert not log.holds(tmp_path, written)


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    write_atomic(path, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_line_that_is_whole_but_for_its_newline_counts(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(orjson.dumps({"type": "heartbeat", "seq": 7, "ts": 1.0, "run": "r"}))
    log = EventLog(path, "r")
    log.emit(LogEvent(level="info", message="on we go"))
    log.close()
    assert [event.seq for event in read_events(path)] == [7, 8]
