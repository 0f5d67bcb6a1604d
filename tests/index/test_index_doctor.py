from __future__ import annotations

import sqlite3

import chromadb
import numpy as np
import pytest

from index.chroma import Mirror
from index.doctor import doctor
from index.errors import IndexCorrupt, IndexEmpty
from index.layout import Layout
from index.search import Searcher
from tests.index.index_world import RUN_1, in_chroma, ingest_runs, record, write_run

RECORDS = [record(f"r{at}", f"Запись {at}: value stack layer{at}") for at in range(30)]


@pytest.fixture
def workspace(tmp_path):
    write_run(tmp_path, RUN_1, RECORDS)
    ingest_runs(tmp_path)
    return tmp_path


def failed(report):
    return {check.name for check in report.checks if not check.ok}


def with_collection(workspace, act):
    layout = Layout(workspace)
    current = layout.current()
    assert current is not None
    client = chromadb.PersistentClient(path=str(layout.chroma))
    try:
        act(client.get_collection(current.space.slug, embedding_function=None))
    finally:
        client.close()


def snapshot_folder(workspace):
    current = Layout(workspace).current()
    assert current is not None
    return current.folder


def test_a_healthy_index_passes_every_check(workspace):
    report = doctor(workspace)
    assert report.ok
    assert (report.records, len(report.checks)) == (30, 7)
    assert report.space == "offline/hash3072-stem-char4/3072/v1"


BREAKS = {
    "a record deleted": (lambda c: c.delete(ids=["r3"]), "chroma holds the same records"),
    "a foreign record added": (
        lambda c: c.add(ids=["x"], embeddings=np.ones((1, 3072), np.float32), documents=["x"]),
        "chroma holds the same records",
    ),
    "an old content hash": (
        lambda c: c.update(ids=["r1"], metadatas=[{"content_hash": "old"}]),
        "chroma holds the same records",
    ),
    "another vector": (lambda c: c.update(ids=["r2"], embeddings=np.ones((1, 3072), np.float32)), "chroma's vectors"),
}  # fmt: skip


@pytest.mark.parametrize(("act", "check"), BREAKS.values(), ids=BREAKS.keys())
def test_a_chroma_that_disagrees_is_found_and_repaired(workspace, act, check):
    with_collection(workspace, act)
    report = doctor(workspace)
    assert check in failed(report)
    assert all("--repair" in found.remedy for found in report.checks if not found.ok)
    repaired = doctor(workspace, repair=True)
    assert repaired.ok
    assert repaired.repaired
    assert in_chroma(workspace).keys() == {r.id for r in RECORDS}


def test_a_chroma_whose_own_index_loses_its_records_is_found(workspace, monkeypatch):
    monkeypatch.setattr(Mirror, "nearest", lambda self, vectors, k: [[("r0", 0.4)]] * len(vectors))
    report = doctor(workspace)
    assert failed(report) == {"chroma finds its records"}
    assert "of 30 drawn records" in report.checks[-1].detail


def test_a_chroma_database_full_of_rubbish_is_found_and_repaired(workspace):
    database = Layout(workspace).chroma / "chroma.sqlite3"
    database.write_bytes(b"rubbish" * 1000)
    report = doctor(workspace)
    assert not report.ok
    with Searcher(workspace) as searcher:
        assert searcher.search("layer7").hits[0].id == "r7"
    assert doctor(workspace, repair=True).ok
    assert list(Layout(workspace).chroma.parent.glob("chroma.broken-*"))


def test_a_truncated_vector_file_is_found_and_not_repaired_from(workspace):
    path = snapshot_folder(workspace) / "vectors.f32"
    with path.open("r+b") as file:
        file.truncate(1000)
    report = doctor(workspace, repair=True)
    assert "vectors" in failed(report)
    assert not report.repaired
    assert any("ingest" in check.remedy for check in report.checks if check.name == "vectors")
    with pytest.raises(IndexCorrupt, match="shorter than its 30 vectors"):
        Searcher(workspace)


def test_rubbish_in_the_vectors_is_found(workspace):
    path = snapshot_folder(workspace) / "vectors.f32"
    with path.open("r+b") as file:
        file.seek(5 * 3072 * 4)
        file.write(b"\xff" * 3072 * 4)
    assert "vectors" in failed(doctor(workspace))


def test_a_word_index_that_lost_a_record_is_found(workspace):
    with sqlite3.connect(snapshot_folder(workspace) / "snapshot.sqlite") as db:
        db.execute("DELETE FROM lexical WHERE rowid = 4")
    assert failed(doctor(workspace)) == {"word index"}


def test_a_snapshot_that_is_no_database_names_the_way_out(workspace):
    (snapshot_folder(workspace) / "snapshot.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(IndexCorrupt, match="python -m index ingest"):
        doctor(workspace)
    with pytest.raises(IndexCorrupt, match="python -m index ingest"):
        Searcher(workspace)


def test_without_an_index_there_is_nothing_to_examine(tmp_path):
    with pytest.raises(IndexEmpty):
        doctor(tmp_path)
