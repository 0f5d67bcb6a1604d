"""What a search needs of every record at once, as arrays by row: type, document, page, region and tags.

Read from the snapshot's database, which takes seconds at a hundred thousand records, and kept beside it in
`columns.npz`, which opens in milliseconds. The file is a cache: it says of which snapshot and revision it is, what was
written since is read behind it, and it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from index.snapshot import read_meta

Mask = npt.NDArray[np.bool_]

FILE_NAME = "columns.npz"
_FORMAT = 1
_WORTH_KEEPING = 2_000
"""Rows read from the database behind the file before it is written anew."""
_NO_PAGE = 0
_NONE = -1

Name = TypeVar("Name")
Place = tuple[str | None, str | None, str | None]
"""Document id, source file and file name: a document, as a record names it."""


@dataclass(frozen=True)
class Columns:
    """The columns as of one revision; rows that hold no record any more have alive = False and keep the rest."""

    identity: str
    """Of the snapshot, so that a file beside a new one of the same name is not taken for its own."""
    revision: int
    alive: Mask
    type_codes: npt.NDArray[np.int16]
    type_names: list[str]
    document_codes: npt.NDArray[np.int32]
    documents: list[Place]
    pages: npt.NDArray[np.int32]
    """Page number from 1; 0: none."""
    region_groups: npt.NDArray[np.int64]
    """Equal for records of one region of one page; -1: of no region."""
    page_groups: npt.NDArray[np.int64]
    """Equal for records of one page of one document; -1: of no page."""
    tag_offsets: npt.NDArray[np.int64]
    """Row r's tags are `tag_codes[tag_offsets[r]:tag_offsets[r + 1]]`, each once, in no order; (rows + 1,)."""
    tag_codes: npt.NDArray[np.int32]
    tag_names: list[str]

    @staticmethod
    def empty(identity: str) -> Columns:
        """The columns of a snapshot before its first record."""
        ints: dict[str, Any] = {name: np.empty(0, dtype=kind) for name, kind in _KINDS.items()}
        return Columns(
            identity, -1, **{**ints, "tag_offsets": np.zeros(1, np.int64)}, type_names=[], documents=[], tag_names=[]
        )


_KINDS: dict[str, type[np.generic]] = {
    "alive": np.bool_,
    "type_codes": np.int16,
    "document_codes": np.int32,
    "pages": np.int32,
    "region_groups": np.int64,
    "page_groups": np.int64,
    "tag_offsets": np.int64,
    "tag_codes": np.int32,
}


def opened(folder: Path, db: sqlite3.Connection) -> Columns:
    """The columns of a snapshot as of now, by way of the file beside it. Call it inside a read transaction."""
    identity = read_meta(db, "identity")
    kept = _read(folder / FILE_NAME)
    if kept is None or kept.identity != identity or kept.revision > int(read_meta(db, "revision")):
        kept = Columns.empty(identity)
    now = caught_up(kept, db)
    if len(now.alive) - len(kept.alive) >= _WORTH_KEEPING or (
        now.tag_codes is not kept.tag_codes and len(now.tag_codes) >= _WORTH_KEEPING
    ):
        with contextlib.suppress(OSError):  # a workspace that can't be written can still be read
            _write(folder / FILE_NAME, now)
    return now


