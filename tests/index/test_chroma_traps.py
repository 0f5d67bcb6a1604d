"""Each trap of Chroma that we know of, and the test that keeps us out of it.

| trap | test |
|---|---|
| a batch above 5,461 is refused, a `get` above 32,766 rows fails | here: pages and batches |
| the default embedding function fetches a model from the internet | here: no embedding function |
| distance, graph and sync threshold can't be changed, or should not be | here: a collection's configuration |
| a zero vector is accepted, and then finds nothing | here: a zero vector |
| `add` of an id that is there is ignored without a word | here: written twice |
| an upsert merges metadata; metadata may hold no nested, mixed or empty values | `test_index_chroma` |
| a vector comes back normalised anew, not bit for bit | `test_interchange`: exports come from the snapshot |
| a collection has one dimension for ever | `test_generations`: every space is a generation of its own |
| two writers lose records without a word | `test_index_ingest`, `test_index_kill_20`: refused by the holder's name |
| a reader in another process sees old vectors; a first query takes seconds | here: a search never opens Chroma |
| writing what is unchanged takes longer than writing it first | `test_index_ingest`, `test_index_tags` |
| its errors can be panics that are no `Exception` | `test_index_doctor`: rubbish in its database |
| a kill between its write and our note | `test_index_kill`, `test_index_kill_20` |
| its graph stays in memory | `index.mirroring`; `test_index_build_command`: an import does not wait for it |
"""

from __future__ import annotations

import numpy as np
import pytest

from index import chroma, store
from index.chroma import HNSW, MAX_BATCH, MAX_PAGE, Mirror, MirrorRow
from index.chroma_place import Place
from index.embed import OFFLINE, embedder
from index.search import Searcher
from tests.index.index_world import RUN_1, in_chroma, ingest_runs, record, write_run


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    with Mirror(Place(tmp_path_factory.mktemp("traps") / "chroma", "", "records")) as opened:
        yield opened


def rows(count, text="words"):
    vectors = embedder(OFFLINE).embed([f"{text} {at}" for at in range(count)], kind="doc")
    return [MirrorRow(f"r{at}", f"{text} {at}", vectors[at], {"content_hash": text}) for at in range(count)]


def test_everything_is_read_page_by_page_and_written_batch_by_batch(tmp_path, mirror, monkeypatch):
    assert MAX_PAGE < 32_766
    assert MAX_BATCH < 5_461
    mirror.upsert(rows(23))
    monkeypatch.setattr(chroma, "MAX_PAGE", 5)
    assert mirror.hashes().keys() == {f"r{at}" for at in range(23)}
    assert [one.id for one in mirror.contents()] == list(mirror.hashes())
    sizes = []
    real = Mirror.upsert
    monkeypatch.setattr(Mirror, "upsert", lambda self, given: sizes.append(len(given)) or real(self, given))
    monkeypatch.setattr(store, "MAX_BATCH", 5)
    write_run(tmp_path, RUN_1, [record(f"r{at}", f"words {at}") for at in range(12)])
    ingest_runs(tmp_path)
    assert sizes == [5, 5, 2]
    assert len(in_chroma(tmp_path)) == 12


def test_a_collection_has_no_embedding_function_and_a_configuration_that_fits(mirror):
    configured = mirror._collection._model.configuration_json
    assert configured["embedding_function"] == {"type": "legacy"}, "which is how Chroma says none"
    assert {key: configured["hnsw"][key] for key in HNSW} == HNSW
    assert configured["hnsw"]["sync_threshold"] == 1000
    with pytest.raises(ValueError, match="embedding function"):
        mirror._collection.query(query_texts=["words"])


def test_a_record_that_is_written_twice_is_the_later_one(mirror):
    mirror.upsert(rows(1, "first"))
    mirror.upsert(rows(1, "second"))
    assert mirror.records(["r0"])["r0"].text == "second 0"


def test_a_zero_vector_never_reaches_chroma(tmp_path):
    space = embedder(OFFLINE).space
    zero = {
        "id": "zero", "text": "no direction", "meta": {"type": "Table"}, "vector": [0.0] * space.dim,
        "provider": space.provider, "model": space.model,
    }  # fmt: skip
    write_run(tmp_path, RUN_1, [zero, record("r", "words")])
    result = ingest_runs(tmp_path)
    assert [(one.record_id, "zero" in one.reason) for one in result.rejected] == [("zero", True)]
    assert in_chroma(tmp_path).keys() == {"r"}


def test_a_search_never_opens_chroma(tmp_path, monkeypatch):
    write_run(tmp_path, RUN_1, [record("r", "words of a page")])
    ingest_runs(tmp_path)
    monkeypatch.setattr(Mirror, "__enter__", lambda _: pytest.fail("Chroma was opened"))
    (tmp_path / ".spotter" / "chroma").rename(tmp_path / "away")
    with Searcher(tmp_path) as searcher:
        assert searcher.search("words").hits[0].id == "r"


def test_vectors_of_another_length_are_refused_by_chroma_itself(mirror):
    mirror.upsert(rows(1))
    with pytest.raises(chroma.ChromaBroken, match="dimension"):
        mirror.upsert([MirrorRow("short", "words", np.array([1.0, 0.0], np.float32), {"type": "T"})])
