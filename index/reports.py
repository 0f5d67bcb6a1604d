"""What is in an index and how well it answers, written after every ingest, evaluation and rebuild.

One pair of files an event, `out/reports/<time>-<event>.md` and `.json`, and the same again as `latest`. A report counts
what is there by type and document, with zeros in sight: a document that a run listed and that has no record is the
first thing to see. It never fails the event that it tells of.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

from index.comparison import Verdict
from index.contents import Contents, contents
from index.errors import IndexProblem
from index.evaluate import Evaluation
from index.evaluation_report import cell, quality_lines, summary
from index.layout import Current
from index.rank import is_text

FOLDER = Path("out") / "reports"
LATEST = "latest"
Event = Literal["ingest", "evaluation", "rebuild", "learning", "report"]
_TAGS_SHOWN = 40


@dataclass(frozen=True)
class Written:
    """Where a report lies; without files, `problem` says why it could not be written."""

    markdown: Path | None
    json: Path | None
    problem: str = ""


def report_event(
    workspace: Path,
    event: Event,
    *,
    told: Mapping[str, Any] | None = None,
    evaluation: Evaluation | None = None,
    before: Evaluation | None = None,
    verdict: Verdict | None = None,
    current: Current | None = None,
    keep: bool = True,
) -> Written:
    """Write the report of one event; what hinders it is told, never raised.

    Args:
        workspace: the folder that holds `.spotter/`.
        event: what happened.
        told: what the event itself has to say, such as an ingest's counts.
        evaluation: how well the index answers, if it was asked.
        before: what to compare that with.
        verdict: what the gate said.
        current: the generation to count; by default the one in use.
        keep: whether the event gets files of its own beside `latest`.
    """
    folder = workspace / FOLDER
    try:
        counted = contents(workspace, current)
        said = as_data(event, counted, told or {}, _earlier(folder), evaluation, before, verdict)
        folder.mkdir(parents=True, exist_ok=True)
        stems = [_free_stem(folder, said["at"], event), LATEST] if keep else [LATEST]
        raw = orjson.dumps(said, option=orjson.OPT_INDENT_2, default=str) + b"\n"
        text = markdown(said, counted, evaluation, before, verdict).encode()
        for stem in stems:
            _replace(folder / f"{stem}.md", text)
            _replace(folder / f"{stem}.json", raw)
    except (IndexProblem, OSError, sqlite3.Error, ValueError, KeyError, TypeError) as error:
        return Written(None, None, f"no report was written: {str(error) or type(error).__name__}")
    return Written(folder / f"{stems[0]}.md", folder / f"{stems[0]}.json")


def as_data(
    event: Event,
    counted: Contents,
    told: Mapping[str, Any],
    earlier: Mapping[str, Any],
    evaluation: Evaluation | None,
    before: Evaluation | None,
    verdict: Verdict | None,
) -> dict[str, Any]:
    """The report as one JSON object; `earlier` is the one before it, empty when there is none."""
    records = counted.records
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "event": event,
        "refused": event == "rebuild" and verdict is not None and not verdict.passed,
        "space": counted.space,
        "revision": counted.revision,
        "records": records,
        "text_records": counted.text_records,
        "visual_records": records - counted.text_records,
        "text_share": counted.text_records / records if records else None,
        "by_type": counted.by_type,
        "by_type_before": earlier.get("by_type"),
        "before_at": earlier.get("at"),
        "documents": [asdict(one) for one in counted.documents],
        "documents_without_records": counted.without_records,
        "documents_without_text": counted.without_text,
        "tagged_records": counted.tagged_records,
        "by_tag": counted.by_tag,
        "told": dict(told),
        "quality": None if evaluation is None else summary(evaluation, before, verdict),
    }


def markdown(
    said: Mapping[str, Any],
    counted: Contents,
    evaluation: Evaluation | None,
    before: Evaluation | None,
    verdict: Verdict | None,
) -> str:
    """The report for people: first what is missing, then what is there, then how well it answers."""
    records = counted.records
    visual = records - counted.text_records
    lines = [f"# Index after {'an' if said['event'][0] in 'aeiou' else 'a'} {said['event']}", ""]
    lines += [f"{said['at']} · {records} records of {len(counted.documents)} documents · {counted.space}", ""]
    if said["refused"]:
        lines += ["The rebuilt generation was **refused**; what is counted here was never searched.", ""]
    if records:
        shares = f"Text {counted.text_records} ({counted.text_records / records:.0%}), "
        lines += [f"{shares}visual {visual} ({visual / records:.0%}).", ""]
    for sentence, names in (
        ("**No record at all** of these documents, which a run listed", counted.without_records),
        ("**No text** of these documents, only what speaks of regions", counted.without_text),
    ):
        if names:
            lines += [f"{sentence}: {len(names)}", "", *(f"- {cell(name)}" for name in names), ""]
    if said["told"]:
        lines += [f"## The {said['event']}", "", "| | |", "|---|---|"]
        lines += [f"| {cell(str(key))} | {cell(str(value))} |" for key, value in said["told"].items()] + [""]
    if evaluation is not None:
        lines += [*quality_lines(evaluation, before, verdict), ""]
    lines += ["## Records by type", "", f"| type | records | before ({said['before_at'] or 'no report yet'}) |"]
    lines.append("|---|---:|---:|")
    earlier: Mapping[str, int] | None = said["by_type_before"]
    for name in dict.fromkeys([*counted.by_type, *(earlier or {})]):
        was = "" if earlier is None else str(earlier.get(name, 0))
        lines.append(f"| {cell(name)} | {counted.by_type.get(name, 0)} | {was} |")
    lines += ["", "## Records by document", "", *_document_lines(counted)]
    lines += ["", "## Tags", "", f"{counted.tagged_records} of {records} records have a tag.", ""]
    if counted.by_tag:
        lines += ["| tag | records |", "|---|---:|"]
        lines += [f"| {cell(tag)} | {count} |" for tag, count in list(counted.by_tag.items())[:_TAGS_SHOWN]]
        if len(counted.by_tag) > _TAGS_SHOWN:
            lines += ["", f"and {len(counted.by_tag) - _TAGS_SHOWN} more; the JSON file lists all."]
    return "\n".join(lines).rstrip() + "\n"


def _document_lines(counted: Contents) -> list[str]:
    types = [kind for kind, count in counted.by_type.items() if count]
    head = ["document", "language", "pages with records", "records", "text", "visual", *types]
    lines = [f"| {' | '.join(map(cell, head))} |", "|---|---|" + "---:|" * (len(head) - 2)]
    for one in counted.documents:
        pages = f"{one.pages_with_records} of {'?' if one.pages_known is None else one.pages_known}"
        text = sum(count for kind, count in one.by_type.items() if is_text(kind))
        numbers = [one.records, text, one.records - text, *(one.by_type.get(kind, 0) for kind in types)]
        shown = (f"**{number}**" if number == 0 else str(number) for number in numbers)
        lines.append(f"| {cell(one.document)} | {one.language or ''} | {pages} | {' | '.join(shown)} |")
    return lines


def _earlier(folder: Path) -> dict[str, Any]:
    """The newest report of an index in use; one that can't be read counts as none.

    A rebuild that was refused counted a candidate that nobody ever searched; what it was compared with still stands.
    """
    try:
        said = orjson.loads((folder / f"{LATEST}.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    if not isinstance(said, dict):
        return {}
    if said.get("refused"):
        return {"by_type": said.get("by_type_before"), "at": said.get("before_at")}
    return said


def _free_stem(folder: Path, at: str, event: Event) -> str:
    """A name for this event's files: its time in UTC, which sorts, and a number when the second has one already."""
    stamp = datetime.fromisoformat(at).strftime("%Y%m%dT%H%M%SZ")
    stem, number = f"{stamp}-{event}", 1
    while (folder / f"{stem}.json").exists():
        number += 1
        stem = f"{stamp}-{event}-{number}"
    return stem


def _replace(path: Path, raw: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(raw)
    temporary.replace(path)
