"""The tables of a snapshot's database, their version, and the way from an older version to this one."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import orjson

from index.embed import Space
from index.layout import DATABASE

SCHEMA_VERSION = "2"
OLDEST_UPGRADED = "1"
"""Snapshots from this version on are brought up to date in place by the next writer."""
TAG_SOURCE_RECORD = "record"
"""Source of the tags that came in a record's own `meta.tags`."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
    run_key INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, folder TEXT NOT NULL, created_ms INTEGER NOT NULL
);
CREATE TABLE record (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, text TEXT NOT NULL, type TEXT NOT NULL,
    producer TEXT NOT NULL, filename TEXT, source_file TEXT, document_id TEXT, page INTEGER, carried INTEGER NOT NULL,
    run_key INTEGER NOT NULL REFERENCES run, meta BLOB NOT NULL, region_id TEXT, vector_crc INTEGER
);
CREATE INDEX record_by_document ON record (producer, document_id);
CREATE INDEX record_by_source ON record (producer, source_file);
CREATE INDEX record_by_filename ON record (producer, filename);
CREATE INDEX record_by_run ON record (run_key);
CREATE TABLE provenance (
    record_id TEXT NOT NULL, run_key INTEGER NOT NULL REFERENCES run, PRIMARY KEY (record_id, run_key)
) WITHOUT ROWID;
CREATE TABLE document (
    producer TEXT NOT NULL, name TEXT NOT NULL, run_key INTEGER NOT NULL REFERENCES run, whole INTEGER NOT NULL,
    PRIMARY KEY (producer, name)
) WITHOUT ROWID;
CREATE TABLE retired (row INTEGER PRIMARY KEY, revision INTEGER NOT NULL);
CREATE INDEX retired_by_revision ON retired (revision);
CREATE TABLE original_vector (row INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE record_tag (
    row INTEGER NOT NULL, tag TEXT NOT NULL, source TEXT NOT NULL, score REAL NOT NULL, PRIMARY KEY (row, tag, source)
) WITHOUT ROWID;
CREATE TABLE chroma_pending (id TEXT PRIMARY KEY, tags_only INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
"""

WORD_TABLES = (
    "CREATE TABLE vocabulary (stem_key INTEGER PRIMARY KEY, stem TEXT NOT NULL UNIQUE, word TEXT NOT NULL)",
    "CREATE VIRTUAL TABLE lexical USING fts5(words, stems, tokenize = 'ascii', prefix = '2 3 4')",
    "CREATE VIRTUAL TABLE spelling USING fts5(grams, tokenize = 'ascii', content = '', detail = none)",
)
"""The word index, which can be made again from the records' texts."""


def create(folder: Path, space: Space) -> None:
    """Make an empty snapshot; it appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{DATABASE}.new"
    temporary.unlink(missing_ok=True)
    db = sqlite3.connect(temporary, isolation_level=None)
    try:
        db.execute("PRAGMA page_size = 8192")
        db.executescript(TABLES + ";\n".join(WORD_TABLES))
        notes = {
            "schema": SCHEMA_VERSION,
            "identity": secrets.token_hex(8),
            "space": space.id,
            "revision": "0",
            "tags_revision": "0",
            "vector_rows": "0",
            "chroma_reset": "1",
        }
        db.executemany("INSERT INTO meta VALUES (?, ?)", list(notes.items()))
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    temporary.replace(folder / DATABASE)


def upgrade(db: sqlite3.Connection) -> None:
    """Bring a snapshot of version 1 to this one, all or nothing; the caller holds the writer's lock.

    Version 1 called the count of writes `generation` and kept tags only inside `meta`.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("ALTER TABLE retired RENAME COLUMN generation TO revision")
        db.execute("DROP INDEX retired_by_generation")
        db.execute("CREATE INDEX retired_by_revision ON retired (revision)")
        db.execute("UPDATE meta SET key = 'revision' WHERE key = 'generation'")
        db.execute("INSERT INTO meta VALUES ('identity', ?)", (secrets.token_hex(8),))
        db.execute("INSERT INTO meta SELECT 'tags_revision', value FROM meta WHERE key = 'revision'")
        db.execute("CREATE TABLE IF NOT EXISTS original_vector (row INTEGER PRIMARY KEY, vector BLOB NOT NULL)")
        db.execute(
            "CREATE TABLE record_tag (row INTEGER NOT NULL, tag TEXT NOT NULL, source TEXT NOT NULL, "
            "score REAL NOT NULL, PRIMARY KEY (row, tag, source)) WITHOUT ROWID"
        )
        db.execute("ALTER TABLE chroma_pending ADD COLUMN tags_only INTEGER NOT NULL DEFAULT 0")
        db.execute("ALTER TABLE record ADD COLUMN region_id TEXT")
        db.execute("ALTER TABLE record ADD COLUMN vector_crc INTEGER")
        metas = [(row, orjson.loads(meta)) for row, meta in db.execute("SELECT row, meta FROM record")]
        db.executemany("UPDATE record SET region_id = ? WHERE row = ?", [(m.get("region_id"), row) for row, m in metas])
        db.executemany("INSERT INTO record_tag VALUES (?, ?, ?, ?)", own_tags(metas))
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (SCHEMA_VERSION,))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def own_tags(metas: list[tuple[int, dict[str, object]]]) -> Iterator[tuple[int, str, str, float]]:
    """Rows of `record_tag` for the tags that records came with, each once, with the score 1."""
    for row, meta in metas:
        tags = meta.get("tags")
        for tag in dict.fromkeys(tags if isinstance(tags, list) else ()):
            yield row, str(tag), TAG_SOURCE_RECORD, 1.0
