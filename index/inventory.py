"""What an index was made from, in a small file beside the snapshots: it survives what may happen to them.

When a snapshot can't be read any more, this says which runs and files it can be made of again, and how many records
would be lost where they are gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from index.layout import Layout, write_atomically
from index.sources import Source


@dataclass(frozen=True)
class KnownSource:
    """A run, or a file that was imported, as the index noted it."""

    run_id: str
    """A run's id, or a file's path."""
    folder: str
    """The run's folder; relative to the workspace when it is inside."""
    created_ms: int
    records: int
    """Records that it delivered last; 0 while it is being read for the first time."""

    def path(self, workspace: Path) -> Path | None:
        """Where its records can be read again; None when they are gone."""
        file = workspace / self.run_id
        if file.is_file():
            return file
        folder = workspace / self.folder
        return folder if folder.name == self.run_id and any((folder / "records").glob("*.ndjson*")) else None


@dataclass(frozen=True)
class Inventory:
    """All sources of an index."""

    sources: tuple[KnownSource, ...] = ()

    @property
    def records(self) -> int:
        """Records of the index when this was written."""
        return sum(source.records for source in self.sources)


def read_inventory(layout: Layout) -> Inventory:
    """What was noted last; nothing when there is no file or it can't be read."""
    try:
        said = orjson.loads(layout.sources.read_bytes())["sources"]
        return Inventory(tuple(KnownSource(**one) for one in said))
    except (OSError, ValueError, KeyError, TypeError):
        return Inventory()


def of_snapshot(db: sqlite3.Connection) -> Inventory:
    """The sources of a snapshot, counted."""
    found = db.execute(
        "SELECT run_id, folder, created_ms, (SELECT count(*) FROM record WHERE record.run_key = run.run_key) "
        "FROM run ORDER BY created_ms, run_id"
    )
    return Inventory(tuple(KnownSource(*row) for row in found))


def note(layout: Layout, db: sqlite3.Connection, coming: Sequence[Source] = ()) -> None:
    """Write down the sources of a snapshot and those about to be read; nothing is written when nothing changed."""
    known = of_snapshot(db)
    names = {source.run_id for source in known.sources}
    new = [
        KnownSource(source.run_id, relative(source.folder, layout.workspace), source.created_ms, 0)
        for source in coming
        if source.run_id not in names
    ]
    wanted = Inventory((*known.sources, *new))
    if wanted != read_inventory(layout):
        said = {"sources": [asdict(source) for source in wanted.sources]}
        write_atomically(layout.sources, orjson.dumps(said, option=orjson.OPT_INDENT_2) + b"\n")


def relative(folder: Path, workspace: Path) -> str:
    """A run's folder as it is noted: relative inside the workspace, so that the workspace can move."""
    return folder.relative_to(workspace).as_posix() if folder.is_relative_to(workspace) else folder.as_posix()
