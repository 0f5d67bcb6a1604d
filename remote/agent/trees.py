"""Receive a tree of files: into a draft folder, every file checked against its sha256, then renamed as a whole.

A draft outlives a cut connection: the next transfer of the same tree asks only for what is not in it. Files that an
earlier tree on the box has with the same content are linked from there and do not travel either.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remote.agent.claims import claim
from remote.agent.files import (
    Flusher,
    TreeEntry,
    check_name,
    continue_at,
    sha256_of,
    sync_folder,
    tree_hash,
    write_atomically,
)

if TYPE_CHECKING:
    from remote.agent.transfer import Pipe

STALE_DRAFT_S = 24 * 3600.0
SMALL_BYTES = 256 * 1024
FLUSH_EVERY_BYTES = 32 * 1024 * 1024
SIGN_OF_LIFE_S = 1.0
LINKS = ("current", "code")
"""The names at the root that may point to a release."""


class TransferFailed(Exception):
    """What arrived is not what was announced, or may not be stored."""


def receive_release(pipe: Pipe, root: Path) -> None:
    """An immutable release by its tree hash, and a link pointing to it. One that is there and right is kept.

    One that somebody edited in place is replaced, and kept beside it as `<tree hash>.edited-<time>`.
    """
    request = pipe.ask()
    name, link = request["tree"], request["link"]
    if not re.fullmatch(r"[0-9a-f]{64}", name) or link not in LINKS:
        raise TransferFailed(f"{name!r} is no tree hash, or {link!r} no link")
    place = root / "releases" / name
    have = is_whole(place)
    pipe.tell({"have": have, "path": str(place)})
    if not have:
        entries = read_entries(pipe.ask()["files"])
        if tree_hash(entries) != name:
            raise TransferFailed("the tree hash does not belong to the files announced")
        with open_draft(place) as draft:
            fill(pipe, draft, entries, root / link)
            if place.exists():
                place.rename(place.with_name(f"{name}.edited-{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(2)}"))
            install(draft, place)
        _note_whole(place)
    if request.get("note") is not None:
        write_atomically(place.with_name(f"{name}.json"), json.dumps(request["note"]).encode())
    _point(root / link, place)
    pipe.tell({"done": True})


def receive_run(pipe: Pipe, root: Path) -> None:
    """A run's folder as a whole; the laptop decides from the events which side is further."""
    request = pipe.ask()
    entries = read_entries(request["files"])
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", request["run"]):
        raise TransferFailed(f"{request['run']!r} is no run id")
    place = root / "runs" / request["run"]
    pipe.tell({"exists": place.exists(), "path": str(place), **events_state(place, int(request["events_bytes"]))})
    if not pipe.ask().get("send"):
        return
    with open_draft(place) as draft:
        fill(pipe, draft, entries, place)
        install(draft, place)
    pipe.tell({"done": True})


def events_state(run: Path, known_bytes: int) -> dict[str, Any]:
    """How far a run's events are: their size, and the hashes of all of them and of the first `known_bytes`."""
    events = run / "events.jsonl"
    size = events.stat().st_size if events.is_file() else 0
    return {
        "events_bytes": size,
        "events_sha256": sha256_of(events, size) if size else hashlib.sha256().hexdigest(),
        "prefix_sha256": sha256_of(events, known_bytes) if size else hashlib.sha256().hexdigest(),
    }


def hash_of_folder(folder: Path) -> str:
    """The tree hash of what is in `folder`, without the caches that Python leaves in it; "" if it holds a link."""
    entries = []
    for name, path, found in _walk(folder):
        if not found:
            return ""
        entries.append(TreeEntry(name, found.st_mode & 0o777, found.st_size, sha256_of(Path(path))))
    return tree_hash(entries)


