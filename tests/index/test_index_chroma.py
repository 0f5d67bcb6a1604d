from __future__ import annotations

import numpy as np

from index.chroma import Mirror, MirrorRow, chroma_metadata
from index.chroma_place import Place
from tests.index.index_world import RUN_1, in_chroma, ingest_runs, record, write_run

V = np.array([0.6, 0.8], dtype=np.float32)


def test_metadata_become_what_chroma_accepts_and_nothing_is_lost():
    flat = chroma_metadata(
        {
            "type": "VisualFact", "page": 3, "score": 0.5, "ok": True, "tags": ["а", "б"], "bbox_px": [1, 2.5, 3, 4],
            "none": None, "empty": [], "nested": {"a": [1]}, "mixed": ["a", 1], "huge": 2**70, "#key": "x", "": 1,
        },
        content_hash="h", provider="p", model="m",
    )  # fmt: skip
    assert flat == {
        "type": "VisualFact", "page": 3, "score": 0.5, "ok": True, "tags": ["а", "б"], "bbox_px": [1.0, 2.5, 3.0, 4.0],
        "nested": '{"a":[1]}', "mixed": '["a",1]', "huge": str(2**70), "x_#key": "x", "x_": 1,
        "content_hash": "h", "provider": "p", "model": "m",
    }  # fmt: skip


def test_a_key_that_a_record_no_longer_has_is_really_dropped(tmp_path):
    with Mirror(Place(tmp_path / "chroma", "", "records")) as mirror:
        mirror.upsert([MirrorRow("r", "one", V, {"type": "Title", "label": "old", "tags": ["a"]})])
        mirror.upsert([MirrorRow("r", "two", V, {"type": "Title", "page": 2}), MirrorRow("s", "new", V, {"type": "T"})])
        stored = mirror._collection.get(ids=["r"])
        assert stored["metadatas"] == [{"type": "Title", "page": 2}]
        assert stored["documents"] == ["two"]


def test_deleting_what_is_not_there_is_no_error_and_deletes_nothing_else(tmp_path):
    with Mirror(Place(tmp_path / "chroma", "", "records")) as mirror:
        mirror.upsert([MirrorRow("r", "one", V, {"type": "Title"})])
        mirror.delete(["gone"])
        assert mirror.count() == 1
        mirror.delete(["r", "gone"])
        assert mirror.count() == 0
        mirror.clear()
        assert mirror.hashes() == {}


def test_a_changed_record_reaches_chroma_without_its_dropped_keys(tmp_path):
    write_run(tmp_path, RUN_1, [record("r", "Канвас", label="canvas", tags=["Canvas:Value"], bbox_px=(1, 2, 3.5, 4))])
    ingest_runs(tmp_path)
    before = in_chroma(tmp_path)["r"]
    assert before[1]["tags"] == ["Canvas:Value"]
    assert before[1]["bbox_px"] == [1.0, 2.0, 3.5, 4.0]
    write_run(tmp_path, RUN_1, [record("r", "Канвас")])
    assert ingest_runs(tmp_path).updated == 1
    document, metadata, vector = in_chroma(tmp_path)["r"]
    assert document == "Канвас"
    assert not {"label", "tags", "bbox_px"} & metadata.keys()
    assert np.allclose(vector, before[2], atol=1e-6)


def test_quotes_newlines_cyrillic_and_odd_ids_arrive_unharmed(tmp_path):
    text = 'Он сказал:\n"it\'s 100 % «слоёв»"\\ \t\u0007 🙂 \u00a0\x00 end'
    written = [
        record("id with 'quotes' \"and\"\nnewline", text, document="имя с 'кавычками'"),
        {"id": "плюс", "text": "extra", "meta": {"type": "Table", "rows": 3, "nested": {"a": 1}}},
    ]
    write_run(tmp_path, RUN_1, written)
    assert ingest_runs(tmp_path).added == 2
    stored = in_chroma(tmp_path)
    assert stored["id with 'quotes' \"and\"\nnewline"][0] == text
    assert stored["плюс"][1]["rows"] == 3
    assert stored["плюс"][1]["nested"] == '{"a":1}'
