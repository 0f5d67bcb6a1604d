"""Whole NDJSON files into an index and out of it: all or nothing in, exact to the last bit out."""

from __future__ import annotations

import gzip
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import orjson

from index import vectors
from index.embed import OFFLINE, Embedder, Space, embedder_for_space
from index.errors import BadSource, BadVector, EmbedderUnavailable, IndexEmpty, IndexProblem, UnknownEmbedder
from index.ingest import IngestResult, ingest
from index.interchange import Line, VectorForm, read_lines, to_line
from index.layout import Layout, sync_folder
from index.progress import Progress, Report, silent
from index.reuse import OnlyInStock
from index.seen import SeenIds
from index.snapshot import connect, read_meta
from index.tags.hook import workspace_hook
from index.vectors import unit
from index.view import read_only

_REPORT_EVERY = 1_000


class BadLine(IndexProblem):
    """A line of a file to import can't be taken, so nothing of the file was; the text names file, line and reason."""


@dataclass(frozen=True)
class ExportResult:
    """What one export wrote."""

    path: Path
    records: int
    bytes: int
    """Size of the file as it lies on the disk."""
    space: str


@dataclass
class _Survey:
    """What a first pass over a file found; its memory does not grow with the file."""

    records: int = 0
    kinds: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """(provider, model, dim) of the vectors that came along, with the first line that has such."""
    first_without_vector: int | None = None
    seen: SeenIds = field(default_factory=SeenIds)
    """Id, with the digest of its content and the number of its line."""


def import_file(
    path: Path, workspace: Path, embedder: Embedder | None = None, report: Report = silent, *, mirror: bool = True
) -> IngestResult:
    """Put every record of an NDJSON file into the index, or, when a line is wrong, none.

    The file is read twice: to be checked, then to be taken; both times line by line.

    Args:
        path: the file, gzipped or not.
        workspace: the folder that holds `.spotter/`.
        embedder: embeds every text whose vector is missing or of another space; by default every vector is used as it
            came, and the file decides on the space of a new index.
        report: told how far it is.
        mirror: write Chroma, too, here and now; without it the memory taken does not grow with the file, and what is
            new waits for `index.mirroring`.

    Raises:
        BadLine: a line can't be taken; nothing was.
        pipeline.core.records.RecordFormatError: a line is not a record; nothing was taken.
        SpaceMismatch, IndexLocked, IndexCorrupt: as `ingest`.
    """
    if not path.is_file():
        raise BadSource(f"{path} is not a file; name an NDJSON file, gzipped or not.")
    before = _state(path)
    survey = _survey(path, report)
    if not survey.records:
        raise BadSource(f"{path} holds no records.")
    chosen = embedder if embedder is not None else _embedder_of(path, survey, workspace)
    if _state(path) != before:
        raise BadSource(f"{path} changed while it was checked; nothing was taken, import it again.")
    return ingest([path], workspace, chosen, report, workspace_hook(workspace), mirror=mirror)


