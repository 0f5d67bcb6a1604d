"""`spotter index evaluate`, `report`, `learn` and `build-qa`: how good the index is, and what makes it better."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from console.commands.frame import Json, print_json, reporting, workspace


class AskedAs(StrEnum):
    """How text and visual records share the list."""

    balanced = "balanced"
    text = "text"
    visual = "visual"
    raw = "raw"


class JoinedBy(StrEnum):
    """How words and vectors are joined."""

    convex = "convex"
    rrf = "rrf"


def evaluate(
    queries: Annotated[
        Path | None, typer.Argument(metavar="QUERIES", help="Labelled queries; default: eval/queries.jsonl.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="What to compare with; default: eval/baseline.json."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="Compare with this instead: a generation, `current`, or a saved evaluation."),
    ] = None,
    generation: Annotated[
        str | None, typer.Option(metavar="NAME", help="Ask this generation; default: the one in use.")
    ] = None,
    boosts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Boosts to rank with; default: tags/boosts.json.")
    ] = None,
    mode: Annotated[AskedAs | None, typer.Option(help="Default: as the baseline was asked, else balanced.")] = None,
    fusion: Annotated[JoinedBy | None, typer.Option(help="How words and vectors are joined.")] = None,
    words_only: Annotated[bool, typer.Option("--words-only", help="Without vectors.")] = False,
    save_baseline: Annotated[
        bool, typer.Option("--save-baseline", help="Make this evaluation the baseline, whatever the gate says.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Ask every labelled query, measure the answers, and fail when text is found less often than before."""
    from console.operations.index_quality import EvaluationRequest, evaluate_index
    from index.evaluation_report import markdown, summary

    request = EvaluationRequest(
        queries,
        baseline,
        against,
        generation,
        None if mode is None else mode.value,
        None if fusion is None else fusion.value,
        boosts,
        words_only,
        save_baseline,
    )
    with reporting(as_json=as_json) as report:
        done = evaluate_index(workspace().root, request, report)
    if as_json:
        told = summary(done.evaluation, done.before, done.verdict)
        print_json(told | {"report": done.report, "problem": done.problem, "baseline": done.baseline})
    else:
        print(markdown(done.evaluation, done.before, done.verdict))
        print(f"in {done.report} and the JSON beside it" if done.report else done.problem)
    return 1 if done.verdict is not None and not done.verdict.passed else 0


def report(as_json: Json = False) -> int:
    """Write what is in the index now, by type, document and tag, with zeros in sight."""
    from index.reports import report_event

    written = report_event(workspace().root, "report")
    if as_json:
        print_json({"report": written.markdown, "problem": written.problem})
    elif written.markdown is not None:
        print(written.markdown.read_text("utf-8"))
        print(f"in {written.markdown} and the JSON beside it")
    else:
        print(written.problem)
    return 0 if written.markdown is not None else 1
