"""Generations of an index side by side: which there are, which is in use, and the end of those that nobody needs.

A generation is a ranking snapshot with its Chroma folder. An index is built anew as the next generation, beside the
one in use, and `current.json` is moved to it at the end; the old one stays until `collect` takes it away.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from index.chroma_place import chroma_place
from index.embed import Space
from index.errors import IndexCorrupt, IndexEmpty, IndexProblem
from index.layout import Current, Layout, write_atomically
from index.lock import WriterLock
from index.snapshot import connect

State = Literal["building", "complete", "refused", "broken", "leftover"]
"""building: unfinished, its maker runs or was killed; refused: did not pass the gate; broken: replaced by a repair;
leftover: a Chroma folder that belongs to no generation."""


class GenerationInUse(IndexProblem):
    """What was asked for can't be done to the generation in use, or only to a finished one."""


@dataclass(frozen=True)
class Generation:
    """One generation as it lies on the disk."""

    name: str
    number: int
    space: str
    state: State
    in_use: bool
    records: int | None
    """None when its snapshot can't be read."""
    size_bytes: int
    """Snapshot and Chroma together."""
    created_ms: int
    """When it was begun; 0 when nothing says so."""
    note: str = ""
    """Why it is what it is, such as the gate's sentence."""


def generations(workspace: Path) -> tuple[Generation, ...]:
    """All generations of an index, oldest first; needs no lock."""
    layout = Layout(workspace.absolute())
    try:
        used = layout.current()
    except IndexCorrupt:
        used = None
    return tuple(_described(one, in_use=used is not None and one.name == used.name) for one in layout.generations())


def begin(layout: Layout, space: Space, purpose: str) -> Current:
    """The next generation, noted as being built; the caller holds the writer's lock."""
    folders = [folder for folder in layout.root.iterdir() if folder.is_dir()] if layout.root.is_dir() else []
    number = 1 + max((Current(space, folder).number for folder in folders), default=0)
    current = numbered(layout, space, number)
    while current.chroma.exists():
        number += 1
        current = numbered(layout, space, number)
    current.folder.mkdir(parents=True)
    note_state(current, "building", purpose)
    return current


def numbered(layout: Layout, space: Space, number: int) -> Current:
    """The generation of this number, which need not be there."""
    return Current(space, layout.root / (space.slug if number == 1 else f"{space.slug}.g{number}"))


def take_into_use(layout: Layout, current: Current, note: str = "") -> None:
    """Make a finished generation the one in use, and note when; the caller holds the writer's lock."""
    note_state(current, "complete", note, used=True)
    layout.switch_to(current)


def last_used(layout: Layout) -> Current | None:
    """The finished generation that was taken into use last, for when the pointer is lost."""
    finished = [one for one in layout.generations() if state_of(one) == "complete"]
    return max(finished, key=lambda one: (_read_state(one).get("used_ms", 0), one.number), default=None)


def note_state(current: Current, state: State, note: str = "", *, used: bool = False) -> None:
    """Write down what a generation is, and whether it is taken into use now; earlier times stay."""
    before = _read_state(current)
    now_ms = time.time_ns() // 1_000_000
    said = {
        "space": current.space.id,
        "state": state,
        "created_ms": before.get("created_ms", now_ms),
        "used_ms": now_ms if used else before.get("used_ms", 0),
        "note": note,
    }
    write_atomically(current.state_file, orjson.dumps(said) + b"\n")


def state_of(current: Current) -> State:
    """What a generation is; one without a note is of before there were several, and complete."""
    state: State = _read_state(current).get("state", "complete")
    return state


def clear_unfinished(layout: Layout) -> list[str]:
    """Remove generations whose maker was killed; the caller holds the writer's lock, so none is being made."""
    used = layout.current()
    gone = [
        one for one in layout.generations() if state_of(one) == "building" and (used is None or one.name != used.name)
    ]
    for one in gone:
        remove(one)
    for folder in layout.root.glob("*.g[0-9]*"):
        # Its maker was killed before it wrote down what it makes.
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return [one.name for one in gone]