def export_file(workspace: Path, path: Path, form: VectorForm = "floats", report: Report = silent) -> ExportResult:
    """Write every record of the index as NDJSON, in the order in which they came; gzipped when `path` ends with .gz.

    The file appears whole or not at all, and the same index gives the same bytes.

    Raises:
        IndexEmpty: there is no index.
        IndexCorrupt: the snapshot can't be read.
    """
    current = Layout(workspace.absolute()).current()
    if current is None:
        raise IndexEmpty(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    records = 0
    try:
        with _written(temporary, zipped=path.name.endswith(".gz")) as out:
            for line in export_lines(workspace, form):
                out.write(line)
                records += 1
                if records % _REPORT_EVERY == 0:
                    report(Progress("export", path.name, records, None, "records"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return ExportResult(path, records, path.stat().st_size, current.space.id)


def export_lines(workspace: Path, form: VectorForm = "floats") -> Iterator[bytes]:
    """The lines of `export_file`, all of one state of the index; raises like it."""
    current = Layout(workspace.absolute()).current()
    if current is None:
        raise IndexEmpty(workspace)
    space = current.space
    db = connect(current.folder, writable=False)
    try:
        with read_only(db):
            matrix = vectors.mapped(current.folder / vectors.FILE_NAME, int(read_meta(db, "vector_rows")), space.dim)
            found = db.execute(
                "SELECT row, id, text, meta, (SELECT vector FROM original_vector o WHERE o.row = record.row) "
                "FROM record ORDER BY row"
            )
            for row, record_id, text, meta, delivered in found:
                vector = matrix[row] if delivered is None else np.frombuffer(delivered, dtype="<f4")
                yield to_line(record_id, text, orjson.loads(meta), vector, space.provider, space.model, form)
    finally:
        db.close()


def _survey(path: Path, report: Report) -> _Survey:
    survey = _Survey()
    for line in read_lines(path):
        _check(path, line, survey)
        survey.records += 1
        if survey.records % _REPORT_EVERY == 0:
            report(Progress("check", path.name, survey.records, None, "records"))
    return survey


def _check(path: Path, line: Line, survey: _Survey) -> None:
    record, digest = line.record, bytes.fromhex(line.digest)
    if not record.id:
        raise BadLine(f"{path}, line {line.number}: the id is empty; nothing was taken.")
    if not record.text.strip():
        raise BadLine(f"{path}, line {line.number}: record {record.id} has no text to search; nothing was taken.")
    first = survey.seen.add(record.id, digest + line.number.to_bytes(8))
    if first[: len(digest)] != digest:
        earlier = int.from_bytes(first[len(digest) :])
        raise BadLine(
            f"{path}, line {line.number}: record {record.id} stood in line {earlier} already, with other content; "
            "nothing was taken."
        )
    if line.vector is None:
        if survey.first_without_vector is None:
            survey.first_without_vector = line.number
        return
    if not record.provider or not record.model or "/" in record.provider:
        raise BadLine(
            f"{path}, line {line.number}: a vector needs provider and model beside it, such as openai and "
            "text-embedding-3-large; nothing was taken."
        )
    try:
        unit(line.vector, len(line.vector), f"record {record.id}")
    except BadVector as error:
        raise BadLine(f"{path}, line {line.number}: {error} Nothing was taken.") from error
    survey.kinds.setdefault((record.provider, record.model, len(line.vector)), line.number)


def _embedder_of(path: Path, survey: _Survey, workspace: Path) -> Embedder:
    """The embedder of the index, or of the file's vectors when there is no index yet."""
    current = Layout(workspace.absolute()).current()
    kinds = list(survey.kinds)
    anew = f"spotter index import {shlex.quote(str(path))} --embedder NAME (for example {OFFLINE})"
    if current is not None:
        space = current.space
    elif kinds:
        space = _space(*kinds[0])
    else:
        raise BadSource(f"{path} holds no vectors; say who is to make them: {anew}.")
    own = (space.provider, space.model, space.dim)
    for kind, number in survey.kinds.items():
        if kind != own:
            raise BadLine(
                f"{path}, line {number}: its vector is of {'/'.join(map(str, kind))}, which can't be compared with "
                f"{'/'.join(map(str, own))}; nothing was taken. To embed such texts anew: {anew}."
            )
    try:
        return embedder_for_space(space.id, workspace)
    except (EmbedderUnavailable, UnknownEmbedder) as error:
        if survey.first_without_vector is not None:
            raise BadLine(
                f"{path}, line {survey.first_without_vector}: it has no vector, and none can be made here; "
                f"nothing was taken. {error}"
            ) from error
        return OnlyInStock(space, str(error))


def _space(provider: str, model: str, dim: int) -> Space:
    """The space of vectors that came along: that of our embedder of this name, or the first of its kind."""
    from index.embed import embedder

    try:
        own = embedder(f"{provider}/{model}").space
    except (EmbedderUnavailable, UnknownEmbedder):
        return Space(provider, model, dim, "v1")
    return own if own.dim == dim else Space(provider, model, dim, "v1")


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def _written(path: Path, *, zipped: bool) -> Iterator[IO[bytes]]:
    """A new file, synced at the end; a zipped one holds no time and no name, so that its bytes are always the same."""
    with path.open("xb") as file:
        if zipped:
            with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield file
        file.flush()
        os.fsync(file.fileno())
