"""An evaluation as people read it (Markdown) and as programs do (JSON)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from index.comparison import Verdict, breakdown, common, compare, compare_parts, fallen
from index.evaluate import CUTOFFS, Evaluation, Level, values_of
from index.significance import Difference, Estimate, estimate

FOLDER = Path("out") / "evaluation"
"""Where reports lie in a workspace."""
HEADLINES = ("R@1", "R@5", "nDCG@10", "MRR@10")
_LEVELS: tuple[Level, ...] = ("strict", "group")
_FALLEN_SHOWN = 20
_ENOUGH_QUERIES = 200
"""Fewer tell a change of .07 in recall from chance only by luck."""


@dataclass(frozen=True)
class ReportFiles:
    """Where a report was written."""

    markdown: Path
    json: Path


def summary(evaluation: Evaluation, before: Evaluation | None, verdict: Verdict | None) -> dict[str, Any]:
    """The report as one JSON object: metrics with intervals, breakdown, change since `before`, verdict."""
    metrics = [f"{name}@{k}" for name in ("R", "nDCG", "MRR") for k in CUTOFFS]
    return {
        **_asked_of(evaluation),
        "queries": len(evaluation.asked),
        "text_share_at_5": _text_share(evaluation),
        "metrics": {
            level: {metric: asdict(estimate(values_of(evaluation.asked, metric, level))) for metric in metrics}
            for level in _LEVELS
        },
        "R@5_by": {
            level: {name: asdict(found) for name, found in breakdown(evaluation, "R@5", level).items()}
            for level in _LEVELS
        },
        "change": None if before is None else _change_summary(before, evaluation),
        "gate": None if verdict is None else asdict(verdict),
    }


def _change_summary(before: Evaluation, after: Evaluation) -> dict[str, Any]:
    def told(found: Mapping[str, Difference]) -> dict[str, Any]:
        return {name: {**asdict(one), "significant": one.significant} for name, one in found.items()}

    asked_both_times = common(before, after)
    return {
        "queries": len(asked_both_times),
        "before": _asked_of(before),
        "text_share_at_5_before": _text_share(before),
        "records_by_type_before": before.records_by_type,
        **{level: told(compare(before, after, HEADLINES, level)) for level in _LEVELS},
        "R@5_by": {
            level: told(compare_parts(before, after, "R@5", level)) if asked_both_times else {} for level in _LEVELS
        },
        "fell": [
            {**asdict(one), "came_in": [shown.model_dump(mode="json") for shown in one.came_in]}
            for one in fallen(before, after)
        ],
    }


def _asked_of(evaluation: Evaluation) -> dict[str, Any]:
    """What was asked, and how."""
    return {
        "space": evaluation.space,
        "generation": evaluation.generation,
        "mode": evaluation.mode,
        "fusion": evaluation.fusion,
        "boosts": evaluation.boosts,
        "records_by_type": evaluation.records_by_type,
    }


def write_report(
    folder: Path, evaluation: Evaluation, before: Evaluation | None, verdict: Verdict | None
) -> ReportFiles:
    """Write `report.md` and `report.json`; the same evaluation gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = ReportFiles(folder / "report.md", folder / "report.json")
    files.markdown.write_text(markdown(evaluation, before, verdict), "utf-8")
    said = summary(evaluation, before, verdict) | {"asked": [one.model_dump(mode="json") for one in evaluation.asked]}
    files.json.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2) + b"\n")
    return files


def markdown(evaluation: Evaluation, before: Evaluation | None, verdict: Verdict | None) -> str:
    """The report for people."""
    parts = ["# How well the index answers", "", *quality_lines(evaluation, before, verdict)]
    parts += ["", "## What is in the index", "", "| type | records | before |", "|---|---|---|"]
    parts += _counts(evaluation.records_by_type, {} if before is None else before.records_by_type, before is not None)
    return "\n".join(parts) + "\n"