def is_whole(place: Path) -> bool:
    """Whether a release is there and is what its name says; it is hashed only if a file changed since the last time."""
    if not place.is_dir():
        return False
    note = _note_path(place)
    try:
        if note.read_text() == _marks_of(place):
            return True
    except FileNotFoundError:
        pass
    if hash_of_folder(place) != place.name:
        return False
    _note_whole(place)
    return True


def read_entries(rows: list[Any]) -> list[TreeEntry]:
    """What the laptop announces; names that would leave the folder are refused."""
    return [TreeEntry(check_name(name), mode & 0o777, size, sha256) for name, mode, size, sha256 in rows]


@contextlib.contextmanager
def open_draft(place: Path) -> Iterator[Path]:
    """The folder beside `place` to fill, with what an interrupted transfer left in it; a private one if that is busy.

    Drafts that nobody went on with go after a day.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    for old in place.parent.glob(".*.draft"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > STALE_DRAFT_S:
                shutil.rmtree(old, ignore_errors=True)
    draft = place.with_name(f".{place.name}.draft")
    private = place.with_name(f".{place.name}.{secrets.token_hex(4)}.draft")
    draft.mkdir(exist_ok=True)
    handle = os.open(draft, os.O_RDONLY)
    try:
        if claim(handle) and _is_same(handle, draft):
            yield draft
            return
    finally:
        os.close(handle)
    private.mkdir()
    try:
        yield private
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _is_same(handle: int, path: Path) -> bool:
    """Whether the folder that was locked is still the one of that name: its holder may have renamed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def fill(pipe: Pipe, draft: Path, entries: list[TreeEntry], near: Path) -> None:
    """Receive what `draft` lacks of `entries`, until every file is there, right, and durable.

    `near` is a tree whose files are linked instead of sent where their content is the same.
    """
    folders = {entry.name.rpartition("/")[0] for entry in entries}
    for folder in sorted(folders):
        (draft / folder).mkdir(parents=True, exist_ok=True)
    flusher = Flusher()
    missing = _adopt(draft, entries, near.resolve(), flusher)
    while True:
        pipe.tell({"missing": missing})
        if not missing:
            break
        bad = _receive_files(pipe, draft, entries, missing, flusher)
        missing = [[index, 0] for index in bad]
    flusher.finish()
    for folder in sorted(folders | {""}):
        sync_folder(draft / folder)


def _adopt(draft: Path, entries: list[TreeEntry], near: Path, flusher: Flusher) -> list[list[int]]:
    """What must be sent: the index of each missing file and how much of it is here already."""
    names = {entry.name for entry in entries}
    here = {}
    for name, path, found in _walk(draft, every=True):
        if found and name in names:
            here[name] = found
        else:
            os.unlink(path)  # noqa: PTH108 - of another version of this tree, or a link
    missing = []
    for index, entry in enumerate(entries):
        path = f"{draft}/{entry.name}"
        found = here.get(entry.name)
        if found and found.st_nlink > 1 and found.st_mode & 0o777 != entry.mode:
            os.unlink(path)  # noqa: PTH108 - another release's file too, whose mode must not change
            found = None
        if found and found.st_size == entry.size and sha256_of(Path(path)) == entry.sha256:
            if found.st_mode & 0o777 != entry.mode:
                os.chmod(path, entry.mode)  # noqa: PTH101
            flusher.add(path)
        elif found and found.st_nlink == 1 and 0 < found.st_size < entry.size:
            missing.append([index, found.st_size])
        elif _link(f"{near}/{entry.name}", path, entry):
            flusher.add(path)
        else:
            if found and found.st_nlink > 1:
                os.unlink(path)  # noqa: PTH108 - writing into it would change another release
            missing.append([index, 0])
    return missing


def _link(source: str, path: str, entry: TreeEntry) -> bool:
    """Make `path` the same file as `source` if that is what `entry` says."""
    try:
        found = os.lstat(source)
        same = (found.st_mode, found.st_size) == (0o100000 | entry.mode, entry.size)
        if not same or sha256_of(Path(source)) != entry.sha256:
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
        os.link(source, path)
    except OSError:  # not there, or a disk without links: it is sent
        return False
    return True


