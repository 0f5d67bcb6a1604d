"""What an ingest calls for every record it writes: its tags as rows of the table `record_tag`.

Tags that a record came with are made canonical and keep the source "record"; what the catalog doesn't know stays as it
was written. Tags found in its words and its region's struct have the source "catalog". The record's own metadata, and
with it an export, stays as it was delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from index.schema import TAG_SOURCE_RECORD
from index.tags.catalog_file import workspace_catalog
from index.tags.infer import RecordTags, Tagger, read_struct
from pipeline.core.records import Record

TAG_SOURCE_CATALOG = "catalog"
"""Source of tags that the catalog's rules found."""
TagRow = tuple[str, str, float]
"""Tag, source, score."""
TagHook = Callable[[Record, Path | None], tuple[TagRow, ...]]
"""Takes a record and its run's folder; raises BadStruct."""


def tag_rows(told: RecordTags) -> tuple[TagRow, ...]:
    """A record's tags as they are stored, each once."""
    given = [one.tag for one in told.assigned if one.source == "given"]
    own = dict.fromkeys([*given, *told.raw_tags])
    return (
        *((tag, TAG_SOURCE_RECORD, 1.0) for tag in own),
        *((one.tag, TAG_SOURCE_CATALOG, one.score) for one in told.assigned if one.tag not in own),
    )


def workspace_hook(workspace: Path) -> TagHook:
    """The hook of the catalog that counts in a workspace. Raises BadCatalog."""
    return hook_of(Tagger(workspace_catalog(workspace)))


def hook_of(tagger: Tagger) -> TagHook:
    """The hook of a tagger."""

    def tags_of(record: Record, folder: Path | None) -> tuple[TagRow, ...]:
        return tag_rows(tagger.tags_of(record, read_struct(record, folder)))

    return tags_of
