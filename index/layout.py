"""Where the parts of an index lie in a workspace."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from index.embed import Space, parse_space
from index.errors import IndexCorrupt, UnknownGeneration

DATABASE = "snapshot.sqlite"
"""A generation's records, words and provenance."""
STATE_FILE = "generation.json"
"""Beside a generation's snapshot: what it is and how far it is; absent for those of before there were several."""
_NUMBERED = re.compile(r"(?P<slug>.+)\.g(?P<number>[0-9]+)")


@dataclass(frozen=True)
class Layout:
    """The paths of one workspace's index.

    Every generation has its own folder and its own Chroma folder, so that an index can be built anew beside the one
    in use, in the same space or another; `current.json` names the one in use.
    """

    workspace: Path

    @property
    def root(self) -> Path:
        """Holds the ranking snapshots."""
        return self.workspace / ".spotter" / "index"

    @property
    def chroma(self) -> Path:
        """Chroma's folder of the first generation; `Current.chroma` is that of any."""
        return self.workspace / ".spotter" / "chroma"

    @property
    def lock(self) -> Path:
        """Locked while someone writes; names who."""
        return self.root / "writer.lock"

    @property
    def pointer(self) -> Path:
        """Names the generation in use."""
        return self.root / "current.json"

    @property
    def sources(self) -> Path:
        """What was ever ingested, with counts; outside the snapshots, so that a broken one can be made again."""
        return self.root / "sources.json"

    @property
    def server(self) -> Path:
        """Names the Chroma server that the index is mirrored to, if it is not a folder."""
        return self.root / "chroma.json"

    def snapshot(self, space: Space) -> Path:
        """The folder of a space's first generation."""
        return self.root / space.slug

    def current(self) -> Current | None:
        """The generation in use, or None when there is none yet. Raises IndexCorrupt."""
        try:
            raw = self.pointer.read_bytes()
        except FileNotFoundError:
            return None
        try:
            said = orjson.loads(raw)
            space = parse_space(said["space"])
            folder = said.get("folder", space.slug)
            if folder != space.slug and not (folder.startswith(f"{space.slug}.g") and _NUMBERED.fullmatch(folder)):
                raise ValueError(f"{folder} is no generation of {space.id}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexCorrupt(
                f"{self.pointer} does not name a generation ({error}); find the newest one and take it into use: "
                "spotter index doctor --repair"
            ) from error
        return Current(space, self.root / folder)

    def generations(self) -> Iterator[Current]:
        """Every generation whose folder and space can be told, oldest first."""
        found = []
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            if folder.is_dir() and (space := _space_of(folder)) is not None:
                found.append(Current(space, folder))
        yield from sorted(found, key=lambda one: (one.number, one.name))

    def generation(self, name: str) -> Current:
        """The generation of this name or number, in use or not. Raises UnknownGeneration."""
        known = list(self.generations())
        for one in known:
            if name in (one.name, str(one.number)):
                return one
        raise UnknownGeneration(name, [one.name for one in known])

    def switch_to(self, chosen: Current | Space) -> None:
        """Make a generation, or the first one of a space, the one in use, atomically."""
        current = chosen if isinstance(chosen, Current) else Current(chosen, self.snapshot(chosen))
        write_atomically(self.pointer, orjson.dumps({"space": current.space.id, "folder": current.name}) + b"\n")


@dataclass(frozen=True)
class Current:
    """One generation of an index; mostly the one in use."""

    space: Space
    folder: Path

    @property
    def name(self) -> str:
        """Its folder's name, which is its Chroma collection's, too."""
        return self.folder.name

    @property
    def number(self) -> int:
        """1 for the first; no two generations have the same, whatever their space."""
        numbered = _NUMBERED.fullmatch(self.name)
        return int(numbered["number"]) if numbered else 1

    @property
    def chroma(self) -> Path:
        """Chroma's own folder, readable by any Chroma client."""
        beside = self.folder.parent.parent
        return beside / ("chroma" if self.number == 1 else f"chroma.g{self.number}")

    @property
    def state_file(self) -> Path:
        """What it is and how far it is."""
        return self.folder / STATE_FILE


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a small file as a whole, so that it survives a power cut either as it was or as it is to be."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and new files in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _space_of(folder: Path) -> Space | None:
    """The space of a generation by its state file, else by its snapshot's own note; None when neither can be read."""
    noted = _noted_space(folder / STATE_FILE)
    if noted is not None or not (folder / DATABASE).is_file():
        return noted
    try:
        db = sqlite3.connect(f"{(folder / DATABASE).absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        return None
    try:
        found = db.execute("SELECT value FROM meta WHERE key = 'space'").fetchone()
        return None if found is None else parse_space(str(found[0]))
    except (sqlite3.Error, ValueError):
        return None
    finally:
        db.close()


def _noted_space(state: Path) -> Space | None:
    try:
        return parse_space(orjson.loads(state.read_bytes())["space"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
