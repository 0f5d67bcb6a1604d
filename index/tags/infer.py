"""Tags of a record: those it came with, made canonical, and those that its words and its region's struct speak of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from index.tags.catalog import Catalog
from pipeline.core.records import Record

Origin = Literal["given", "label", "heading", "caption", "fact", "table", "text", "struct", "zone"]
"""Where a tag comes from: the record's own list, its region's label, what kind of text names it, the region's struct,
or another tag that lies in this zone."""


@dataclass(frozen=True)
class Assigned:
    """A tag that a record gets, and why."""

    tag: str
    source: Origin
    score: float
    """1.0 given or word by word, less by stems and from the struct; in (0, 1]."""
    span: tuple[int, int] | None = None
    """Character range of the evidence in the record's text; None when it stands elsewhere."""
    evidence: str = ""
    """The words that say so, as they stand there."""


@dataclass(frozen=True)
class RecordTags:
    """All tags of one record."""

    assigned: tuple[Assigned, ...]
    """Each tag once, by its best evidence, in the order of the catalog."""
    raw_tags: tuple[str, ...] = ()
    """Tags that the record came with and that the catalog doesn't know."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Ids of the tags."""
        return tuple(one.tag for one in self.assigned)


class Tagger:
    """Gives records their tags by a catalog; the same record and catalog always give the same tags."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def tags_of(self, record: Record, struct: Mapping[str, Any] | None = None) -> RecordTags:
        """The tags of a record; `struct` is its region's struct.json, when there is one."""
        raise NotImplementedError


def infer(records: Iterable[tuple[Record, Path | None]], workspace: Path) -> list[RecordTags]:
    """The tags of records by the workspace's catalog; the hook that an ingest calls, a batch at a time.

    Each record comes with its run's folder, where its region's struct lies, or None.
    """
    raise NotImplementedError
