"""Scan: which pages there are to parse. Every bad document becomes one item that carries its problem."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.core.errors import UsageError
from pipeline.core.manifest import Item, Problem, Source, item_id
from pipeline.core.pipeline import Scan, Skipped
from pipeline.docparse.elements import JSON, Partition, parse_partition
from pipeline.docparse.elements_attach import Attachments, Orphan, PartitionFile, attach
from pipeline.docparse.media import HEAD_BYTES, UNKNOWN, promised, recognise
from pipeline.docparse.opening import Opener, opener_for
from pipeline.docparse.pages.source import DocumentProblem
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.source_lists import UnitKind, starts

MAX_SLUG_CHARS = 48


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    name: str
    """Relative to the workspace, with `/`."""
    named: bool
    """The operator named this very file, so it may not be passed over."""
    unit: UnitKind | None


@dataclass(frozen=True, slots=True)
class _Document:
    source: Source
    pages: int
    problem: Problem | None
    unit: UnitKind | None


def scan(params: DocparseParams, workspace: Path, opener: Opener | None = None) -> Scan:
    """List the pages of every PDF, PNG, JPEG and TIFF under the sources, recursively, in the order of their paths.

    Hidden files and the folders of runs are ignored. Files of another kind are listed as skipped, unless their name
    promises one of ours or the operator named them: then they are problems. So is a document that crashes its reader,
    and a file of elements whose document is not among the sources. Every document, a frame too, is a unit of its own.

    Raises:
        UsageError: a source does not exist or lies outside the workspace, or nothing can be parsed.
    """
    documents: list[_Document] = []
    partitions: list[PartitionFile] = []
    skipped: list[Skipped] = []
    with opener or opener_for(params.renderer) as reader:
        for found in _files(params.sources, workspace):
            described = _describe(found, reader)
            match described:
                case Skipped():
                    skipped.append(described)
                case PartitionFile():
                    partitions.append(described)
                case _:
                    documents.append(described)
    attached = attach(partitions, {one.source.path: one.pages for one in documents})
    documents += [
        _Document(orphan.source, 0, Problem(type="no-document", message=orphan.message), None)
        for orphan in _once(attached.orphans)
    ]
    skipped += [Skipped(source.path, reason) for source, reason in attached.passed_over]
    items = _items(sorted(documents, key=lambda one: one.source.path), attached)
    if not items:
        where = ", ".join(params.sources)
        others = f"; {len(skipped)} files of other kinds were passed over" if skipped else ""
        raise UsageError(f"there is no PDF, PNG, JPEG or TIFF in {where}{others}: add some, or name other sources")
    return Scan(items, skipped, _warnings(attached))


def _once(orphans: Sequence[Orphan]) -> Iterator[Orphan]:
    """One per file: the first document that it misses stands for all."""
    seen: set[str] = set()
    for orphan in orphans:
        if orphan.source.path not in seen:
            seen.add(orphan.source.path)
            yield orphan


def _warnings(attached: Attachments) -> list[str]:
    return [f"{orphan.source.path!r}: {orphan.message}" for orphan in attached.orphans] + attached.warnings


def _items(documents: Sequence[_Document], attached: Attachments) -> list[Item]:
    items: list[Item] = []
    groups: dict[str, str] = {}
    for one in documents:
        source = one.source
        group = _group(source, groups)
        elements = attached.by_document.get(source.path)
        for page in [None] if one.problem else range(1, one.pages + 1):
            items.append(
                Item(
                    item_id=item_id(source.sha256, source.path, page), group=group, source=source, page=page,
                    problem=one.problem, unit=one.unit, attached=(elements,) if elements else (),
                )
            )  # fmt: skip
    return items


def _files(sources: Sequence[str], workspace: Path) -> Iterator[_Found]:
    root = workspace.resolve()
    found: dict[Path, _Found] = {}
    for start in starts(sources, workspace):
        if start.path.is_dir():
            for path in _walk(start.path):
                known = found.get(path)
                if known is None or (known.unit is None and start.unit is not None):
                    named = known is not None and known.named
                    found[path] = _Found(path, path.relative_to(root).as_posix(), named, start.unit)
        else:
            known = found.get(start.path)
            unit = start.unit or (known.unit if known else None)
            found[start.path] = _Found(start.path, start.path.relative_to(root).as_posix(), True, unit)
    return iter(sorted(found.values(), key=lambda one: one.name))


def _walk(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"folder {folder} cannot be read: {error.strerror}") from error
    names = {entry.name for entry in entries}
    if {"run.json", "manifest.jsonl"} <= names:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)


def _describe(found: _Found, reader: Opener) -> Skipped | PartitionFile | _Document:
    """A document with its pages or its problem, a file of elements, or why the file is passed over."""

    def problem(source: Source, why: Problem) -> _Document:
        return _Document(source, 0, why, found.unit)

    try:
        found.name.encode()
    except UnicodeEncodeError:
        readable = os.fsencode(found.name).decode("utf-8", "backslashreplace")
        source = Source(path=readable, sha256="", bytes=0, media_type=UNKNOWN)
        return problem(source, Problem(type="unreadable", message="the file's name is not UTF-8: rename it"))
    try:
        with found.path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
            handle.seek(0)
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
            size = handle.tell()
            partition = _partition(found.name, head, handle)
    except OSError as error:
        source = Source(path=found.name, sha256="", bytes=0, media_type=UNKNOWN)
        return problem(source, Problem(type="unreadable", message=f"the file cannot be read: {error.strerror}"))
    media_type = recognise(head)
    if partition is not None:
        return PartitionFile(Source(path=found.name, sha256=sha256, bytes=size, media_type=JSON), partition)
    source = Source(path=found.name, sha256=sha256, bytes=size, media_type=media_type or UNKNOWN)
    if media_type is None:
        if promised(found.name) is None and not found.named:
            return Skipped(found.name, "not a PDF, PNG, JPEG or TIFF")
        return problem(source, _unrecognised(head))
    try:
        return _Document(source, reader.pages(found.path, media_type), None, found.unit)
    except DocumentProblem as error:
        return problem(source, Problem(type=error.kind, message=str(error)))


def _partition(name: str, head: bytes, handle: BinaryIO) -> Partition | None:
    """The elements in a `.json` file that begins as a list; None for any other file."""
    if not name.lower().endswith(".json") or not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return None
    handle.seek(0)
    partition = parse_partition(handle.read())
    return None if partition is None else partition.outline()


def _unrecognised(head: bytes) -> Problem:
    if not head:
        return Problem(type="empty", message="the file is empty (0 bytes)")
    return Problem(
        type="unrecognised",
        message="its content is not PDF, PNG, JPEG or TIFF, whatever its name says: replace the file",
    )


def slug(stem: str) -> str:
    """A readable folder name: letters and digits of any script kept, everything else a dash."""
    kept = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", stem)).strip("-_")
    return kept[:MAX_SLUG_CHARS].strip("-_") or "document"


def _group(source: Source, groups: dict[str, str]) -> str:
    """Folder name of a document; the same bytes under the same name elsewhere get a folder of their own."""
    name = f"{slug(Path(source.path).stem)}-{(source.sha256 or hashlib.sha256(source.path.encode()).hexdigest())[:8]}"
    # Case-blind, because the laptop's file system may be.
    if groups.setdefault(name.casefold(), source.path) != source.path:
        name += f"-{hashlib.sha256(source.path.encode()).hexdigest()[:8]}"
        groups[name.casefold()] = source.path
    return name
