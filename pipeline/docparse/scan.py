"""Scan: which pages there are to parse. Every bad document becomes one item that carries its problem."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UsageError
from pipeline.core.manifest import Item, Problem, Source, item_id
from pipeline.core.pipeline import Scan, Skipped
from pipeline.docparse.media import HEAD_BYTES, UNKNOWN, promised, recognise
from pipeline.docparse.opening import Opener, opener_for
from pipeline.docparse.pages.source import DocumentProblem
from pipeline.docparse.params import DocparseParams

MAX_SLUG_CHARS = 48


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    name: str
    """Relative to the workspace, with `/`."""
    named: bool
    """The operator named this very file, so it may not be passed over."""


def scan(params: DocparseParams, workspace: Path, opener: Opener | None = None) -> Scan:
    """List the pages of every PDF, PNG, JPEG and TIFF under the sources, recursively, in the order of their paths.

    Hidden files and the folders of runs are ignored. Files of another kind are listed as skipped, unless their name
    promises one of ours or the operator named them: then they are problems. So is a document that crashes its reader.

    Raises:
        UsageError: a source does not exist or lies outside the workspace, or nothing can be parsed.
    """
    items: list[Item] = []
    skipped: list[Skipped] = []
    groups: dict[str, str] = {}
    with opener or opener_for(params.renderer) as reader:
        for found in _files(params.sources, workspace):
            described = _describe(found, reader)
            if isinstance(described, Skipped):
                skipped.append(described)
                continue
            source, pages, problem = described
            group = _group(source, groups)
            for page in [None] if problem else range(1, pages + 1):
                name = item_id(source.sha256, source.path, page)
                items.append(Item(item_id=name, group=group, source=source, page=page, problem=problem))
    if not items:
        where = ", ".join(params.sources)
        others = f"; {len(skipped)} files of other kinds were passed over" if skipped else ""
        raise UsageError(f"there is no PDF, PNG, JPEG or TIFF in {where}{others}: add some, or name other sources")
    return Scan(items, skipped)


def _files(sources: Sequence[str], workspace: Path) -> Iterator[_Found]:
    root = workspace.resolve()
    found: dict[Path, _Found] = {}
    for name in sources:
        start = Path(os.path.normpath(root / name))
        if not start.is_relative_to(root):
            raise UsageError(f"source {name!r} lies outside the workspace {root}: copy it in")
        if start.is_dir():
            for path in _walk(start):
                found.setdefault(path, _Found(path, path.relative_to(root).as_posix(), False))
        elif start.exists():
            found[start] = _Found(start, start.relative_to(root).as_posix(), True)
        else:
            raise UsageError(f"source {name!r} does not exist in the workspace {root}")
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


def _describe(found: _Found, reader: Opener) -> Skipped | tuple[Source, int, Problem | None]:
    """(source, pages, problem) of a file, or why it is passed over."""
    try:
        found.name.encode()
    except UnicodeEncodeError:
        readable = os.fsencode(found.name).decode("utf-8", "backslashreplace")
        source = Source(path=readable, sha256="", bytes=0, media_type=UNKNOWN)
        return source, 0, Problem(type="unreadable", message="the file's name is not UTF-8: rename it")
    try:
        with found.path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
            handle.seek(0)
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
            size = handle.tell()
    except OSError as error:
        source = Source(path=found.name, sha256="", bytes=0, media_type=UNKNOWN)
        return source, 0, Problem(type="unreadable", message=f"the file cannot be read: {error.strerror}")
    media_type = recognise(head)
    expected = promised(found.name)
    source = Source(path=found.name, sha256=sha256, bytes=size, media_type=media_type or UNKNOWN)
    if media_type is None:
        if expected is None and not found.named:
            return Skipped(found.name, "not a PDF, PNG, JPEG or TIFF")
        return source, 0, _unrecognised(head)
    try:
        return source, reader.pages(found.path, media_type), None
    except DocumentProblem as problem:
        return source, 0, Problem(type=problem.kind, message=str(problem))


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