def remove(current: Current, *, served: bool = False) -> None:
    """Delete a generation; one that is half deleted is `building`, so that the next writer deletes the rest.

    `served`: its collection on a Chroma server, too. Raises ChromaBroken, before anything is deleted, when the server
    can't be asked.
    """
    place = chroma_place(Layout(current.folder.parents[2]), current)
    if served and place.url:
        from index.chroma import Mirror

        with Mirror(place) as mirror:
            mirror.drop()
    note_state(current, "building", "being deleted")
    if current.chroma.exists():
        shutil.rmtree(current.chroma)
    shutil.rmtree(current.folder)


def use(workspace: Path, name: str) -> Generation:
    """Take a generation into use, such as the one of before a rebuild; readers follow at their next query.

    Raises:
        UnknownGeneration: there is none of this name or number.
        GenerationInUse: it is unfinished or broken.
        IndexCorrupt: its snapshot can't be read.
        IndexLocked: the index is being written.
    """
    layout = Layout(workspace.absolute())
    with WriterLock(layout.lock, f"switch to generation {name}"):
        chosen = layout.generation(name)
        state = state_of(chosen)
        if state not in ("complete", "refused"):
            raise GenerationInUse(f"The generation {chosen.name} is {state}, so it can't be used; see them all with: "
                                  "spotter index generations")  # fmt: skip
        connect(chosen.folder, writable=True).close()
        take_into_use(layout, chosen, "the gate had refused it" if state == "refused" else "")
        return _described(chosen, in_use=True)


def doomed(workspace: Path) -> tuple[Generation, ...]:
    """What `collect` would delete: every generation that is not in use, and Chroma folders that belong to none."""
    layout = Layout(workspace.absolute())
    if layout.current() is None:
        raise IndexEmpty(workspace)
    known = {one.chroma.name for one in layout.generations()}
    leftovers = [
        Generation(folder.name, 0, "", "leftover", False, None, size_of(folder), 0, "a Chroma folder of no generation")
        for folder in sorted((layout.workspace / ".spotter").glob("chroma*"))
        if folder.is_dir() and folder.name not in known
    ]
    return (*(one for one in generations(workspace) if not one.in_use), *leftovers)


def collect(workspace: Path, chosen: Sequence[Generation]) -> int:
    """Delete these of `doomed`; returns the bytes that were freed.

    Raises:
        IndexLocked: the index is being written.
        GenerationInUse: one of them has been taken into use meanwhile; nothing is deleted.
    """
    layout = Layout(workspace.absolute())
    with WriterLock(layout.lock, "deleting old generations"):
        now = {one.name: one for one in doomed(workspace)}
        kept = [one.name for one in chosen if one.name not in now]
        if kept:
            raise GenerationInUse(f"{', '.join(kept)} is in use or gone by now; nothing was deleted, look again.")
        used = layout.current()
        for one in chosen:
            if one.state == "leftover":
                shutil.rmtree(layout.workspace / ".spotter" / one.name)
                continue
            current = layout.generation(one.name)
            if used is not None and current.chroma == used.chroma:
                # Before generations were numbered, two spaces shared Chroma's first folder; it stays with its user.
                shutil.rmtree(current.folder)
            else:
                remove(current, served=True)
        return sum(one.size_bytes for one in chosen)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _described(current: Current, *, in_use: bool) -> Generation:
    said = _read_state(current)
    return Generation(
        name=current.name,
        number=current.number,
        space=current.space.id,
        state=state_of(current),
        in_use=in_use,
        records=_count(current),
        size_bytes=size_of(current.folder) + size_of(current.chroma),
        created_ms=int(said.get("created_ms", 0)),
        note=str(said.get("note", "")),
    )


def _count(current: Current) -> int | None:
    try:
        db = connect(current.folder, writable=False)
    except IndexCorrupt:
        return None
    try:
        return int(db.execute("SELECT count(*) FROM record").fetchone()[0])
    except sqlite3.DatabaseError:
        return None
    finally:
        db.close()


def _read_state(current: Current) -> dict[str, Any]:
    try:
        said = orjson.loads(current.state_file.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
