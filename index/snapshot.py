"""The ranking snapshot: one SQLite file with records, words and provenance beside the vector file.

A record's `row` is its vector's place in the vector file and its key in the word index. Rows are never changed: a
record with new content moves to a new row and its old one is retired.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from index.embed import Space
from index.errors import IndexCorrupt, SpaceMismatch
from index.vectors import FILE_NAME, REBUILD
from index.words import char_grams, folded_words, stem

SCHEMA_VERSION = "1"
DATABASE = "snapshot.sqlite"
_SPELLING_GRAM = 3
_SHORTEST_LEARNT, _LONGEST_LEARNT = 4, 40

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
    run_key INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, folder TEXT NOT NULL, created_ms INTEGER NOT NULL
);
CREATE TABLE record (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, text TEXT NOT NULL, type TEXT NOT NULL,
    producer TEXT NOT NULL, filename TEXT, source_file TEXT, document_id TEXT, page INTEGER, carried INTEGER NOT NULL,
    run_key INTEGER NOT NULL REFERENCES run, meta BLOB NOT NULL
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
CREATE TABLE retired (row INTEGER PRIMARY KEY, generation INTEGER NOT NULL);
CREATE INDEX retired_by_generation ON retired (generation);
CREATE TABLE chroma_pending (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE vocabulary (stem_key INTEGER PRIMARY KEY, stem TEXT NOT NULL UNIQUE, word TEXT NOT NULL);
CREATE VIRTUAL TABLE lexical USING fts5(words, stems, tokenize = 'ascii', prefix = '2 3 4');
CREATE VIRTUAL TABLE spelling USING fts5(grams, tokenize = 'ascii', content = '', detail = none);
"""


@dataclass(frozen=True)
class StoredRecord:
    """What an ingest must know of a record that is there already."""

    row: int
    id: str
    hash: str
    text: str
    carried: bool
    run_key: int


@dataclass(frozen=True)
class NewRecord:
    """A record about to be written at `row`."""

    row: int
    id: str
    hash: str
    text: str
    type: str
    producer: str
    filename: str | None
    source_file: str | None
    document_id: str | None
    page: int | None
    carried: bool
    run_key: int
    meta: bytes
    original_vector: bytes | None = None
    """The vector as it was delivered, little-endian float32, when it was not of length 1; for exact export."""


@dataclass(frozen=True)
class MirrorSource:
    """What Chroma is to hold of one record."""

    id: str
    row: int
    hash: str
    text: str
    meta: bytes


def connect(folder: Path, *, writable: bool) -> sqlite3.Connection:
    """Open a snapshot's database. Raises IndexCorrupt when it is missing, no database, or of another version."""
    path = folder / DATABASE
    uri = f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}"
    try:
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
        version = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    except sqlite3.DatabaseError as error:
        raise IndexCorrupt(f"{path} can't be read ({error}); {REBUILD}") from error
    if version is None or version[0] != SCHEMA_VERSION:
        db.close()
        raise IndexCorrupt(f"{path} was written by another version of Spotter; {REBUILD}")
    return db


def read_meta(db: sqlite3.Connection, key: str) -> str:
    """One value of the snapshot's own notes: space, generation, vector_rows, chroma_reset."""
    return str(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])