def caught_up(kept: Columns, db: sqlite3.Connection) -> Columns:
    """The columns of the newest revision, by what was written since. Call it inside a read transaction."""
    revision = int(read_meta(db, "revision"))
    if revision == kept.revision:
        return kept
    known, rows = len(kept.alive), int(read_meta(db, "vector_rows"))
    type_codes, document_codes = _Codes(kept.type_names), _Codes(kept.documents)
    grown: dict[str, Any] = {
        name: np.concatenate([getattr(kept, name), np.zeros(rows - known, dtype=_KINDS[name])])
        for name in ("alive", "type_codes", "document_codes", "pages", "region_groups", "page_groups")
    }
    groups: dict[tuple[int, int, str | None], int] = {}

    def group(document: int, page: int, region: str | None) -> int:
        key = (document, page, region)
        if key not in groups:
            named = orjson.dumps([document_codes.names[document], page, region])
            groups[key] = int.from_bytes(hashlib.blake2b(named, digest_size=8).digest(), "little") >> 1
        return groups[key]

    read = db.execute(
        "SELECT row, type, document_id, source_file, filename, page, region_id FROM record WHERE row >= ?", (known,)
    ).fetchall()
    if read:
        at = np.array([record[0] for record in read])
        documents = [document_codes[record[2:5]] for record in read]
        pages = [record[5] or _NO_PAGE for record in read]
        of_page = [
            group(document, page, None) if page else _NONE for document, page in zip(documents, pages, strict=True)
        ]
        of_region = [
            _NONE if record[6] is None else group(document, page, record[6])
            for document, page, record in zip(documents, pages, read, strict=True)
        ]
        grown["alive"][at] = True
        grown["type_codes"][at] = [type_codes[record[1]] for record in read]
        grown["document_codes"][at] = documents
        grown["pages"][at] = pages
        grown["page_groups"][at] = of_page
        grown["region_groups"][at] = of_region
    gone = db.execute("SELECT row FROM retired WHERE revision > ?", (kept.revision,)).fetchall()
    grown["alive"][[row for (row,) in gone]] = False
    tags = _tags(kept, db, known, rows)
    return Columns(
        kept.identity, revision, **grown, **tags, type_names=type_codes.names, documents=document_codes.names
    )


def run_keys(db: sqlite3.Connection, rows: int) -> npt.NDArray[np.int32]:
    """The key of the newest run that delivered each row's record, (rows,); 0 where there is no record.

    It changes for records that a run delivers unchanged, so it is read anew for every revision that asks for it, by
    the index over runs alone.
    """
    keys = np.zeros(rows, dtype=np.int32)
    for key, listed in db.execute("SELECT run_key, group_concat(row) FROM record GROUP BY run_key"):
        keys[np.array(listed.split(","), dtype=np.int64)] = key
    return keys


def _tags(kept: Columns, db: sqlite3.Connection, known: int, rows: int) -> dict[str, Any]:
    """Offsets, codes and names of the tags; only those of new rows are read unless others were tagged anew."""
    if int(read_meta(db, "tags_revision")) > kept.revision:
        known, offsets, codes = 0, kept.tag_offsets[:1], kept.tag_codes[:0]
    else:
        offsets, codes = kept.tag_offsets, kept.tag_codes
    names = _Codes(kept.tag_names)
    read = db.execute("SELECT DISTINCT row, tag FROM record_tag WHERE row >= ? ORDER BY row", (known,)).fetchall()
    counts = np.bincount(np.array([row - known for row, _ in read], dtype=np.int64), minlength=rows - known)
    if read:
        codes = np.concatenate([codes, np.array([names[tag] for _, tag in read], dtype=np.int32)])
    offsets = np.concatenate([offsets, offsets[-1] + np.cumsum(counts[: rows - known])])
    return {"tag_offsets": offsets, "tag_codes": codes, "tag_names": names.names}


class _Codes(Generic[Name]):
    """Numbers for names, in order of first sight."""

    def __init__(self, names: list[Name]) -> None:
        self.names = list(names)
        self._code = {name: code for code, name in enumerate(names)}

    def __getitem__(self, name: Name) -> int:
        code = self._code.get(name)
        if code is None:
            code = self._code[name] = len(self.names)
            self.names.append(name)
        return code


def _read(path: Path) -> Columns | None:
    """The columns of a file; None when there is none of this format, or a torn one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            head = orjson.loads(archive["head"].tobytes())
            if head.pop("format") != _FORMAT:
                return None
            head["documents"] = [tuple(place) for place in head["documents"]]
            return Columns(**head, **{name: archive[name] for name in _KINDS})
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError):
        return None


def _write(path: Path, columns: Columns) -> None:
    head = {
        "format": _FORMAT,
        "identity": columns.identity,
        "revision": columns.revision,
        "type_names": columns.type_names,
        "documents": columns.documents,
        "tag_names": columns.tag_names,
    }
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as out:
            np.savez(
                out,
                head=np.frombuffer(orjson.dumps(head), dtype=np.uint8),
                **{name: getattr(columns, name) for name in _KINDS},
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
