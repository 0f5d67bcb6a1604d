"""Merging a part of a run into the run: what one worker made, in the folder where all of it comes together.

A part is a run folder that holds some items' results (see `pipeline.core.queued`), as far as it was fetched. Merging is
incremental and may be cut off anywhere: files first, then `artifacts.jsonl`, then the ledger, so that what the ledger
calls done is there. An item that two parts made is taken from the first: equal keys mean equal content.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from pipeline.core.artifact_index import ArtifactIndex
from pipeline.core.artifacts import Artifact, ArtifactLog
from pipeline.core.files import fsync_folder
from pipeline.core.ledger import Ledger, Result, result_from_row
from pipeline.core.manifest import Item
from pipeline.core.rundir import RunFolder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS merged_parts (
  part TEXT PRIMARY KEY, session INTEGER NOT NULL, last_execution INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Merged:
    """What one merge brought: item results that are new here, and files."""

    results: int
    files: int


class Merger:
    """Brings parts into one run folder; made by the one process that holds the run."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        Ledger(folder.ledger_file).close()
        self._db = sqlite3.connect(folder.ledger_file, isolation_level=None, timeout=30, check_same_thread=False)
        self._db.executescript(_SCHEMA)
        self._artifacts = ArtifactLog(folder.artifacts_file)
        self._parts: dict[str, ArtifactIndex] = {}

    def merge(self, name: str, part: RunFolder, now: float) -> Merged:
        """Take over what `part` finished and this folder lacks; `name` stays the same over all merges of a part."""
        if not part.ledger_file.exists():
            return Merged(0, 0)
        self._db.execute("ATTACH DATABASE ? AS part", (f"{part.ledger_file}",))
        try:
            rows = self._new_rows()
            listed = self._listed_in(name, part)
            whole = [row for row in rows if _is_whole(part.path, result_from_row(row), listed)]
            files = [file for row in whole for file in result_from_row(row).artifacts]
            fresh = self._bring(part.path, files)
            self._artifacts.append(files)
            self._record(name, whole, now)
        finally:
            self._db.execute("DETACH DATABASE part")
        return Merged(len(whole), fresh)

    def open_items(
        self, items: Sequence[Item], stages: Sequence[Mapping[str, object]], keys: Mapping[str, str], *, final: bool
    ) -> list[Item]:
        """The items that did not come to their end in all map stages, in the manifest's order.

        `final`: only what no other attempt can mend counts as an end, as at the beginning of a session.
        """
        mapped = [str(stage["name"]) for stage in stages if stage["kind"] == "map"]
        results: dict[str, dict[str, tuple[str, bool, bool]]] = {}
        for stage in mapped:
            rows = self._db.execute(
                "SELECT item_id, status, retryable, artifacts FROM results WHERE stage = ? AND cache_key = ?",
                (stage, keys[stage]),
            )
            results[stage] = {
                row[0]: (row[1], bool(row[2]), not final or row[1] == "failed" or self._are_here(row[3]))
                for row in rows
            }

        def is_open(item: Item) -> bool:
            for stage in mapped:
                found = results[stage].get(item.item_id)
                if found is None:
                    return True
                status, retryable, here = found
                if status == "failed":
                    return final and retryable
                if not here:
                    return True
                if status == "rejected":
                    return False
            return False

        return [item for item in items if item.problem is None and is_open(item)]

    def _are_here(self, files: bytes) -> bool:
        artifacts = (Artifact.model_validate(entry) for entry in orjson.loads(files))
        return all(self._artifacts.holds(self._folder.path, artifact) for artifact in artifacts)

    def close(self) -> None:
        """Close the files; the write-ahead log is folded in when nobody else reads."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        self._artifacts.close()
        for part in self._parts.values():
            part.close()

    def _listed_in(self, name: str, part: RunFolder) -> ArtifactIndex:
        """What a part lists; read on from where the last merge of it ended."""
        listed = self._parts.get(name)
        if listed is None:
            listed = self._parts[name] = ArtifactIndex(part.artifacts_file)
        else:
            listed.catch_up()
        return listed

    def _new_rows(self) -> list[tuple[object, ...]]:
        return self._db.execute(
            "SELECT p.* FROM part.results p LEFT JOIN main.results m"
            " ON m.stage = p.stage AND m.cache_key = p.cache_key AND m.item_id = p.item_id"
            " WHERE m.item_id IS NULL"
            " OR (m.status = 'failed' AND (p.status != 'failed' OR p.finished_at > m.finished_at))"
        ).fetchall()

    def _bring(self, part: Path, files: Iterable[Artifact]) -> int:
        """Link files here, or copy them where links cannot be; one that is here with its size is left."""
        fresh = 0
        folders: set[Path] = set()
        for file in files:
            target = self._folder.path / file.path
            if self._artifacts.sha256(file.path) == file.sha256 and _size(target) == file.bytes:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.{os.getpid()}.merge")
            draft.unlink(missing_ok=True)
            try:
                draft.hardlink_to(part / file.path)
            except OSError:
                _copy(part / file.path, draft)
            draft.replace(target)
            draft.unlink(missing_ok=True)  # a rename onto another link of the same file leaves both
            folders.add(target.parent)
            fresh += 1
        for folder in folders:
            fsync_folder(folder)
        return fresh

    def _record(self, name: str, rows: Sequence[tuple[object, ...]], now: float) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT OR REPLACE INTO main.results VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
            known = self._db.execute(
                "SELECT session, last_execution FROM main.merged_parts WHERE part = ?", (name,)
            ).fetchone()
            if known is None:
                cursor = self._db.execute("INSERT INTO main.sessions (pid, started_at) VALUES (0, ?)", (now,))
                known = (cursor.lastrowid, 0)
            session, last = known
            self._db.execute(
                "INSERT INTO main.executions"
                " (item_id, stage, cache_key, attempt, outcome, error_message, session, finished_at)"
                " SELECT item_id, stage, cache_key, attempt, outcome, error_message, ?, finished_at"
                " FROM part.executions WHERE id > ? ORDER BY id",
                (session, last),
            )
            newest = self._db.execute("SELECT max(id) FROM part.executions").fetchone()[0] or 0
            self._db.execute(
                "INSERT OR REPLACE INTO main.merged_parts VALUES (?, ?, ?)", (name, session, max(last, newest))
            )
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _is_whole(part: Path, result: Result, listed: ArtifactIndex) -> bool:
    """Whether every file of a result was fetched; one that was not comes with a later merge."""
    return all(
        listed.sha256(file.path) == file.sha256 and _size(part / file.path) == file.bytes for file in result.artifacts
    )


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as data, target.open("wb") as file:
        shutil.copyfileobj(data, file)
        file.flush()
        os.fsync(file.fileno())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
