from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.chroma import Mirror
from index.doctor import doctor
from index.embed import OFFLINE, Space, embedder
from index.errors import BadSource, IndexLocked, IndexNotWritable, SpaceMismatch
from index.hashing import HashEmbedder
from index.ingest import ingest
from index.layout import Layout
from index.lock import WriterLock
from index.search import Searcher
from index.stats import stats
from pipeline.core.records import RecordFormatError
from tests.index.index_world import RUN_1, RUN_2, RUN_3, in_chroma, ingest_runs, record, write_run

SPACE = embedder(OFFLINE).space


def ids(workspace: Path) -> set[str]:
    current = Layout(workspace).current()
    assert current is not None
    with sqlite3.connect(current.folder / "snapshot.sqlite") as db:
        return {row[0] for row in db.execute("SELECT id FROM record")}


class Refusing(HashEmbedder):
    """An embedder that must not be asked."""

    def embed(self, texts, *, kind):
        raise AssertionError(f"asked to embed {texts}")


def test_unchanged_records_cost_no_embedding_and_no_write(tmp_path, monkeypatch):
    write_run(tmp_path, RUN_1, [record(f"r{at}", f"Слой номер {at}") for at in range(1200)])
    first = ingest_runs(tmp_path)
    assert (first.read, first.added, first.embedded, first.mirrored, first.records) == (1200, 1200, 1200, 1200, 1200)
    before = stats(tmp_path)
    monkeypatch.setattr(Mirror, "__enter__", lambda self: pytest.fail("Chroma was opened"))
    second = ingest([tmp_path / "out" / "runs" / RUN_1], tmp_path, Refusing())
    assert (second.read, second.unchanged) == (1200, 1200)
    assert (second.added, second.updated, second.removed, second.embedded, second.mirrored) == (0, 0, 0, 0, 0)
    assert stats(tmp_path) == before


def test_only_what_changed_is_embedded_and_new_metadata_alone_is_not(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "one"), record("b", "two"), record("c", "three")])
    ingest_runs(tmp_path)
    write_run(tmp_path, RUN_1, [record("a", "one"), record("b", "two", label="new"), record("c", "changed")])
    result = ingest_runs(tmp_path)
    assert (result.unchanged, result.updated, result.embedded, result.mirrored) == (1, 2, 1, 2)
    assert doctor(tmp_path).ok


def test_equal_texts_are_embedded_once(tmp_path):
    write_run(tmp_path, RUN_1, [record(f"r{at}", "the same fact") for at in range(5)])
    assert ingest_runs(tmp_path).embedded == 1
    assert doctor(tmp_path).ok


def test_the_same_record_of_two_runs_is_one_and_names_the_newest(tmp_path):
    old = write_run(tmp_path, RUN_1, [record("a", "text", crop="artifacts/x.png")])
    new = write_run(tmp_path, RUN_2, [record("a", "text", crop="artifacts/x.png")])
    result = ingest_runs(tmp_path, new, old)
    assert (result.read, result.added, result.unchanged, result.records) == (2, 1, 1, 1)
    with Searcher(tmp_path) as searcher:
        hit = searcher.search("text").hits[0]
    assert hit.run_id == RUN_2
    assert hit.crop_path == new / "artifacts" / "x.png"
    ingest_runs(tmp_path, old)
    with Searcher(tmp_path) as searcher:
        assert searcher.search("text").hits[0].run_id == RUN_2
    with sqlite3.connect(Layout(tmp_path).snapshot(SPACE) / "snapshot.sqlite") as db:
        listed = db.execute("SELECT run_id FROM provenance JOIN run USING (run_key) ORDER BY 1").fetchall()
    assert listed == [(RUN_1,), (RUN_2,)]


