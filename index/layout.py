"""Where the parts of an index lie in a workspace."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import orjson

from index.embed import Space, parse_space
from index.errors import IndexCorrupt


@dataclass(frozen=True)
class Layout:
    """The paths of one workspace's index.

    Every space has its own folder and its own Chroma collection of the same name, so that an index can be built anew
    beside the one in use; `current.json` names the one in use.
    """

    workspace: Path

    @property
    def root(self) -> Path:
        """Holds the ranking snapshots."""
        return self.workspace / ".spotter" / "index"

    @property
    def chroma(self) -> Path:
        """Chroma's own folder, readable by any Chroma client."""
        return self.workspace / ".spotter" / "chroma"

    @property
    def lock(self) -> Path:
        """Locked while someone writes; names who."""
        return self.root / "writer.lock"

    @property
    def pointer(self) -> Path:
        """Names the snapshot in use."""
        return self.root / "current.json"

    def snapshot(self, space: Space) -> Path:
        """The snapshot's folder of a space."""
        return self.root / space.slug

    def current(self) -> Current | None:
        """The snapshot in use, or None when there is none yet. Raises IndexCorrupt."""
        try:
            raw = self.pointer.read_bytes()
        except FileNotFoundError:
            return None
        try:
            space = parse_space(orjson.loads(raw)["space"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexCorrupt(
                f"{self.pointer} does not name a snapshot ({error}); delete it and ingest again."
            ) from error
        return Current(space, self.snapshot(space))

    def switch_to(self, space: Space) -> None:
        """Make the snapshot of this space the one in use, atomically."""
        temporary = self.pointer.with_suffix(".json.tmp")
        with temporary.open("wb") as out:
            out.write(orjson.dumps({"space": space.id}) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(self.pointer)
        sync_folder(self.root)


@dataclass(frozen=True)
class Current:
    """The snapshot in use."""

    space: Space
    folder: Path


def sync_folder(folder: Path) -> None:
    """Make renames and new files in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
