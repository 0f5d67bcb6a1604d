"""What a run made, from its own list: files and bytes by kind and by place, read only as far as the list grew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

CHUNK_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Made:
    """Files of one kind, or of one place."""

    name: str
    """A kind (`crop`), a file of the run's folder (`report.html`), or a document's folder (`artifacts/book/`)."""
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is listed so far."""

    kinds: tuple[Made, ...] = ()
    """Most bytes first."""
    places: tuple[Made, ...] = ()
    """Files that lie in the run's folder itself, then a line a document."""

    @property
    def files(self) -> int:
        """All of them."""
        return sum(kind.files for kind in self.kinds)

    @property
    def bytes(self) -> int:
        """Of all of them."""
        return sum(kind.bytes for kind in self.kinds)


class OutputsReader:
    """Follows `artifacts.jsonl` of one run. Not thread-safe: one look at a time."""

    def __init__(self, run_folder: Path) -> None:
        self._path = run_folder / "artifacts.jsonl"
        self._offset = 0
        self._tail = b""
        self._files: dict[str, tuple[str, int]] = {}
        self._known = Outputs()

    def look(self) -> Outputs:
        """Read what was appended, at most `CHUNK_BYTES`; a list that is not here yet is empty."""
        try:
            with self._path.open("rb") as handle:
                handle.seek(self._offset)
                chunk = handle.read(CHUNK_BYTES)
        except FileNotFoundError:
            return self._known
        if not chunk:
            return self._known
        self._offset += len(chunk)
        *lines, self._tail = (self._tail + chunk).split(b"\n")
        for line in lines:
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue  # torn by a crash; the file that it told of is listed again
            if isinstance(row, dict):
                self._note(row)
        self._known = Outputs(_by_kind(self._files), _by_place(self._files))
        return self._known

    def read_all(self) -> Outputs:
        """Read to the end of the list."""
        before = -1
        while before != self._offset:
            before = self._offset
            self.look()
        return self._known

    def _note(self, row: dict[str, Any]) -> None:
        """A file that was written anew is listed again: its last line counts."""
        if row.get("retention") != "scratch":
            self._files[str(row["path"])] = (str(row["kind"]), int(row["bytes"]))


def _by_kind(files: dict[str, tuple[str, int]]) -> tuple[Made, ...]:
    sums: dict[str, list[int]] = {}
    for kind, size in files.values():
        made = sums.setdefault(kind, [0, 0])
        made[0] += 1
        made[1] += size
    return tuple(sorted((Made(kind, *both) for kind, both in sums.items()), key=lambda made: -made.bytes))


def _by_place(files: dict[str, tuple[str, int]]) -> tuple[Made, ...]:
    top: list[Made] = []
    documents: dict[str, list[int]] = {}
    for path, (_kind, size) in files.items():
        parts = path.split("/")
        if parts[0] == "artifacts" and len(parts) > 2:
            made = documents.setdefault("/".join(parts[:2]) + "/", [0, 0])
            made[0] += 1
            made[1] += size
        else:
            top.append(Made(path, 1, size))
    ordered = sorted(top, key=lambda made: made.name)
    return (*ordered, *(Made(name, *both) for name, both in sorted(documents.items())))
