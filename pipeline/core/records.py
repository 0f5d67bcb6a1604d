"""The index interchange format: one JSON object a line (NDJSON), written by pipelines and read by `index`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class RecordMeta(BaseModel):
    """What a record is and where it came from; unknown keys are kept, so that foreign NDJSON survives a round trip."""

    model_config = ConfigDict(extra="allow")

    type: str
    """`NarrativeText`, `Title`, `Table`, `Image`, `VisualCaption`, `VisualFact`, `ImageVec`."""
    filename: str | None = None
    """Name of the source document as its owner knows it."""
    source_file: str | None = None
    """Path of the source relative to the workspace, with `/`."""
    document_id: str | None = None
    """Folder name of the document under `artifacts/`."""
    page: int | None = None
    """1-based page (or frame of a multi-page image)."""
    span: tuple[int, int] | None = None
    """Character range inside the page's text, for text chunks."""
    region_id: str | None = None
    label: str | None = None
    bbox_px: tuple[float, float, float, float] | None = None
    """x, y, width, height in page pixels, origin top left (COCO)."""
    page_size_px: tuple[int, int] | None = None
    """Width, height of the rendered page."""
    crop: str | None = None
    """Path of the region's PNG, relative to the run folder."""
    page_image: str | None = None
    """Path of the page's PNG, relative to the run folder."""
    tags: list[str] = Field(default_factory=list)
    detector: str | None = None
    analyst: str | None = None
    language: str | None = None


class Record(BaseModel):
    """One searchable thing: a text chunk, a table, a region's caption, a fact.

    The id is derived from the content's place and text, so running a pipeline twice yields the same ids.
    A record names no run: the run folder that holds it does.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    text: str
    vector: list[float] | None = None
    meta: RecordMeta
    provider: str | None = None
    model: str | None = None

    def to_line(self) -> bytes:
        """The record as one NDJSON line, newline included; the same record always gives the same bytes."""
        return orjson.dumps(self.model_dump(mode="json", exclude_none=True), option=orjson.OPT_SORT_KEYS) + b"\n"


class RecordFormatError(ValueError):
    """A line of an NDJSON file is not a record."""


def read_records(path: Path) -> Iterator[Record]:
    """Stream the records of one NDJSON file.

    Raises:
        RecordFormatError: naming file, line and field, at the first line that is not a record.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                data: Any = orjson.loads(line)
                yield Record.model_validate(data)
            except orjson.JSONDecodeError as error:
                raise RecordFormatError(f"{path}, line {number}: not JSON ({error})") from error
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"]) or "record"
                raise RecordFormatError(f"{path}, line {number}: {where}: {first['msg']}") from error
