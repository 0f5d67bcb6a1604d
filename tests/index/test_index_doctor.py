from __future__ import annotations

import os
import shutil
import sqlite3

import chromadb
import numpy as np
import orjson
import pytest

from index.chroma import Mirror
from index.doctor import doctor
from index.embed import OFFLINE, embedder
from index.errors import IndexCorrupt, IndexEmpty, WouldLose
from index.generations import generations, use
from index.hashing import HashEmbedder
from index.layout import Layout
from index.rebuild import rebuild
from index.search import Searcher
from index.transfer import export_lines, import_file
from tests.index.index_world import RUN_1, in_chroma, ingest_runs, record, write_run

RECORDS = [record(f"r{at}", f"Запись {at}: value stack layer{at}") for at in range(30)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write_run(folder, RUN_1, RECORDS)
    ingest_runs(folder)
    return folder


@pytest.fixture
def workspace(made, tmp_path):
    return shutil.copytree(made, tmp_path / "workspace")


def failed(report):
    return {check.name for check in report.checks if not check.ok}


def with_collection(workspace, act):
    current = Layout(workspace).current()
    assert current is not None
    client = chromadb.PersistentClient(path=str(current.chroma))
    try:
        act(client.get_collection(current.name, embedding_function=None))
    finally:
        client.close()


def snapshot_folder(workspace):
    current = Layout(workspace).current()
    assert current is not None
    return current.folder


def test_a_healthy_index_passes_every_check(workspace, as_shipped):
    report = doctor(workspace)
    assert report.ok
    assert (report.records, len(report.checks)) == (30, 9)
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


def with_links_that_lead_nowhere(folder, name):
    """A collection whose graph is on disk, every link of it pointing far outside: asking it is a segmentation fault."""
    client = chromadb.PersistentClient(path=str(folder))
    graph = {"space": "cosine", "sync_threshold": 200, "batch_size": 50}
    collection = client.create_collection(name, embedding_function=None, configuration={"hnsw": graph})
    vectors = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)
    for first in range(0, len(vectors), 50):
        some = vectors[first : first + 50]
        collection.add(ids=[f"x{first + at}" for at in range(len(some))], embeddings=some, documents=["x"] * len(some))
    client.close()
    [level] = folder.glob("*/data_level0.bin")
    links, numbers, label = 32, 16, 8
    element = 4 + 4 * links + 4 * numbers + label
    data = np.frombuffer(level.read_bytes(), np.uint8).reshape(-1, element).copy()
    data[:, 4 : 4 + 4 * links] = 0x7F
    level.write_bytes(data.tobytes())


def test_a_chroma_that_kills_whoever_asks_it_is_found_and_repaired(workspace, as_shipped):
    current = Layout(workspace).current()
    assert current is not None
    shutil.rmtree(current.chroma)
    with_links_that_lead_nowhere(current.chroma, current.name)
    report = doctor(workspace)
    assert failed(report) == {"chroma opens"}
    assert "dies of SIGSEGV" in report.checks[-1].detail
    assert doctor(workspace, repair=True).ok
    assert in_chroma(workspace).keys() == {r.id for r in RECORDS}


def test_a_chroma_database_full_of_rubbish_is_found_and_repaired(workspace):
    database = Layout(workspace).chroma / "chroma.sqlite3"
    database.write_bytes(b"rubbish" * 1000)
    report = doctor(workspace)
    assert not report.ok
    with Searcher(workspace) as searcher:
        assert searcher.search("layer7").hits[0].id == "r7"
    assert doctor(workspace, repair=True).ok
    assert list(Layout(workspace).chroma.parent.glob("chroma.broken-*"))


