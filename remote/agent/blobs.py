"""The content-addressed store: `blobs/ab/<sha256>`, where a file's name is its own proof."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from remote.agent.claims import claim
from remote.agent.files import Landing, continue_at, sha256_of
from remote.agent.trees import EarlyWriteback, TransferFailed

if TYPE_CHECKING:
    from remote.agent.transfer import Pipe


class Store:
    """The blobs of one box. A blob that was verified is hashed again only after its inode changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._notes = folder / ".verified.jsonl"
        self._verified: dict[str, list[int]] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self._notes.read_text().splitlines():
                with contextlib.suppress(ValueError):  # a line cut by a full disk costs one more hash
                    self._verified.update(json.loads(line))

    def place(self, sha256: str) -> Path:
        """Where a blob belongs. Raises TransferFailed for what is no sha256."""
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise TransferFailed(f"{sha256!r} is no sha256")
        return self.folder / sha256[:2] / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Whether the blob is there and right; a wrong one is removed."""
        place = self.place(sha256)
        try:
            found = place.stat()
        except FileNotFoundError:
            return False
        if found.st_size == size:
            if self._verified.get(sha256) == _marks(found):
                return True
            if sha256_of(place) == sha256:
                self.note([place])
                return True
        place.unlink()
        return False

    def note(self, places: Sequence[str | Path]) -> None:
        """Remember that these were verified as they are now."""
        notes = {os.path.basename(place): _marks(os.stat(place)) for place in places}  # noqa: PTH116, PTH119
        self._verified.update(notes)
        with self._notes.open("a") as file:
            file.write(json.dumps(notes) + "\n")


def receive_blobs(pipe: Pipe, root: Path) -> None:
    """Tell which blobs are missing and how much of each is here; receive the rest, verify, rename."""
    store = Store(root / "blobs")
    store.folder.mkdir(parents=True, exist_ok=True)
    asked = [(sha256, int(size)) for sha256, size in pipe.ask()["blobs"]]
    missing = [(sha256, size) for sha256, size in asked if not store.has(sha256, size)]
    with contextlib.ExitStack() as open_parts:
        parts = {}
        rows = []
        for sha256, size in missing:
            part = _part_path(store.place(sha256))
            have = part.stat().st_size if part.exists() else 0
            if have:
                file = open_parts.enter_context(_hold(part))
                parts[sha256] = file
                have = os.fstat(file.fileno()).st_size if file.name == str(part) else 0
            rows.append([sha256, have if have <= size else 0])
        pipe.tell({"path": str(store.folder), "missing": rows})
        bad = _receive_missing(pipe, store, dict(missing), rows, parts)
    pipe.tell({"done": True, "bad": bad})


def _receive_missing(
    pipe: Pipe, store: Store, sizes: dict[str, int], rows: list[list[object]], parts: dict[str, BinaryIO]
) -> list[str]:
    landing = Landing()
    bad = []
    for sha256, have in ((str(row[0]), int(str(row[1]))) for row in rows):
        place = store.place(sha256)
        place.parent.mkdir(exist_ok=True)
        with contextlib.ExitStack() as mine:
            file = parts.get(sha256) or mine.enter_context(_hold(_part_path(place)))
            digest = continue_at(file, have)
            early = EarlyWriteback(file.fileno())
            left = sizes[sha256] - have
            while left:
                data = pipe.reader.some(left)
                digest.update(data)
                file.write(data)
                left -= len(data)
                early.wrote(len(data))
            file.flush()
            part = Path(file.name)
            if digest.hexdigest() != sha256:
                part.unlink()
                bad.append(sha256)
                continue
            part.chmod(0o444)
        if landing.add(part, place, sizes[sha256]):
            store.note(landing.land())
    store.note(landing.land())
    return bad


def _part_path(place: Path) -> Path:
    return place.with_name(f".{place.name}.part")


@contextlib.contextmanager
def _hold(part: Path) -> Iterator[BinaryIO]:
    """The part file, locked; a private one when another transfer holds it."""
    part.parent.mkdir(parents=True, exist_ok=True)
    file = part.open("ab+")
    if not claim(file.fileno()):
        file.close()
        file = part.with_name(f"{part.name}-{secrets.token_hex(4)}").open("ab+")
    try:
        yield file
    finally:
        file.close()


def _marks(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ino]
