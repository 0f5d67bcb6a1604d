"""The file in which people decide about candidates: one JSON object a line, `tags/candidates.jsonl`.

A person changes `decision` from open to one of

    accept            a new tag, with the id, group and labels of the line (change them at will)
    merge             another name of the tag that `into` holds (a tag's id, or the id of another line that is accepted)
    rename            as accept, by the name that `rename` holds
    reject            no tag, and not proposed again

Mining again keeps every decision and whatever else a person changed on a decided line, and brings the figures up to
date; a decided line whose term is no longer found stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from index.tags.errors import BadCandidates

FILE = Path("tags") / "candidates.jsonl"
Decision = Literal["open", "accept", "merge", "rename", "reject"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Evidence(_Part):
    """Where a candidate stands, word by word."""

    record: str
    quote: str


class Proposal(_Part):
    """What it may be another name of."""

    into: str
    """A tag's id, or the id of another line."""
    why: str


class Line(_Part):
    """One candidate, and what a person decided."""

    key: str
    """Base forms of its words: what keeps its identity when it is mined again."""
    name: str
    decision: Decision = "open"
    id: Annotated[str, StringConstraints(pattern=r"^[^\s/:=,*]+/[^\s/:=,*]+$")]
    """The tag that it becomes: `Group/Name`."""
    label: dict[Literal["ru", "en"], str] = Field(min_length=1)
    alias: dict[Literal["ru", "en"], tuple[str, ...]] = {}
    into: str | None = None
    rename: str | None = None
    origin: str = "mined"
    """`mined`, or the model that proposed it."""
    score: float = 0.0
    z: float = 0.0
    npmi: float = 0.0
    ctfidf: float = 0.0
    documents: int = 0
    records: int = 0
    evidence: tuple[Evidence, ...] = ()
    proposals: tuple[Proposal, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Line:
        if self.decision == "merge" and not self.into:
            raise ValueError("the decision is merge: say into which tag by `into`")
        if self.decision == "rename" and not (self.rename and self.rename.strip()):
            raise ValueError("the decision is rename: say the new name by `rename`")
        return self


def read_lines(path: Path) -> list[Line]:
    """The lines of a review file; none when there is no file.

    Raises:
        BadCandidates: naming the line that can't be used.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadCandidates(f"{path}: can't be read ({error.strerror}).") from error
    found: list[Line] = []
    for number, text in enumerate(raw.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            found.append(Line.model_validate(orjson.loads(text)))
        except orjson.JSONDecodeError as error:
            raise BadCandidates(f"{path}, line {number}: not JSON ({error}).") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "line"
            said = first["msg"].removeprefix("Value error, ")
            raise BadCandidates(f"{path}, line {number}: {where}: {said}.") from error
    return found


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    """Write a review file, atomically. Raises BadCandidates when the folder can't be written."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as out:
            for line in lines:
                out.write(orjson.dumps(_shown(line)) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        raise BadCandidates(f"{path}: can't be written ({error.strerror}).") from error


_FIGURES = ("score", "z", "npmi", "ctfidf", "documents", "records", "evidence")


def merged(before: Sequence[Line], now: Sequence[Line]) -> list[Line]:
    """What mining found now, with the decisions of before; decided lines that are not found any more come last."""
    known = {line.key: line for line in before}
    lines = [
        line
        if (old := known.pop(line.key, None)) is None or old.decision == "open"
        else old.model_copy(update={name: getattr(line, name) for name in _FIGURES})
        for line in now
    ]
    return [*lines, *(line for line in known.values() if line.decision != "open")]


def _shown(line: Line) -> dict[str, Any]:
    """A line without its empty fields; `decision` always stands, for it is what people change."""
    value = line.model_dump(mode="json")
    return {key: it for key, it in value.items() if key == "decision" or it}