class Snapshot:
    """The writer's view; the caller holds the writer's lock."""

    def __init__(self, folder: Path, space: Space) -> None:
        """Open the snapshot of a space, made if it isn't there yet. Raises IndexCorrupt, SpaceMismatch."""
        self.folder = folder
        self.space = space
        self.vector_path = folder / FILE_NAME
        if not (folder / DATABASE).exists():
            _create(folder, space)
        self.db = connect(folder, writable=True)
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.execute("CREATE TABLE IF NOT EXISTS original_vector (row INTEGER PRIMARY KEY, vector BLOB NOT NULL)")
        if read_meta(self.db, "space") != space.id:
            raise SpaceMismatch(index_space=read_meta(self.db, "space"), other_space=space.id)

    def close(self) -> None:
        """Close the database."""
        self.db.close()

    @contextmanager
    def transaction(self, *, visible: bool = True) -> Iterator[None]:
        """All or nothing; a visible one moves the generation, so that open searchers look again."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            if visible:
                self.db.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    @property
    def generation(self) -> int:
        """Number of visible transactions so far."""
        return int(read_meta(self.db, "generation"))

    @property
    def vector_rows(self) -> int:
        """Committed rows of the vector file, retired ones included."""
        return int(read_meta(self.db, "vector_rows"))

    @property
    def count(self) -> int:
        """Records in the snapshot."""
        return int(self.db.execute("SELECT count(*) FROM record").fetchone()[0])

    def run_key(self, run_id: str, folder: str, created_ms: int) -> int:
        """The key of a run, noted on first sight; its folder is where it was seen last. Inside a transaction."""
        self.db.execute(
            "INSERT INTO run (run_id, folder, created_ms) VALUES (?, ?, ?) "
            "ON CONFLICT (run_id) DO UPDATE SET folder = excluded.folder, created_ms = excluded.created_ms "
            "WHERE folder <> excluded.folder OR created_ms <> excluded.created_ms",
            (run_id, folder, created_ms),
        )
        return int(self.db.execute("SELECT run_key FROM run WHERE run_id = ?", (run_id,)).fetchone()[0])

    def run_orders(self) -> dict[int, tuple[int, str]]:
        """Run key to (creation time, run id): the greater, the newer."""
        return {key: (ms, run) for key, ms, run in self.db.execute("SELECT run_key, created_ms, run_id FROM run")}

    def known(self, ids: Sequence[str]) -> dict[str, StoredRecord]:
        """Those of these records that are in the index."""
        marks = ",".join("?" * len(ids))
        rows = self.db.execute(
            f"SELECT row, id, hash, text, carried, run_key FROM record WHERE id IN ({marks})",  # noqa: S608
            list(ids),
        )
        return {r[1]: StoredRecord(r[0], r[1], r[2], r[3], bool(r[4]), r[5]) for r in rows}

    def document_run(self, producer: str, name: str) -> tuple[int, bool] | None:
        """Key of the newest run of a document, and whether that run covered it whole."""
        found = self.db.execute(
            "SELECT run_key, whole FROM document WHERE producer = ? AND name = ?", (producer, name)
        ).fetchone()
        return None if found is None else (int(found[0]), bool(found[1]))

    def note_document(self, producer: str, name: str, run_key: int, *, whole: bool) -> None:
        """Remember the newest run of a document. Inside a transaction."""
        self.db.execute("REPLACE INTO document VALUES (?, ?, ?, ?)", (producer, name, run_key, whole))

    def of_document(self, producer: str, name: str) -> list[tuple[int, str, int | None, int]]:
        """(row, id, page, run key) of the records of a document, named `id:…`, `source:…` or `file:…`."""
        kind, _, value = name.partition(":")
        column = {"id": "document_id", "source": "source_file", "file": "filename"}[kind]
        return self.db.execute(
            f"SELECT row, id, page, run_key FROM record WHERE producer = ? AND {column} = ?",  # noqa: S608
            (producer, value),
        ).fetchall()

    def of_run(self, producer: str, run_key: int) -> list[tuple[int, str]]:
        """(row, id) of the records that this run delivered last."""
        return self.db.execute(
            "SELECT row, id FROM record WHERE run_key = ? AND producer = ?", (run_key, producer)
        ).fetchall()

    def write(self, records: Sequence[NewRecord], replaced_rows: Iterable[int], vector_rows: int) -> None:
        """Put records whose vectors are on disk already; note them for Chroma. Inside a transaction."""
        self._retire(replaced_rows)
        self.db.executemany(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (r.row, r.id, r.hash, r.text, r.type, r.producer, r.filename, r.source_file, r.document_id, r.page,
                 r.carried, r.run_key, r.meta)
                for r in records
            ],
        )  # fmt: skip
        originals = [(r.row, r.original_vector) for r in records if r.original_vector is not None]
        self.db.executemany("INSERT INTO original_vector VALUES (?, ?)", originals)
        vocabulary: dict[str, str] = {}
        lexical = []
        for record in records:
            folded = folded_words(record.text)
            stems = [stem(word) for word in folded]
            vocabulary.update(zip(stems, folded, strict=True))
            lexical.append((record.row, " ".join(folded), " ".join(stems)))
        self.db.executemany("INSERT INTO lexical (rowid, words, stems) VALUES (?, ?, ?)", lexical)
        self._learn(vocabulary)
        self.db.executemany("REPLACE INTO provenance VALUES (?, ?)", [(r.id, r.run_key) for r in records])
        self.db.executemany("REPLACE INTO chroma_pending VALUES (?)", [(r.id,) for r in records])
        self.db.execute("UPDATE meta SET value = ? WHERE key = 'vector_rows'", (str(vector_rows),))

    def seen_again(self, ids: Sequence[str], run_key: int, *, newest: bool) -> None:
        """Unchanged records that another run delivers, too. Inside a transaction."""
        self.db.executemany("REPLACE INTO provenance VALUES (?, ?)", [(record_id, run_key) for record_id in ids])
        if newest:
            self.db.executemany("UPDATE record SET run_key = ? WHERE id = ?", [(run_key, i) for i in ids])

    def remove(self, records: Sequence[tuple[int, str]]) -> None:
        """Take out records, given as (row, id); note them for Chroma. Inside a transaction."""
        self._retire(row for row, _ in records)
        self.db.executemany("DELETE FROM provenance WHERE record_id = ?", [(i,) for _, i in records])
        self.db.executemany("REPLACE INTO chroma_pending VALUES (?)", [(i,) for _, i in records])

    def pending(self, limit: int) -> list[str]:
        """Ids that Chroma doesn't hold as they are now."""
        return [r[0] for r in self.db.execute("SELECT id FROM chroma_pending ORDER BY id LIMIT ?", (limit,))]

    def pending_count(self) -> int:
        """How many records wait for Chroma."""
        return int(self.db.execute("SELECT count(*) FROM chroma_pending").fetchone()[0])

    def mirror_sources(self, ids: Sequence[str]) -> list[MirrorSource]:
        """What Chroma is to hold of these records; those that are gone are absent."""
        marks = ",".join("?" * len(ids))
        rows = self.db.execute(
            f"SELECT id, row, hash, text, meta FROM record WHERE id IN ({marks}) ORDER BY row",  # noqa: S608
            list(ids),
        )
        return [MirrorSource(*row) for row in rows]

    def mirrored(self, ids: Sequence[str]) -> None:
        """Chroma holds these as they are now."""
        with self.transaction(visible=False):
            self.db.executemany("DELETE FROM chroma_pending WHERE id = ?", [(i,) for i in ids])

    @property
    def chroma_reset(self) -> bool:
        """Whether Chroma's collection must be emptied before anything is written to it."""
        return read_meta(self.db, "chroma_reset") == "1"

    def chroma_was_reset(self) -> None:
        """The collection is empty now."""
        with self.transaction(visible=False):
            self.db.execute("UPDATE meta SET value = '0' WHERE key = 'chroma_reset'")

    def mirror_anew(self) -> None:
        """Note that Chroma is to be emptied and to get every record again."""
        with self.transaction(visible=False):
            self.db.execute("UPDATE meta SET value = '1' WHERE key = 'chroma_reset'")
            self.db.execute("DELETE FROM chroma_pending")
            self.db.execute("INSERT INTO chroma_pending SELECT id FROM record")

    def _retire(self, rows: Iterable[int]) -> None:
        generation = self.generation + 1
        gone = [(row,) for row in rows]
        self.db.executemany("DELETE FROM record WHERE row = ?", gone)
        self.db.executemany("DELETE FROM lexical WHERE rowid = ?", gone)
        self.db.executemany("DELETE FROM original_vector WHERE row = ?", gone)
        self.db.executemany("INSERT INTO retired VALUES (?, ?)", [(row, generation) for (row,) in gone])

    def _learn(self, vocabulary: Mapping[str, str]) -> None:
        """Remember stems, each with one word that has it, for near spellings.

        The stems of removed records stay, where they match nothing.
        """
        for base, word in sorted(vocabulary.items()):
            if not _SHORTEST_LEARNT <= len(word) <= _LONGEST_LEARNT:
                continue
            added = self.db.execute("INSERT OR IGNORE INTO vocabulary (stem, word) VALUES (?, ?)", (base, word))
            if added.rowcount == 1:
                grams = " ".join(spelling_grams(base))
                self.db.execute("INSERT INTO spelling (rowid, grams) VALUES (?, ?)", (added.lastrowid, grams))


def spelling_grams(base: str) -> list[str]:
    """The 3-grams of a stem, each once, as tokens of the spelling index."""
    return list(dict.fromkeys(char_grams(base, _SPELLING_GRAM)))


def _create(folder: Path, space: Space) -> None:
    """Make an empty snapshot; it appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{DATABASE}.new"
    temporary.unlink(missing_ok=True)
    db = sqlite3.connect(temporary, isolation_level=None)
    try:
        db.execute("PRAGMA page_size = 8192")
        db.executescript(_SCHEMA)
        notes = {
            "schema": SCHEMA_VERSION,
            "space": space.id,
            "generation": "0",
            "vector_rows": "0",
            "chroma_reset": "1",
        }
        db.executemany("INSERT INTO meta VALUES (?, ?)", list(notes.items()))
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()
    temporary.replace(folder / DATABASE)
