"""Where records come from: run folders and NDJSON files, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from ulid import ULID

from index.errors import BadSource

_TAIL_BYTES = 256 * 1024


@dataclass(frozen=True)
class RecordFile:
    """One NDJSON file; its stem names the pipeline that produced it."""

    path: Path
    producer: str


@dataclass(frozen=True)
class Source:
    """A run, or a file that stands alone, whose folder takes the place of the run's."""

    run_id: str
    folder: Path
    created_ms: int
    whole: bool
    """Whether what is here is everything its documents have; a run that did not succeed covers only its pages."""
    files: tuple[RecordFile, ...]


def find_sources(paths: Sequence[Path], workspace: Path) -> list[Source]:
    """The runs and files named by paths, each once, oldest first, so that the newest has the last word.

    A path is a run folder (`records/*.ndjson` inside), a folder of run folders, or an NDJSON file; `.gz` or not.

    Raises:
        BadSource: a path doesn't exist or holds no records.
    """
    found: dict[Path, Source] = {}
    for path in paths:
        for source in _sources_at(path.absolute(), workspace.absolute()):
            key = source.folder if source.files[0].path.parent.name == "records" else source.files[0].path
            known = found.get(key)
            files = source.files if known is None else tuple(dict.fromkeys(known.files + source.files))
            found[key] = Source(source.run_id, source.folder, source.created_ms, source.whole, files)
    return sorted(found.values(), key=lambda source: (source.created_ms, source.run_id))


def _sources_at(path: Path, workspace: Path) -> list[Source]:
    if path.is_file():
        if path.parent.name == "records":
            return [_run(path.parent.parent, [path])]
        name = path.relative_to(workspace) if path.is_relative_to(workspace) else path
        return [Source(name.as_posix(), path.parent, _modified_ms([path]), True, (RecordFile(path, _producer(path)),))]
    if not path.is_dir():
        raise BadSource(
            f"{path} does not exist; name a run folder (out/runs/<id>), a folder of runs or an NDJSON file."
        )
    own = _record_files(path)
    if own:
        return [_run(path, own)]
    runs = [
        (folder, files) for folder in sorted(path.iterdir()) if folder.is_dir() and (files := _record_files(folder))
    ]
    if not runs:
        raise BadSource(f"{path} holds no records/*.ndjson; has the run finished, and has it been pulled?")
    return [_run(folder, files) for folder, files in runs]


def _record_files(folder: Path) -> list[Path]:
    return sorted([*(folder / "records").glob("*.ndjson"), *(folder / "records").glob("*.ndjson.gz")])


def _run(folder: Path, files: Sequence[Path]) -> Source:
    created = _ulid_ms(folder.name)
    return Source(
        folder.name,
        folder,
        created if created is not None else _modified_ms(files),
        _run_state(folder) in (None, "succeeded"),
        tuple(RecordFile(path, _producer(path)) for path in files),
    )


def _producer(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem


def _modified_ms(files: Sequence[Path]) -> int:
    return max(path.stat().st_mtime_ns for path in files) // 1_000_000


def _ulid_ms(name: str) -> int | None:
    try:
        return int(ULID.from_str(name.upper()).milliseconds)
    except ValueError:
        return None


def _run_state(folder: Path) -> str | None:
    """The run's last state by its own events, else by run.json; None when it tells nothing."""
    events = folder / "events.jsonl"
    if events.is_file():
        with events.open("rb") as file:
            file.seek(max(0, events.stat().st_size - _TAIL_BYTES))
            for line in reversed(file.read().splitlines()):
                if b'"state"' in line and (state := _state_of(line, event=True)) is not None:
                    return state
    summary = folder / "run.json"
    return _state_of(summary.read_bytes(), event=False) if summary.is_file() else None


def _state_of(raw: bytes, *, event: bool) -> str | None:
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(said, dict) or (event and said.get("type") != "state"):
        return None
    state = said.get("state")
    return state if isinstance(state, str) else None
