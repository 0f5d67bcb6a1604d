"""Tags beside records: from the record itself, from other sources, changed without embedding, brought to Chroma."""

from __future__ import annotations

import sqlite3

import pytest

from index.chroma import Mirror
from index.doctor import doctor
from index.embed import OFFLINE, embedder
from index.errors import IndexCorrupt
from index.layout import Layout
from index.rebuild import rebuild
from index.snapshot import TagClaim, connect, read_meta
from index.store import Store
from tests.index.index_world import RUN_1, in_chroma, ingest_runs, record, write_run

SPACE = embedder(OFFLINE).space


@pytest.fixture
def workspace(tmp_path):
    write_run(
        tmp_path,
        RUN_1,
        [
            record("a", "Ценность для клиента", tags=["Canvas:Value", "Layer/Data", "Canvas:Value"], region_id="r-1"),
            record("b", "plain words", tags=[]),
        ],
    )
    ingest_runs(tmp_path)
    return tmp_path


def tags_of(workspace):
    current = Layout(workspace).current()
    assert current is not None
    db = connect(current.folder, writable=False)
    try:
        return set(db.execute("SELECT id, tag, source, score FROM record_tag JOIN record USING (row)"))
    finally:
        db.close()


def retag(workspace, tags, source):
    with Store(workspace, SPACE, "test") as store:
        changed = store.retag(tags, source)
        store.mirror()
        return changed, store.snapshot.revision, int(read_meta(store.snapshot.db, "tags_revision"))


OWN = {("a", "Canvas:Value", "record", 1.0), ("a", "Layer/Data", "record", 1.0)}


def test_the_tags_a_record_comes_with_are_its_own(workspace):
    assert tags_of(workspace) == OWN


def test_retagging_changes_tags_on_both_sides_and_embeds_and_writes_no_record(workspace, monkeypatch):
    before = in_chroma(workspace)
    monkeypatch.setattr(Mirror, "upsert", lambda *_: pytest.fail("a record was written"))
    changed, revision, tags_revision = retag(
        workspace, {"a": [TagClaim("Канвас", 0.7)], "b": [TagClaim("Zone", 0.5)], "gone": [TagClaim("X")]}, "inferred"
    )
    assert (changed, tags_revision) == (2, revision)
    assert tags_of(workspace) == OWN | {("a", "Канвас", "inferred", 0.7), ("b", "Zone", "inferred", 0.5)}
    after = in_chroma(workspace)
    assert after["a"][1] == {**before["a"][1], "tags": ["Canvas:Value", "Layer/Data", "Канвас"]}
    assert after["b"][1] == {**before["b"][1], "tags": ["Zone"]}
    assert after["a"][0] == before["a"][0]


def test_retagging_with_the_same_tags_writes_nothing(workspace):
    _, revision, _ = retag(workspace, {"b": [TagClaim("Zone")]}, "inferred")
    assert retag(workspace, {"b": [TagClaim("Zone")]}, "inferred")[:2] == (0, revision)


def test_the_last_tag_is_really_dropped_in_chroma(workspace):
    retag(workspace, {"b": [TagClaim("Zone")]}, "inferred")
    retag(workspace, {"b": [], "a": []}, "inferred")
    retag(workspace, {"a": []}, "record")
    assert tags_of(workspace) == set()
    assert all("tags" not in metadata for _, metadata, _ in in_chroma(workspace).values())


def test_a_changed_record_drops_what_was_inferred_from_its_old_content(workspace):
    retag(workspace, {"a": [TagClaim("Zone")]}, "inferred")
    write_run(workspace, RUN_1, [record("a", "Other words", tags=["New"]), record("b", "plain words", tags=[])])
    assert ingest_runs(workspace).updated == 1
    assert tags_of(workspace) == {("a", "New", "record", 1.0)}
    assert in_chroma(workspace)["a"][1]["tags"] == ["New"]


def to_version_1(workspace):
    """The snapshot as the first version wrote it."""
    current = Layout(workspace).current()
    assert current is not None
    with sqlite3.connect(current.folder / "snapshot.sqlite") as db:
        db.executescript(
            """
            DROP TABLE record_tag; DROP TABLE original_vector; DROP INDEX retired_by_revision;
            ALTER TABLE retired RENAME COLUMN revision TO generation;
            CREATE INDEX retired_by_generation ON retired (generation);
            ALTER TABLE record DROP COLUMN region_id; ALTER TABLE record DROP COLUMN vector_crc;
            ALTER TABLE chroma_pending DROP COLUMN tags_only;
            DELETE FROM meta WHERE key IN ('tags_revision', 'identity');
            UPDATE meta SET key = 'generation' WHERE key = 'revision';
            UPDATE meta SET value = '1' WHERE key = 'schema';
            """
        )
    db.close()
    Layout(workspace).pointer.write_bytes(b'{"space":"%s"}' % current.space.id.encode())
    current.state_file.unlink()
    Layout(workspace).sources.unlink()
    return current


def test_a_snapshot_of_the_first_version_is_brought_up_to_date_by_the_next_writer(workspace):
    current = to_version_1(workspace)
    with pytest.raises(IndexCorrupt, match=r"older Spotter.*spotter index doctor"):
        connect(current.folder, writable=False)
    result = ingest_runs(workspace)
    assert (result.unchanged, result.embedded, result.mirrored) == (2, 0, 0)
    assert tags_of(workspace) == OWN
    assert doctor(workspace).ok
    assert rebuild(workspace, None).switched
    assert tags_of(workspace) == OWN
    db = connect(current.folder, writable=False)
    assert set(db.execute("SELECT id, region_id FROM record")) == {("a", "r-1"), ("b", None)}
    db.close()


def test_a_snapshot_of_a_later_version_is_answered_by_one_sentence(workspace):
    current = Layout(workspace).current()
    assert current is not None
    with sqlite3.connect(current.folder / "snapshot.sqlite") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    db.close()
    with pytest.raises(IndexCorrupt, match="another version of Spotter"):
        connect(current.folder, writable=True)
