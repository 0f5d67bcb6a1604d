"""The ranking snapshot: one SQLite file with records, words and provenance beside the vector file.

A record's `row` is its vector's place in the vector file and its key in the word index. Rows are never changed: a
record with new content moves to a new row and its old one is retired.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from index.embed import Space
from index.errors import IndexCorrupt, SpaceMismatch
from index.layout import DATABASE
from index.schema import (
    OLDEST_UPGRADED,
    SCHEMA_VERSION,
    TAG_SOURCE_RECORD,
    WORD_TABLES,
    create,
    own_tags,
    upgrade,
)
from index.vectors import FILE_NAME, REBUILD
from index.words import char_grams, folded_words, stem

_SPELLING_GRAM = 3
_WORDS_AT_ONCE = 500
_SHORTEST_LEARNT, _LONGEST_LEARNT = 4, 40


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
    region_id: str | None = None
    vector_crc: int | None = None
    """CRC-32 of the stored vector's bytes, so that the doctor can tell which of two differing copies is right."""
    original_vector: bytes | None = None
    """The vector as it was delivered, little-endian float32, when it was not of length 1; for exact export."""
    tag_rows: tuple[tuple[str, str, float], ...] | None = None
    """Its tags as (tag, source, score), each pair of tag and source once; None: those of its meta, as they stand."""


@dataclass(frozen=True)
class TagClaim:
    """One tag of a record, as one source says."""

    tag: str
    score: float = 1.0


@dataclass(frozen=True)
class MirrorSource:
    """What Chroma is to hold of one record."""

    id: str
    row: int
    hash: str
    text: str
    meta: bytes
    tags: tuple[str, ...]
    """The tags of all sources, each once: the record's own first, in their order."""


def connect(folder: Path, *, writable: bool) -> sqlite3.Connection:
    """Open a snapshot's database; a writer brings an older one up to date.

    Raises:
        IndexCorrupt: it is missing, no database, or of a version that this Spotter doesn't read.
    """
    path = folder / DATABASE
    uri = f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}"
    try:
        db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
        found = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        version = None if found is None else found[0]
        if writable and version == OLDEST_UPGRADED:
            upgrade(db)
            version = SCHEMA_VERSION
    except sqlite3.DatabaseError as error:
        raise IndexCorrupt(f"{path} can't be read ({error}); {REBUILD}") from error
    if version == SCHEMA_VERSION:
        return db
    db.close()
    if version == OLDEST_UPGRADED:
        raise IndexCorrupt(
            f"{path} was written by an older Spotter; bring it up to date, which takes seconds: spotter index doctor"
        )
    raise IndexCorrupt(f"{path} was written by another version of Spotter; {REBUILD}")


def read_meta(db: sqlite3.Connection, key: str) -> str:
    """One value of the snapshot's own notes: space, revision, tags_revision, vector_rows, chroma_reset.

    The revision grows by one with every visible write; `tags_revision` is that of the last change of tags of records
    that were there before.
    """
    return str(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])