def _receive_files(
    pipe: Pipe, draft: Path, entries: list[TreeEntry], missing: list[list[int]], flusher: Flusher
) -> list[int]:
    """The files of `missing` in their order; returns those that arrived wrong, which are not kept."""
    bad = []
    alive_at = 0.0
    for index, offset in missing:
        entry = entries[index]
        path = f"{draft}/{entry.name}"
        if time.monotonic() - alive_at > SIGN_OF_LIFE_S:
            alive_at = time.monotonic()
            os.utime(draft)
        if entry.size <= SMALL_BYTES and not offset:
            data = pipe.reader.exactly(entry.size)
            _write(path, data, entry.mode)
            digest = hashlib.sha256(data).hexdigest()
        else:
            digest = _receive_large(pipe, draft, path, entry, offset)
        if digest == entry.sha256:
            flusher.add(path)
        else:
            os.unlink(path)  # noqa: PTH108
            bad.append(index)
    return bad


def _write(path: str, data: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fchmod(handle, mode)
    finally:
        os.close(handle)


def _receive_large(pipe: Pipe, draft: Path, path: str, entry: TreeEntry, offset: int) -> str:
    with open(path, "ab+") as file:  # noqa: PTH123
        digest = continue_at(file, offset)
        early = EarlyWriteback(file.fileno())
        left = entry.size - offset
        while left:
            data = pipe.reader.some(left)
            digest.update(data)
            file.write(data)
            left -= len(data)
            if early.wrote(len(data)):
                os.utime(draft)
        file.flush()
        os.fchmod(file.fileno(), entry.mode)
    return digest.hexdigest()


class EarlyWriteback:
    """Lets the disk begin while a large file still arrives, so that the fsync at its end has little left to do."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._bytes = 0

    def wrote(self, size: int) -> bool:
        """Count; True when the disk was told to begin."""
        self._bytes += size
        if self._bytes < FLUSH_EVERY_BYTES:
            return False
        self._bytes = 0
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._handle, 0, 0, os.POSIX_FADV_DONTNEED)
        return True


def install(draft: Path, place: Path) -> None:
    """Rename the draft to its place; what stood there is moved away first."""
    if place.exists():
        old = place.with_name(f".{place.name}.{secrets.token_hex(4)}.draft")
        place.rename(old)
        draft.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(place)
    sync_folder(place.parent)


def _walk(folder: Path, every: bool = False) -> Iterator[tuple[str, str, os.stat_result | None]]:
    """Name, path and state of each file below `folder`, in order; no state for what is no regular file."""
    start = len(str(folder)) + 1
    for where, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if every or name != "__pycache__")
        links = [name for name in names if os.path.islink(f"{where}/{name}")]  # noqa: PTH114
        for name in [*sorted(files), *links]:
            path = f"{where}/{name}"
            found = os.lstat(path)
            yield path[start:], path, found if (found.st_mode & 0o170000) == 0o100000 else None


def _note_path(place: Path) -> Path:
    return place.with_name(f".{place.name}.whole")


def _note_whole(place: Path) -> None:
    write_atomically(_note_path(place), _marks_of(place).encode(), durable=False)


def _marks_of(place: Path) -> str:
    """A hash over the names, sizes, times and inodes of a release: what says that nobody touched it."""
    digest = hashlib.sha256()
    for name, _path, found in _walk(place):
        marks = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino) if found else None
        digest.update(f"{name!r} {marks}\n".encode())
    return digest.hexdigest()


def _point(link: Path, target: Path) -> None:
    relative = Path(target.parent.name) / target.name
    if link.is_symlink() and link.readlink() == relative:
        return
    draft = link.with_name(f".{link.name}.{secrets.token_hex(4)}.tmp")
    draft.symlink_to(relative)
    draft.replace(link)
    sync_folder(link.parent)
