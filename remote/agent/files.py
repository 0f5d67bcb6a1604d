"""Files that appear whole or not at all, names that stay inside their folder, and hashes of trees."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

READ_BYTES = 1024 * 1024


class UnsafePath(ValueError):
    """A name that would leave its folder."""


@dataclass(frozen=True)
class TreeEntry:
    """One file of a tree: relative name with `/`, permission bits, size, sha256."""

    name: str
    mode: int
    size: int
    sha256: str


def tree_hash(entries: Iterable[TreeEntry]) -> str:
    """A sha256 over names, permission bits and contents."""
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.name):
        name = entry.name.encode("utf-8", "surrogateescape")
        digest.update(b"%o %s %d:" % (entry.mode, entry.sha256.encode("ascii"), len(name)) + name + b"\n")
    return digest.hexdigest()


def check_name(name: str) -> str:
    """`name` itself if it is relative and stays inside: no `..`, no empty or `.` part, no NUL.

    Raises:
        UnsafePath: otherwise.
    """
    parts = name.split("/")
    foreign = os.name == "nt" and any(mark in name for mark in ("\\", ":"))
    if not name or "\0" in name or foreign or any(part in ("", ".", "..") for part in parts):
        raise UnsafePath(f"{name!r} is not a path inside its folder")
    return name


def resolve_inside(root: str, path: str) -> str:
    """The real path of `path` (absolute, or relative to `root`); links may not lead out of `root`.

    Raises:
        UnsafePath: it is outside.
    """
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(real_root, path))  # noqa: PTH118 - realpath follows links part by part
    if real != real_root and not real.startswith(real_root.rstrip("/") + "/"):
        raise UnsafePath(f"{path!r} is outside of {root}")
    return real


def sha256_of(path: Path, limit_bytes: int | None = None) -> str:
    """The sha256 of a file, or of its first `limit_bytes`."""
    digest = hashlib.sha256()
    left = limit_bytes
    with path.open("rb") as file:
        while left is None or left > 0:
            data = file.read(READ_BYTES if left is None else min(READ_BYTES, left))
            if not data:
                break
            digest.update(data)
            left = None if left is None else left - len(data)
    return digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, data: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Replace `path` by `data`; readers see the old or the new content. The mode holds from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        raise
    if durable:
        sync_folder(path.parent)


class Landing:
    """Moves finished drafts to their places in batches: the first fsync of a batch pays for most of it."""

    def __init__(self, max_files: int = 256, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._waiting: list[tuple[Path, Path]] = []
        self._bytes = 0

    def add(self, draft: Path, place: Path, size: int) -> bool:
        """Queue one complete draft; True when it is time to `land`."""
        self._waiting.append((draft, place))
        self._bytes += size
        return len(self._waiting) >= self._max_files or self._bytes >= self._max_bytes

    def land(self) -> list[Path]:
        """fsync the drafts, rename them, fsync the folders; the places that are durable now."""
        for draft, _place in self._waiting:
            handle = os.open(draft, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        folders = set()
        for draft, place in self._waiting:
            place.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(place)
            folders.add(place.parent)
        for folder in folders:
            sync_folder(folder)
        landed = [place for _draft, place in self._waiting]
        self._waiting, self._bytes = [], 0
        return landed