def test_a_new_run_of_a_document_replaces_what_the_old_one_said_of_it(tmp_path):
    old = [record("a", "kept"), record("b", "vanishes", page=2), record("z", "of another document", document="other")]
    write_run(tmp_path, RUN_1, old)
    ingest_runs(tmp_path)
    write_run(tmp_path, RUN_2, [record("a", "kept"), record("c", "new")])
    result = ingest_runs(tmp_path)
    assert result.removed == 1
    assert ids(tmp_path) == {"a", "c", "z"} == in_chroma(tmp_path).keys()
    with Searcher(tmp_path) as searcher:
        assert searcher.search("vanishes").hits == ()
    assert doctor(tmp_path).ok


def test_an_edited_source_with_another_document_id_still_replaces_its_records(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "old words", document_id="guide-11111111")])
    write_run(tmp_path, RUN_2, [record("b", "new words", document_id="guide-22222222")])
    ingest_runs(tmp_path)
    assert ids(tmp_path) == {"b"}


def test_an_old_run_ingested_late_brings_nothing_back(tmp_path):
    old = write_run(tmp_path, RUN_1, [record("a", "old"), record("b", "gone")])
    ingest_runs(tmp_path, write_run(tmp_path, RUN_2, [record("a", "new")]))
    result = ingest_runs(tmp_path, old)
    assert (result.superseded, result.added, result.updated) == (2, 0, 0)
    assert ids(tmp_path) == {"a"}


def test_an_incomplete_run_replaces_only_the_pages_it_has(tmp_path):
    write_run(tmp_path, RUN_1, [record("a1", "one", page=1), record("a2", "two", page=2)], state="succeeded")
    write_run(tmp_path, RUN_2, [record("b1", "one again", page=1)], state="incomplete")
    ingest_runs(tmp_path)
    assert ids(tmp_path) == {"b1", "a2"}
    write_run(tmp_path, RUN_3, [record("c1", "one once more", page=1)], state="succeeded")
    ingest_runs(tmp_path)
    assert ids(tmp_path) == {"c1"}


def test_another_pipelines_records_of_the_document_stay(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "text")])
    write_run(tmp_path, RUN_2, [record("b", "a caption", "VisualCaption")], producer="describe")
    ingest_runs(tmp_path)
    assert ids(tmp_path) == {"a", "b"}


def test_what_vanished_from_the_same_run_is_removed(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "one"), record("b", "two", document="other")])
    ingest_runs(tmp_path)
    write_run(tmp_path, RUN_1, [record("a", "one")])
    assert ingest_runs(tmp_path).removed == 1
    assert ids(tmp_path) == {"a"}


def test_two_plain_files_of_one_name_do_not_replace_each_other(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.ndjson").write_bytes(record(folder, f"note {folder}", document=folder).to_line())
    paths = [tmp_path / "one" / "notes.ndjson", tmp_path / "two" / "notes.ndjson"]
    assert ingest(paths, tmp_path, embedder(OFFLINE)).added == 2
    assert ingest(paths, tmp_path, embedder(OFFLINE)).unchanged == 2


def test_vectors_of_the_same_space_are_used_as_they_are(tmp_path):
    vector = HashEmbedder().embed(["something else entirely"], kind="doc")[0]
    carried = record("a", "text").model_copy(
        update={"vector": vector.tolist(), "provider": "offline", "model": "hash3072-stem-char4"}
    )
    write_run(tmp_path, RUN_1, [carried])
    assert ingest([tmp_path / "out/runs"], tmp_path, Refusing()).added == 1
    assert np.allclose(in_chroma(tmp_path)["a"][2], vector, atol=1e-6)
    write_run(tmp_path, RUN_1, [record("a", "text")])
    assert ingest_runs(tmp_path).embedded == 1
    assert doctor(tmp_path).ok


def test_what_cannot_be_searched_is_listed_with_its_reason(tmp_path):
    zero = record("zero", "text").model_copy(
        update={"vector": [0.0] * 3072, "provider": "offline", "model": "hash3072-stem-char4"}
    )
    write_run(tmp_path, RUN_1, [record("blank", " \n"), zero, record("good", "text"), record("good", "text again")])
    result = ingest_runs(tmp_path)
    assert {r.record_id: r.reason for r in result.rejected}.keys() == {"blank", "zero"}
    assert "is zero" in next(r.reason for r in result.rejected if r.record_id == "zero")
    assert (result.added, result.duplicates) == (1, 1)
    again = ingest_runs(tmp_path)
    assert (again.unchanged, again.updated, again.duplicates) == (1, 0, 1)


def test_a_line_that_is_no_record_is_named_and_nothing_is_removed(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "one"), record("b", "two")])
    ingest_runs(tmp_path)
    broken = write_run(tmp_path, RUN_2, [record("a", "one")])
    with (broken / "records" / "docparse.ndjson").open("ab") as file:
        file.write(b'{"id": "x", "te')
    with pytest.raises(RecordFormatError, match=r"docparse\.ndjson, line 2"):
        ingest_runs(tmp_path, broken)
    assert ids(tmp_path) == {"a", "b"}


