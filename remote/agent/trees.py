"""Receive a tree of files: into a draft folder, every file checked against its sha256, then renamed as a whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote.agent.files import TreeEntry, check_name, sha256_of, sync_folder, tree_hash

if TYPE_CHECKING:
    from remote.agent.transfer import Pipe

STALE_DRAFT_S = 24 * 3600.0


class TransferFailed(Exception):
    """What arrived is not what was announced, or may not be stored."""


def receive_release(pipe: Pipe, root: Path) -> None:
    """An immutable release by its tree hash, and `current` pointing to it. One that is there and right is kept."""
    request = pipe.ask()
    entries = _entries(request["files"])
    name = request["tree"]
    if tree_hash(entries) != name:
        raise TransferFailed("the tree hash does not belong to the files announced")
    place = root / "releases" / name
    have = place.is_dir() and hash_of_folder(place) == name
    pipe.tell({"have": have, "path": str(place)})
    if not have:
        with _draft(place) as draft:
            _receive_files(pipe, draft, entries)
            _install(draft, place)
    _point(root / "current", place)
    pipe.tell({"done": True})


def receive_run(pipe: Pipe, root: Path) -> None:
    """A run's folder as a whole; the laptop decides from the events which side is further."""
    request = pipe.ask()
    entries = _entries(request["files"])
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", request["run"]):
        raise TransferFailed(f"{request['run']!r} is no run id")
    place = root / "runs" / request["run"]
    events = place / "events.jsonl"
    size = events.stat().st_size if events.exists() else 0
    pipe.tell(
        {
            "exists": place.exists(),
            "path": str(place),
            "events_bytes": size,
            "events_sha256": sha256_of(events) if size else hashlib.sha256().hexdigest(),
            "prefix_sha256": sha256_of(events, request["events_bytes"]) if size else hashlib.sha256().hexdigest(),
        }
    )
    if not pipe.ask().get("send"):
        return
    with _draft(place) as draft:
        _receive_files(pipe, draft, entries)
        _install(draft, place)
    pipe.tell({"done": True})


def hash_of_folder(folder: Path) -> str:
    """The tree hash of what is in `folder`, without the caches that Python leaves in it; "" if it holds a link."""
    entries = []
    for where, names, files in os.walk(folder):
        names[:] = [name for name in names if name != "__pycache__"]
        for name in files:
            path = Path(where) / name
            if path.is_symlink():
                return ""
            found = path.stat()
            relative = path.relative_to(folder).as_posix()
            entries.append(TreeEntry(relative, found.st_mode & 0o777, found.st_size, sha256_of(path)))
    return tree_hash(entries)


def _entries(rows: list[Any]) -> list[TreeEntry]:
    return [TreeEntry(check_name(name), mode & 0o777, size, sha256) for name, mode, size, sha256 in rows]


@contextlib.contextmanager
def _draft(place: Path) -> Iterator[Path]:
    """A folder beside `place` to fill; removed unless it was renamed. Drafts of killed transfers go after a day."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for old in place.parent.glob(".*.draft"):
        if time.time() - old.stat().st_mtime > STALE_DRAFT_S:
            shutil.rmtree(old, ignore_errors=True)
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}.draft")
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _receive_files(pipe: Pipe, draft: Path, entries: list[TreeEntry]) -> None:
    folders = {draft}
    for entry in entries:
        path = draft / entry.name
        if path.parent not in folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            folders.add(path.parent)
        digest = hashlib.sha256()
        left = entry.size
        with path.open("xb") as file:
            while left:
                data = pipe.reader.some(left)
                digest.update(data)
                file.write(data)
                left -= len(data)
        path.chmod(entry.mode)
        if digest.hexdigest() != entry.sha256:
            raise TransferFailed(f"{entry.name!r} arrived with another sha256 than announced")
    for entry in entries:  # after all of them are written: the first fsync carries most of the rest
        handle = os.open(draft / entry.name, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    for folder in folders:
        sync_folder(folder)


def _install(draft: Path, place: Path) -> None:
    """Rename the draft to its place; what stood there, wrong or behind, is moved away first."""
    if place.exists():
        old = place.with_name(f".{place.name}.{secrets.token_hex(4)}.draft")
        place.rename(old)
        draft.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(place)
    sync_folder(place.parent)


def _point(link: Path, target: Path) -> None:
    draft = link.with_name(f".{link.name}.{secrets.token_hex(4)}.tmp")
    draft.symlink_to(Path(target.parent.name) / target.name)
    draft.replace(link)
    sync_folder(link.parent)
