"""Sources as the operator names them: files, folders, and lists of them (`.jsonl`, `.csv`, `.yaml`) with unit kinds."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import orjson
import yaml

from pipeline.core.errors import UsageError

UnitKind = Literal["frame-table", "frame-canvases", "frame-assessment", "playbook"]
"""What kinds of documents there are; a list of sources says it of each."""

LIST_SUFFIXES = (".jsonl", ".csv", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Start:
    """Where a scan begins: a file or a folder inside the workspace."""

    path: Path
    unit: UnitKind | None
    """Holds for everything below a folder."""


def starts(sources: Sequence[str], workspace: Path) -> Iterator[Start]:
    """Every file and folder that `sources` name, lists opened; a list's own entries are relative to its folder.

    Raises:
        UsageError: one does not exist, lies outside the workspace, or a list cannot be read (with the entry's place).
    """
    root = workspace.resolve()
    for name in sources:
        path = _inside(root, root / name, f"source {name!r}")
        if path.suffix.lower() in LIST_SUFFIXES and path.is_file():
            yield from _listed(path, name, root)
        else:
            yield Start(path, None)


def _inside(root: Path, path: Path, called: str) -> Path:
    start = Path(os.path.normpath(path))
    if not start.is_relative_to(root):
        raise UsageError(f"{called} lies outside the workspace {root}: copy it in")
    if not start.exists():
        raise UsageError(f"{called} does not exist in the workspace {root}")
    return start


def _listed(file: Path, name: str, root: Path) -> Iterator[Start]:
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"list {name!r} cannot be read: {error}") from error
    entries = list(_entries(file.suffix.lower(), text, name))
    if not entries:
        raise UsageError(f"list {name!r} names no source: give it one path a line")
    for place, entry in entries:
        path, unit = _path_and_unit(entry, f"list {name!r}, {place}")
        yield Start(_inside(root, file.parent / path, f"list {name!r}, {place}: {path!r}"), unit)


def _entries(suffix: str, text: str, name: str) -> Iterator[tuple[str, Any]]:
    """(place as a person finds it, entry) for every entry: a path, or an object with `path` and maybe `unit`."""
    if suffix == ".jsonl":
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                try:
                    yield f"line {number}", orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise UsageError(f"list {name!r}, line {number}: not JSON ({error})") from error
    elif suffix == ".csv":
        rows = list(csv.reader(io.StringIO(text)))
        head = [cell.strip().lower() for cell in rows[0]] if rows else []
        columns = head if "path" in head else ["path", "unit"]
        for number, row in enumerate(rows, start=1):
            if any(row) and not (number == 1 and "path" in head):
                entry = {key: cell.strip() for key, cell in zip(columns, row, strict=False) if cell.strip()}
                yield f"line {number}", {key: entry[key] for key in ("path", "unit") if key in entry}
    else:
        try:
            entries = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"list {name!r} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(entries, list):
            raise UsageError(f"list {name!r} is not a list: write one `- path` a line")
        yield from ((f"entry {number}", entry) for number, entry in enumerate(entries, start=1))


def _path_and_unit(entry: Any, where: str) -> tuple[str, UnitKind | None]:
    told = {"path": entry} if isinstance(entry, str) else entry
    if not isinstance(told, dict) or not isinstance(told.get("path"), str) or set(told) - {"path", "unit"}:
        raise UsageError(f"{where}: wants a path, or an object with `path` and `unit`")
    unit = told.get("unit")
    if unit is not None and unit not in get_args(UnitKind):
        raise UsageError(f"{where}: there is no unit kind {unit!r}; choose {', '.join(get_args(UnitKind))}")
    return told["path"], unit
