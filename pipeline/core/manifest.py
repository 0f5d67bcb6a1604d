"""The immutable list of what a run has to do: one item a line, with a digest over all of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.errors import UsageError
from pipeline.core.files import digest, write_atomic


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """A file that items come from."""

    path: str
    """Relative to the workspace, with `/`."""
    sha256: str
    """Empty when the file could not be read."""
    bytes: int
    media_type: str


class Problem(_Frozen):
    """Why a document cannot be opened."""

    type: str
    message: str


class Item(_Frozen):
    """One unit of work, such as a page."""

    item_id: str
    group: str
    """Folder name of the document under `artifacts/`."""
    source: Source
    page: int | None = None
    """1-based page, or None for an item that is a whole document."""
    priority: int = 0
    """Items with a higher number are worked on first."""
    problem: Problem | None = None
    """Set for a document that cannot be opened: the item ends `failed` with this reason."""
    unit: str | None = None
    """What kind of thing the document is, in its owner's words: `playbook`, `frame-table` …"""
    attached: tuple[Source, ...] = ()
    """Further files that tell of the document, such as its elements as another tool partitioned it."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every file that work on the item may open."""
        return self.source, *self.attached

    @property
    def folder(self) -> str:
        """Where the item's artifacts live, relative to the run folder."""
        return f"artifacts/{self.group}/{self.item_id if self.page is None else f'p{self.page:04d}'}"

    @property
    def where(self) -> str:
        """How a person calls the item: the source's path, and the page."""
        return self.source.path if self.page is None else f"{self.source.path}, page {self.page}"


def _line(item: Item) -> bytes:
    """One line of the manifest; what came later than the first manifests is left out where an item has none of it."""
    empty = {name for name in ("unit", "attached") if not getattr(item, name)}
    return orjson.dumps(item.model_dump(mode="json", exclude=empty)) + b"\n"


def item_id(source_sha256: str, source_path: str, page: int | None) -> str:
    """Stable id of an item: the same page of the same bytes at the same path has it in every run (24 hex digits)."""
    return digest([source_sha256, source_path, page])[:24]


class Manifest:
    """The items of a run, in the order in which records come out."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.items = tuple(items)
        self._bytes = b"".join(_line(item) for item in self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the file's bytes."""
        return hashlib.sha256(self._bytes).hexdigest()

    @property
    def groups(self) -> dict[str, int]:
        """Items per document."""
        return dict(Counter(item.group for item in self.items))

    def write(self, path: Path) -> None:
        """Write the manifest; it is never changed afterwards."""
        write_atomic(path, self._bytes)

    def shard(self, index: int, of: int) -> Manifest:
        """Part `index` (1-based) `of` so many; every item is in exactly one part."""
        return Manifest(self.items[index - 1 :: of])


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        UsageError: it is missing, or a line is not an item (with the line's number), or an item is listed twice.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist: plan the run first (python -m pipeline plan)") from None
    items = []
    for number, line in enumerate(lines, start=1):
        try:
            items.append(Item.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "item"
            raise UsageError(f"{path}, line {number}: {where}: {first['msg']}") from error
    doubled = [item for item, times in Counter(item.item_id for item in items).items() if times > 1]
    if doubled:
        raise UsageError(f"{path} lists item {doubled[0]} more than once; plan the run again")
    return Manifest(items)