def quality_lines(evaluation: Evaluation, before: Evaluation | None, verdict: Verdict | None) -> list[str]:
    """What an evaluation found, as the lines of any report that tells it."""
    count = len(evaluation.asked)
    boosts = f" · {evaluation.boosts}" if evaluation.boosts else ""
    parts = [
        f"{count} labelled questions · {sum(evaluation.records_by_type.values())} records · {evaluation.space} · "
        f"asked {evaluation.mode}{boosts}",
        "",
    ]
    if count < _ENOUGH_QUERIES:
        parts += [f"Fewer than {_ENOUGH_QUERIES} questions: small differences can't be told from chance.", ""]
    if verdict is None:
        parts += ["Gate: there is no baseline yet; save this evaluation as one with `--save-baseline`.", ""]
    else:
        parts += [f"Gate **{'passed' if verdict.passed else 'failed'}**: {verdict.reason}", ""]
    parts += ["## Metrics", "", "| metric | strict | by region or page |", "|---|---|---|"]
    for metric in HEADLINES:
        cells = [_interval(estimate(values_of(evaluation.asked, metric, level))) for level in _LEVELS]
        parts.append(f"| {metric} | {' | '.join(cells)} |")
    parts += ["", "Mean and 95 % interval (bootstrap over questions).", "", "## R@5 by part", ""]
    parts += ["| part | questions | strict | by region or page |", "|---|---|---|---|"]
    by_group = breakdown(evaluation, "R@5", "group")
    for name, found in breakdown(evaluation, "R@5").items():
        parts.append(f"| {cell(name)} | {found.queries} | {_interval(found)} | {_interval(by_group[name])} |")
    parts += ["", f"Text among the first five hits: {_text_share(evaluation):.0%}"]
    if before is not None:
        parts[-1] += f" (before: {_text_share(before):.0%})"
        parts += ["", "## Change", "", *_changes(before, evaluation), *_fallen_lines(before, evaluation)]
    missed = evaluation.of(lambda one: one.strict["R@10"] == 0 and one.group["R@10"] == 0)
    if missed:
        parts += ["", "## Not answered among the first ten", ""]
        parts += [f"- {cell(one.query)} ({one.kind}, {', '.join(map(cell, one.documents))})" for one in missed]
    return parts


def _changes(before: Evaluation, after: Evaluation) -> list[str]:
    changes = {level: compare(before, after, HEADLINES, level) for level in _LEVELS}
    if not changes["strict"]:
        return ["No question was asked both times."]
    lines = [f"Over the {len(common(before, after))} questions asked both times:", ""]
    lines += ["| metric | strict | by region or page |", "|---|---|---|"]
    lines += [
        f"| {metric} | {' | '.join(_change(changes[level][metric]) for level in _LEVELS)} |" for metric in HEADLINES
    ]
    lines += ["", "| R@5 of | questions | strict | by region or page |", "|---|---|---|---|"]
    by_group = compare_parts(before, after, "R@5", "group")
    lines += [
        f"| {cell(name)} | {found.queries} | {_change(found)} | {_change(by_group[name])} |"
        for name, found in compare_parts(before, after, "R@5").items()
    ]
    return [*lines, "", "Mean and 95 % interval; p by paired randomisation, n.s. from .05 up."]


def _fallen_lines(before: Evaluation, after: Evaluation) -> list[str]:
    """Which questions fell and what took their places."""
    lost = fallen(before, after)
    if not lost:
        return []
    lines = ["", f"## Answered worse than before: {len(lost)}", ""]
    for one in lost[:_FALLEN_SHOWN]:
        lines.append(f"- {cell(one.query)} ({one.kind}): R@5 {one.before:.2f} → {one.after:.2f}")
        for shown in one.came_in:
            page = "" if shown.page is None else f", page {shown.page}"
            lines.append(f"  - now there: {shown.type}, {cell(shown.document)}{page}: {cell(shown.text)}")
    if len(lost) > _FALLEN_SHOWN:
        lines += ["", f"and {len(lost) - _FALLEN_SHOWN} more; the JSON file lists all."]
    return lines


def _counts(now: Mapping[str, int], before: Mapping[str, int], compared: bool) -> list[str]:
    known = dict.fromkeys(["NarrativeText", "Title", "Table", "Image", "VisualCaption", "VisualFact", "ImageVec"])
    names = list(known | dict.fromkeys([*now, *before]))
    return [f"| {cell(name)} | {now.get(name, 0)} | {before.get(name, 0) if compared else ''} |" for name in names]


def _text_share(evaluation: Evaluation) -> float:
    return sum(one.text_share_at_5 for one in evaluation.asked) / len(evaluation.asked)


def _interval(found: Estimate) -> str:
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _change(found: Difference) -> str:
    certainty = f"p = {found.p_value:.4f}" if found.significant else f"n.s. (p = {found.p_value:.2f})"
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}], {certainty}"


def cell(text: str) -> str:
    """Text inside a table or a list: on one line, without ending a cell."""
    return " ".join(text.split()).replace("|", "\\|")