class Snapshot:
    """The writer's view; the caller holds the writer's lock."""

    def __init__(self, folder: Path, space: Space) -> None:
        """Open the snapshot of a space, made if it isn't there yet. Raises IndexCorrupt, SpaceMismatch."""
        self.folder = folder
        self.space = space
        self.vector_path = folder / FILE_NAME
        if not (folder / DATABASE).exists():
            create(folder, space)
        self.db = connect(folder, writable=True)
        self.db.execute("PRAGMA synchronous = FULL")
        if read_meta(self.db, "space") != space.id:
            raise SpaceMismatch(index_space=read_meta(self.db, "space"), other_space=space.id)

    def close(self) -> None:
        """Close the database."""
        self.db.close()

    @contextmanager
    def transaction(self, *, visible: bool = True) -> Iterator[None]:
        """All or nothing; a visible one moves the revision, so that open searchers look again."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            if visible:
                self.db.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    @property
    def revision(self) -> int:
        """Number of visible transactions so far."""
        return int(read_meta(self.db, "revision"))

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

    def of_document(self, producer: str, name: str) -> Iterator[tuple[int, str, int | None, int]]:
        """(row, id, page, run key) of the records of a document, named `id:…`, `source:…` or `file:…`."""
        kind, _, value = name.partition(":")
        column = {"id": "document_id", "source": "source_file", "file": "filename"}[kind]
        return self.db.execute(
            f"SELECT row, id, page, run_key FROM record WHERE producer = ? AND {column} = ?",  # noqa: S608
            (producer, value),
        )

    def of_run(self, producer: str, run_key: int) -> Iterator[tuple[int, str]]:
        """(row, id) of the records that this run delivered last."""
        return self.db.execute("SELECT row, id FROM record WHERE run_key = ? AND producer = ?", (run_key, producer))

    def write(self, records: Sequence[NewRecord], replaced_rows: Iterable[int], vector_rows: int) -> None:
        """Put records whose vectors are on disk already; note them for Chroma. Inside a transaction."""
        self._retire(replaced_rows)
        self.db.executemany(
            "INSERT INTO record (row, id, hash, text, type, producer, filename, source_file, document_id, page, "
            "carried, run_key, meta, region_id, vector_crc) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (r.row, r.id, r.hash, r.text, r.type, r.producer, r.filename, r.source_file, r.document_id, r.page,
                 r.carried, r.run_key, r.meta, r.region_id, r.vector_crc)
                for r in records
            ],
        )  # fmt: skip
        tags = [
            *own_tags([(r.row, orjson.loads(r.meta)) for r in records if r.tag_rows is None]),
            *((r.row, *tag) for r in records for tag in r.tag_rows or ()),
        ]
        self.db.executemany("INSERT INTO record_tag VALUES (?, ?, ?, ?)", tags)
        originals = [(r.row, r.original_vector) for r in records if r.original_vector is not None]
        self.db.executemany("INSERT INTO original_vector VALUES (?, ?)", originals)
        self._index_words([(r.row, r.text) for r in records])
        self.db.executemany("REPLACE INTO provenance VALUES (?, ?)", [(r.id, r.run_key) for r in records])
        self.db.executemany("REPLACE INTO chroma_pending VALUES (?, 0)", [(r.id,) for r in records])
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
        self.db.executemany("REPLACE INTO chroma_pending VALUES (?, 0)", [(i,) for _, i in records])

    def retag(self, tags: Mapping[str, Sequence[TagClaim]], source: str) -> int:
        """Let these be all the tags that `source` gives to each of these records (by id); vectors stay as they are.

        Returns how many records changed; when none did, nothing is written. Ids that the index hasn't are passed over.
        """
        changed: dict[int, tuple[str, dict[str, float]]] = {}
        for record_id, claims in tags.items():
            found = self.db.execute("SELECT row FROM record WHERE id = ?", (record_id,)).fetchone()
            if found is None:
                continue
            row = int(found[0])
            said = self.db.execute("SELECT tag, score FROM record_tag WHERE row = ? AND source = ?", (row, source))
            wanted = {claim.tag: float(claim.score) for claim in claims}
            if wanted != dict(said):
                changed[row] = (record_id, wanted)
        if not changed:
            return 0
        with self.transaction():
            self.db.execute("UPDATE meta SET value = ? WHERE key = 'tags_revision'", (str(self.revision + 1),))
            for row, (record_id, wanted) in changed.items():
                self.db.execute("DELETE FROM record_tag WHERE row = ? AND source = ?", (row, source))
                claims_now = [(row, tag, source, score) for tag, score in wanted.items()]
                self.db.executemany("INSERT INTO record_tag VALUES (?, ?, ?, ?)", claims_now)
                self.db.execute("INSERT OR IGNORE INTO chroma_pending VALUES (?, 1)", (record_id,))
        return len(changed)

    def pending(self, limit: int, *, tags_only: bool) -> list[str]:
        """Ids that Chroma doesn't hold as they are now: those of which only tags changed, or the others."""
        return [
            r[0]
            for r in self.db.execute(
                "SELECT id FROM chroma_pending WHERE tags_only = ? ORDER BY id LIMIT ?", (tags_only, limit)
            )
        ]

    def pending_count(self) -> int:
        """How many records wait for Chroma."""
        return int(self.db.execute("SELECT count(*) FROM chroma_pending").fetchone()[0])

    def mirror_sources(self, ids: Sequence[str]) -> list[MirrorSource]:
        """What Chroma is to hold of these records; those that are gone are absent."""
        marks = ",".join("?" * len(ids))
        rows = self.db.execute(
            f"SELECT id, row, hash, text, meta FROM record WHERE id IN ({marks}) ORDER BY row",  # noqa: S608
            list(ids),
        ).fetchall()
        return [MirrorSource(i, row, digest, text, meta, self.tags(row)) for i, row, digest, text, meta in rows]

    def tags(self, row: int) -> tuple[str, ...]:
        """The tags of the record at a row, of all sources, each once: its own first, in the order they came in."""
        (meta,) = self.db.execute("SELECT meta FROM record WHERE row = ?", (row,)).fetchone()
        own = orjson.loads(meta).get("tags")
        claims = self.db.execute(
            "SELECT tag, source FROM record_tag WHERE row = ? ORDER BY source <> ?, tag", (row, TAG_SOURCE_RECORD)
        )
        found = {tag: None for tag, _ in claims}
        first = {str(tag): None for tag in (own if isinstance(own, list) else ()) if str(tag) in found}
        return tuple(first | found)

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

    @property
    def chroma_url(self) -> str:
        """The Chroma server that this generation is mirrored to; empty for its own folder."""
        found = self.db.execute("SELECT value FROM meta WHERE key = 'chroma_url'").fetchone()
        return "" if found is None else str(found[0])

    def mirror_anew(self, url: str | None = None) -> None:
        """Note that Chroma, or the Chroma at this address, is to be emptied and to get every record again."""
        with self.transaction(visible=False):
            if url is not None:
                self.db.execute("REPLACE INTO meta VALUES ('chroma_url', ?)", (url,))
            self.db.execute("UPDATE meta SET value = '1' WHERE key = 'chroma_reset'")
            self.db.execute("DELETE FROM chroma_pending")
            self.db.execute("INSERT INTO chroma_pending SELECT id, 0 FROM record")

    def rebuild_words(self) -> int:
        """Make the word index anew from the records' texts, all or nothing; returns how many records there are."""
        with self.transaction():
            for table in ("lexical", "spelling", "vocabulary"):
                self.db.execute(f"DROP TABLE {table}")
            for statement in WORD_TABLES:
                self.db.execute(statement)
            rows = self.db.execute("SELECT row, text FROM record ORDER BY row")
            while batch := rows.fetchmany(_WORDS_AT_ONCE):
                self._index_words(batch)
            # What was derived from the old words must not be taken for this snapshot's.
            self.db.execute("UPDATE meta SET value = ? WHERE key = 'identity'", (secrets.token_hex(8),))
        return self.count

    def _index_words(self, texts: Sequence[tuple[int, str]]) -> None:
        """Put (row, text) into the word index and learn its words."""
        vocabulary: dict[str, str] = {}
        lexical = []
        for row, text in texts:
            folded = folded_words(text)
            stems = [stem(word) for word in folded]
            vocabulary.update(zip(stems, folded, strict=True))
            lexical.append((row, " ".join(folded), " ".join(stems)))
        self.db.executemany("INSERT INTO lexical (rowid, words, stems) VALUES (?, ?, ?)", lexical)
        self._learn(vocabulary)

    def _retire(self, rows: Iterable[int]) -> None:
        revision = self.revision + 1
        gone = [(row,) for row in rows]
        self.db.executemany("DELETE FROM record WHERE row = ?", gone)
        self.db.executemany("DELETE FROM lexical WHERE rowid = ?", gone)
        self.db.executemany("DELETE FROM original_vector WHERE row = ?", gone)
        self.db.executemany("DELETE FROM record_tag WHERE row = ?", gone)
        self.db.executemany("INSERT INTO retired VALUES (?, ?)", [(row, revision) for (row,) in gone])

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
