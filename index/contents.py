"""What is in an index by type, document and tag, with zeros in sight.

A document counts as known when any run of the workspace listed it, so one that was parsed and has no record is told.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from index.errors import IndexEmpty
from index.layout import Current, Layout
from index.rank import is_text
from index.snapshot import connect, read_meta
from index.view import read_only

TYPES = (
    "NarrativeText", "Title", "ListItem", "Header", "Footer", "Table", "Image",
    "VisualCaption", "VisualFact", "ImageVec",
)  # fmt: skip
"""The types that are counted even when there are none."""
_DOCUMENT = "coalesce(source_file, document_id, filename, '')"


@dataclass(frozen=True)
class DocumentContents:
    """One document and its records."""

    document: str
    """Source file, or what else names it."""
    records: int
    by_type: dict[str, int]
    pages_with_records: int
    pages_known: int | None
    """Pages that the newest run to list it knew of; None when no run here did."""
    language: str | None
    """`ru` when most of its records hold a Cyrillic letter, else `en`; None without records."""

    @property
    def text_records(self) -> int:
        """Records that are text of the document."""
        return sum(count for kind, count in self.by_type.items() if is_text(kind))


@dataclass(frozen=True)
class Contents:
    """Counts of one state of an index."""

    space: str
    revision: int
    """Grows with every write to the index."""
    by_type: dict[str, int]
    """Every known type, and those found beside them."""
    documents: tuple[DocumentContents, ...]
    """Also those without a record."""
    by_tag: dict[str, int]
    """Most frequent first."""
    tagged_records: int

    @property
    def records(self) -> int:
        """All of them."""
        return sum(self.by_type.values())

    @property
    def text_records(self) -> int:
        """Records that are text of a document."""
        return sum(count for kind, count in self.by_type.items() if is_text(kind))

    @property
    def without_records(self) -> tuple[str, ...]:
        """Documents that a run listed and that have no record."""
        return tuple(one.document for one in self.documents if not one.records)

    @property
    def without_text(self) -> tuple[str, ...]:
        """Documents that have records, none of them text."""
        return tuple(one.document for one in self.documents if one.records and not one.text_records)


def contents(workspace: Path, current: Current | None = None) -> Contents:
    """Count an index, by default the one in use; needs no lock.

    Raises:
        IndexEmpty: there is no index.
        IndexCorrupt: it can't be read.
    """
    root = workspace.absolute()
    current = current or Layout(root).current()
    if current is None:
        raise IndexEmpty(workspace)
    db = connect(current.folder, writable=False)
    try:
        with read_only(db):
            types = Counter(dict.fromkeys(TYPES, 0))
            types.update(dict(db.execute("SELECT type, count(*) FROM record GROUP BY type ORDER BY type")))
            folders = [root / str(folder) for (folder,) in db.execute("SELECT folder FROM run ORDER BY created_ms")]
            by_tag, tagged = _tags(db)
            return Contents(
                space=current.space.id,
                revision=int(read_meta(db, "revision")),
                by_type=dict(types),
                documents=tuple(_documents(db, _known_documents(root, folders))),
                by_tag=by_tag,
                tagged_records=tagged,
            )
    finally:
        db.close()


def _documents(db: sqlite3.Connection, known: dict[str, int]) -> Iterator[DocumentContents]:
    by_type: dict[str, dict[str, int]] = {}
    for document, kind, count in db.execute(
        f"SELECT {_DOCUMENT}, type, count(*) FROM record GROUP BY 1, 2 ORDER BY 2"  # noqa: S608
    ):
        by_type.setdefault(document, {})[kind] = count
    about = {
        document: (pages, russian)
        for document, pages, russian in db.execute(
            f"SELECT {_DOCUMENT}, count(DISTINCT page), sum(text GLOB '*[А-яЁё]*') FROM record GROUP BY 1"  # noqa: S608
        )
    }
    for document in sorted(by_type.keys() | known.keys()):
        types = by_type.get(document, {})
        records = sum(types.values())
        pages, russian = about.get(document, (0, 0))
        language = None if not records else "ru" if 2 * russian > records else "en"
        yield DocumentContents(document, records, types, pages, known.get(document), language)


def _known_documents(root: Path, folders: list[Path]) -> dict[str, int]:
    """Source to pages, by the reports of the runs whose records were taken and of all that lie in the workspace."""
    runs = root / "out" / "runs"
    inside = sorted(folder for folder in runs.iterdir() if folder.is_dir()) if runs.is_dir() else []
    known: dict[str, int] = {}
    for folder in dict.fromkeys([*folders, *inside]):
        known |= _of_report(folder / "report.json") or _of_manifest(folder / "manifest.jsonl")
    return known


def _of_report(path: Path) -> dict[str, int]:
    if not path.is_file():
        return {}
    return {str(one["source"]): int(one["items"]) for one in orjson.loads(path.read_bytes()).get("documents", ())}


def _of_manifest(path: Path) -> dict[str, int]:
    """A run that has not come to its report still has the list of what it was to do."""
    if not path.is_file():
        return {}
    with path.open("rb") as lines:
        return dict(Counter(str(orjson.loads(line)["source"]["path"]) for line in lines if line.strip()))


def _tags(db: sqlite3.Connection) -> tuple[dict[str, int], int]:
    """Records by tag, most frequent first, and how many records have one."""
    by_tag = dict(db.execute("SELECT tag, count(DISTINCT row) FROM record_tag GROUP BY tag ORDER BY 2 DESC, 1"))
    return by_tag, int(db.execute("SELECT count(DISTINCT row) FROM record_tag").fetchone()[0])