def hurt(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def assert_mended(workspace, report, count=30):
    """Everything is as it was: all records, searchable, with the vectors and words that belong to them."""
    assert report.ok, report
    assert report.records == count
    assert in_chroma(workspace).keys() >= {r.id for r in RECORDS}
    with Searcher(workspace) as searcher:
        assert searcher.search("layer7").hits[0].id == "r7"
    assert ingest_runs(workspace).unchanged == 30


SMALL_CHANGE = np.float32(0.001).tobytes()
VECTOR_DAMAGE = {
    "cut off": lambda path: os.truncate(path, 1000),
    "missing": lambda path: path.unlink(),
    "a row of rubbish": lambda path: hurt(path, 5 * 3072 * 4, b"\xff" * 3072 * 4),
    "one number, so that the length stays near 1": lambda path: hurt(path, 5 * 3072 * 4 + 400, SMALL_CHANGE),
}


@pytest.mark.parametrize("damage", VECTOR_DAMAGE.values(), ids=VECTOR_DAMAGE.keys())
def test_a_damaged_vector_file_is_found_and_mended_to_the_last_bit(workspace, damage):
    before, exported = Layout(workspace).current(), b"".join(export_lines(workspace))
    damage(snapshot_folder(workspace) / "vectors.f32")
    assert failed(doctor(workspace)) == {"vectors"}
    report = doctor(workspace, repair=True)
    assert_mended(workspace, report)
    assert b"".join(export_lines(workspace)) == exported
    assert Layout(workspace).current().name == f"{before.name}.g2"
    assert next((one.name, one.state) for one in generations(workspace)) == (before.name, "broken")


@pytest.fixture
def paid(monkeypatch):
    """The embedder as one over the network, which is not to be asked for what Chroma holds."""
    monkeypatch.setattr(HashEmbedder, "network", True)


def test_vectors_that_would_cost_come_from_chroma(workspace, paid, monkeypatch):
    os.truncate(snapshot_folder(workspace) / "vectors.f32", 10 * 3072 * 4)
    monkeypatch.setattr(HashEmbedder, "embed", lambda *_, **__: pytest.fail("it was asked"))
    report = doctor(workspace, repair=True)
    assert report.ok
    assert "20 vectors from Chroma, 0 embedded" in report.repairs[0]


def test_vectors_that_chroma_lost_too_are_embedded_again(workspace, paid):
    os.truncate(snapshot_folder(workspace) / "vectors.f32", 10 * 3072 * 4)
    (Layout(workspace).chroma / "chroma.sqlite3").write_bytes(b"rubbish" * 1000)
    report = doctor(workspace, repair=True)
    assert_mended(workspace, report)
    assert "0 vectors from Chroma, 20 embedded" in report.repairs[0]


def test_a_searcher_names_the_way_out_of_a_cut_off_vector_file(workspace):
    os.truncate(snapshot_folder(workspace) / "vectors.f32", 1000)
    with pytest.raises(IndexCorrupt, match=r"shorter than its 30 vectors.*spotter index doctor --repair"):
        Searcher(workspace)


def test_a_word_index_that_lost_a_record_is_found_and_made_anew_in_its_place(workspace):
    with sqlite3.connect(snapshot_folder(workspace) / "snapshot.sqlite") as db:
        db.execute("DELETE FROM lexical WHERE rowid = 7")
        db.execute("INSERT INTO lexical (rowid, words, stems) VALUES (99, 'layer7', 'layer7')")
    db.close()
    assert failed(doctor(workspace)) == {"word index"}
    report = doctor(workspace, repair=True)
    assert_mended(workspace, report)
    assert len(generations(workspace)) == 1


DATABASE_DAMAGE = {
    "no database": lambda path: path.write_bytes(b"rubbish" * 1000),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a torn page": lambda path: hurt(path, 8192 * 3, b"\x5a" * 8192),
}


def close_wal(workspace):
    """Everything into the main file, as after a writer that ended well."""
    with sqlite3.connect(snapshot_folder(workspace) / "snapshot.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


@pytest.mark.parametrize("damage", DATABASE_DAMAGE.values(), ids=DATABASE_DAMAGE.keys())
def test_a_damaged_database_is_found_and_made_again_from_the_runs(workspace, damage):
    close_wal(workspace)
    damage(snapshot_folder(workspace) / "snapshot.sqlite")
    report = doctor(workspace)
    assert failed(report) == {"snapshot database"}, report
    assert all("doctor --repair" in check.remedy for check in report.checks if not check.ok)
    repaired = doctor(workspace, repair=True)
    assert_mended(workspace, repaired)
    assert "30 from runs and files" in repaired.repairs[0]


def test_a_damaged_database_is_made_again_without_paying_for_vectors_that_chroma_holds(workspace, paid, monkeypatch):
    (snapshot_folder(workspace) / "snapshot.sqlite").write_bytes(b"rubbish" * 1000)
    monkeypatch.setattr(HashEmbedder, "embed", lambda *_, **__: pytest.fail("it was asked"))
    report = doctor(workspace, repair=True)
    assert report.ok
    assert "30 vectors from Chroma, 0 embedded" in report.repairs[0]


def test_a_snapshot_that_is_no_database_names_the_way_out(workspace):
    (snapshot_folder(workspace) / "snapshot.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(IndexCorrupt, match="spotter index doctor --repair"):
        Searcher(workspace)


IMPORTED = [
    {"id": f"i{at}", "text": f"imported words {at}", "meta": {"type": "Table", "rows": at, "nested": {"a": [1]}}}
    for at in range(5)
]


@pytest.fixture
def imported(workspace):
    """A workspace with records of a file that is gone since."""
    file = workspace / "given.ndjson"
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in IMPORTED))
    import_file(file, workspace, embedder(OFFLINE))
    close_wal(workspace)
    file.unlink()
    return workspace


def test_imported_records_that_no_file_holds_come_from_the_torn_database_as_they_were(imported):
    before = b"".join(export_lines(imported))
    path = snapshot_folder(imported) / "snapshot.sqlite"
    with sqlite3.connect(path) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record_by_run'").fetchone()
    db.close()
    hurt(path, 8192 * (page - 1), b"\x5a" * 8192)
    report = doctor(imported, repair=True)
    assert_mended(imported, report, 35)
    assert "30 from runs and files, 5 from the broken database" in report.repairs[0]
    assert sorted(b"".join(export_lines(imported)).splitlines()) == sorted(before.splitlines())


def test_imported_records_that_no_file_holds_come_from_chroma_and_that_is_said(imported):
    (snapshot_folder(imported) / "snapshot.sqlite").write_bytes(b"rubbish" * 1000)
    report = doctor(imported, repair=True)
    assert_mended(imported, report, 35)
    assert "30 from runs and files, 5 from Chroma" in report.repairs[0]
    with Searcher(imported) as searcher:
        assert searcher.search("imported words 3").hits[0].id == "i3"


def test_records_that_nothing_holds_any_more_are_counted_and_not_given_up_unasked(imported):
    before = snapshot_folder(imported)
    (before / "snapshot.sqlite").write_bytes(b"rubbish" * 1000)
    (Layout(imported).chroma / "chroma.sqlite3").write_bytes(b"rubbish" * 1000)
    with pytest.raises(WouldLose, match=r"^5 records can't be brought back.*\(30 can\).*given\.ndjson.*--accept-loss"):
        doctor(imported, repair=True)
    assert [one.name for one in generations(imported)] == [before.name]
    report = doctor(imported, repair=True, accept_loss=True)
    assert_mended(imported, report, 30)
    assert "5 records are lost" in report.repairs[0]


POINTER_DAMAGE = {
    "rubbish": lambda path: path.write_bytes(b"\x00\xff rubbish"),
    "another folder": lambda path: path.write_bytes(b'{"space": "a/b/3/v1", "folder": "../../etc"}'),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", POINTER_DAMAGE.values(), ids=POINTER_DAMAGE.keys())
def test_a_damaged_pointer_is_found_and_set_to_the_generation_that_was_used_last(workspace, damage):
    rebuild(workspace, None, mirror=False)
    use(workspace, "1")
    name = snapshot_folder(workspace).name
    damage(Layout(workspace).pointer)
    assert failed(doctor(workspace)) == {"generation in use"}
    report = doctor(workspace, repair=True)
    assert_mended(workspace, report)
    assert snapshot_folder(workspace).name == name


def test_without_an_index_there_is_nothing_to_examine(tmp_path):
    with pytest.raises(IndexEmpty):
        doctor(tmp_path)
