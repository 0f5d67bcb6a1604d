"""Files that stages write: whole, hashed, and listed with what may become of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.core.files import (
    LineFile,
    fsync_folder,
    read_lines,
    sha256_file,
    sweep_drafts,
    write_atomic,
    write_chunks_atomic,
)

Retention = Literal["keep", "publish_then_delete", "scratch"]


class Artifact(BaseModel):
    """One line of `artifacts.jsonl`: a finished file of the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Relative to the run folder, with `/`."""
    sha256: str
    bytes: int
    kind: str
    """`page-image`, `words`, `region`, `crop`, `caption`, `struct`, `facts`, `records`, `coco`, `report`, `ledger` …"""
    stage: str
    item: str | None = None
    retention: Retention = "keep"


class ArtifactWriter:
    """Writes one item's files into its folder; `written` is what ledger and `artifacts.jsonl` must list."""

    def __init__(self, run_dir: Path, folder: str, stage: str, item: str | None) -> None:
        self._run_dir = run_dir
        self._folder = folder
        self._stage = stage
        self._item = item
        self._touched: set[Path] = set()
        self.written: list[Artifact] = []

    def write(self, name: str, data: bytes, kind: str, retention: Retention = "keep") -> Artifact:
        """Write `name` (may hold `/`) under the item's folder and return its entry; the file is whole or absent."""
        relative, path = self._place(name)
        write_atomic(path, data, sync_folder=False)
        return self._note(relative, hashlib.sha256(data).hexdigest(), len(data), kind, retention)

    def write_chunks(self, name: str, chunks: Iterable[bytes], kind: str, retention: Retention = "keep") -> Artifact:
        """As `write`, for a file that is too large to be held in memory."""
        relative, path = self._place(name)
        hashed = hashlib.sha256()
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for chunk in chunks:
                hashed.update(chunk)
                size += len(chunk)
                yield chunk

        write_chunks_atomic(path, counted(), sync_folder=False)
        return self._note(relative, hashed.hexdigest(), size, kind, retention)

    def _place(self, name: str) -> tuple[str, Path]:
        relative = f"{self._folder}/{name}" if self._folder else name
        path = self._run_dir / relative
        if path.parent not in self._touched:
            path.parent.mkdir(parents=True, exist_ok=True)
            sweep_drafts(path.parent)
            self._touched.add(path.parent)
        return relative, path

    def _note(self, relative: str, sha256: str, size: int, kind: str, retention: Retention) -> Artifact:
        artifact = Artifact(
            path=relative, sha256=sha256, bytes=size, kind=kind, stage=self._stage, item=self._item,
            retention=retention,
        )  # fmt: skip
        self.written.append(artifact)
        return artifact

    def flush(self) -> None:
        """Make the renames durable; called once per item, before its files are listed."""
        for folder in self._touched:
            fsync_folder(folder)
        self._touched.clear()


def describe_file(run_dir: Path, relative: str, kind: str, stage: str) -> Artifact:
    """The entry of a file that already lies whole in the run folder."""
    path = run_dir / relative
    return Artifact(path=relative, sha256=sha256_file(path), bytes=path.stat().st_size, kind=kind, stage=stage)


class ArtifactLog:
    """`artifacts.jsonl`: append-only, a path's last line wins. A line appears only after its file is whole on disk."""

    def __init__(self, path: Path) -> None:
        from pipeline.core.artifact_index import ArtifactIndex  # SQLite is not for those who only read the model

        self._index = ArtifactIndex(path)
        self._lines = LineFile(path)

    def append(self, artifacts: Iterable[Artifact]) -> None:
        """List finished files; one that is listed already with the same content gets no second line."""
        lines = [artifact.model_dump(mode="json", exclude_none=True) for artifact in artifacts]
        fresh = [line for line in lines if not self._index.holds(line)]
        self._lines.append(fresh)
        self._index.note(fresh)

    def sha256(self, path: str) -> str | None:
        """What a file was last listed with; None for one that is not listed."""
        return self._index.sha256(path)

    def holds(self, run_dir: Path, artifact: Artifact) -> bool:
        """Whether the file is still the one that was written: listed last with the same content, and `is_whole`."""
        return self._index.sha256(artifact.path) == artifact.sha256 and is_whole(run_dir, artifact)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()
        self._index.close()


HASHED_BELOW_BYTES = 1 << 20


def is_whole(run_dir: Path, artifact: Artifact) -> bool:
    """Whether the file has the size and the content that it was listed with.

    The content is hashed only up to `HASHED_BELOW_BYTES`; larger files are trusted by size, so that a resume of
    thousands of pages starts in seconds.
    """
    path = run_dir / artifact.path
    try:
        if path.stat().st_size != artifact.bytes:
            return False
        return artifact.bytes > HASHED_BELOW_BYTES or sha256_file(path) == artifact.sha256
    except OSError:
        return False


def read_artifacts(path: Path) -> dict[str, Artifact]:
    """What a run lists, by path; empty for a run that has none yet."""
    entries = (Artifact.model_validate(line) for line in read_lines(path))
    return {entry.path: entry for entry in entries}