def test_paths_without_records_are_refused_by_name(tmp_path):
    with pytest.raises(BadSource, match="does not exist"):
        ingest_runs(tmp_path, tmp_path / "nowhere")
    (tmp_path / "empty run").mkdir()
    with pytest.raises(BadSource, match="empty run"):
        ingest_runs(tmp_path, tmp_path / "empty run")


def test_another_space_never_meets_the_index(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "one")])
    ingest_runs(tmp_path)
    other = HashEmbedder()
    other.space = replace(SPACE, prep="v2")
    with pytest.raises(SpaceMismatch, match=r"offline/hash3072-stem-char4/3072/v1.*v2"):
        ingest([tmp_path / "out" / "runs"], tmp_path, other)
    with pytest.raises(SpaceMismatch):
        Searcher(tmp_path, other)
    assert Space("a", "b", 1, "c") != SPACE


def test_a_second_writer_is_refused_by_the_holders_name(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "one")])
    ingest_runs(tmp_path)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from index.lock import WriterLock\n"
            "with WriterLock(Path(sys.argv[1]), 'rebuild of everything'):\n"
            "    print('held', flush=True); sys.stdin.read()",
            str(Layout(tmp_path).lock),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(IndexLocked) as refused:
            ingest_runs(tmp_path)
        assert refused.value.pid == holder.pid
        assert str(holder.pid) in str(refused.value)
        assert "rebuild of everything" in str(refused.value)
        command = [sys.executable, "-m", "index", "ingest", "--workspace", str(tmp_path), str(tmp_path / "out/runs")]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        assert child.returncode == 1
        assert f"process {holder.pid} on" in child.stderr
        with Searcher(tmp_path) as searcher:
            assert searcher.search("one").hits
        holder.kill()
        holder.wait()
        assert ingest_runs(tmp_path).unchanged == 1
    finally:
        holder.kill()
        holder.communicate()


def test_the_lock_can_be_taken_again_and_again_in_one_process(tmp_path):
    for _ in range(3):
        with (
            WriterLock(tmp_path / "lock", "first"),
            pytest.raises(IndexLocked, match="first"),
            WriterLock(tmp_path / "lock", "second"),
        ):
            pass


def test_a_workspace_that_cannot_be_written_says_so(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "one")])
    (tmp_path / ".spotter").write_text("a file where a folder should be")
    with pytest.raises(IndexNotWritable, match="write permission"):
        ingest_runs(tmp_path)


def test_a_lost_snapshot_is_rebuilt_and_chroma_forgets_what_is_gone(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "one"), record("b", "two")])
    ingest_runs(tmp_path)
    Layout(tmp_path).root.rename(tmp_path / "aside")
    write_run(tmp_path, RUN_1, [record("a", "one")])
    assert ingest_runs(tmp_path).added == 1
    assert in_chroma(tmp_path).keys() == {"a"}
    assert doctor(tmp_path).ok


def test_a_lost_chroma_is_filled_again_by_the_next_ingest(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "one"), record("b", "two")])
    ingest_runs(tmp_path)
    Layout(tmp_path).chroma.rename(tmp_path / "aside")
    result = ingest_runs(tmp_path)
    assert (result.unchanged, result.mirrored, result.embedded) == (2, 2, 0)
    assert doctor(tmp_path).ok
