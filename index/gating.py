"""The gate at work: what an ingest, a rebuild and `spotter index evaluate` share of labelled queries and baseline."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from index.comparison import Verdict, gate
from index.errors import IndexProblem
from index.evaluate import Asking, DanglingAnswers, Evaluation, evaluate, read_evaluation
from index.layout import Current, Layout
from index.progress import Report, silent
from index.queries import read_queries
from index.reports import report_event

QUERIES = Path("eval") / "queries.jsonl"
"""Labelled queries of a workspace."""
BASELINE = Path("eval") / "baseline.json"
"""The evaluation that later ones are held against."""
NOTHING_TO_ASK = (
    f"no labelled questions ({QUERIES.as_posix()}), so nothing shows whether text is found as before; "
    "draft some with: spotter index build-qa"
)
NO_BASELINE = "there is no baseline to compare with yet; save one with: spotter index evaluate --save-baseline"


@dataclass(frozen=True)
class Check:
    """What the labelled queries say of an index after something happened to it."""

    verdict: Verdict | None
    """None when nothing was asked."""
    evaluation: Evaluation | None = None
    before: Evaluation | None = None
    note: str = ""
    """Why nothing was asked, or not all."""


def check(workspace: Path, report: Report = silent) -> Check:
    """Ask the labelled queries as the baseline was asked, and let the gate judge; what hinders it is told, not raised.

    Labelled records that are no longer in the index fail the gate. Nothing is asked without queries and baseline.
    """
    if not (workspace / QUERIES).exists():
        return Check(None, note=NOTHING_TO_ASK)
    if not (workspace / BASELINE).exists():
        return Check(None, note=NO_BASELINE)
    before: Evaluation | None = None
    try:
        before = read_evaluation(workspace / BASELINE)
        after = evaluate(workspace, read_queries(workspace / QUERIES), report=report, asking=asked_like(before))
    except DanglingAnswers as error:
        return Check(Verdict(False, str(error)), None, before)
    except (IndexProblem, OSError, sqlite3.Error) as error:
        return Check(None, None, before, note=f"not evaluated: {error}")
    return Check(gate(before, after), after, before)


def rebuild_gate(workspace: Path, report: Report = silent) -> Callable[[Current], Verdict]:
    """What a rebuilt generation must pass to be switched in: the labelled queries, asked of the candidate.

    The gate compares with the saved baseline, or, where none is saved, with the generation in use, asked now. Without
    labelled queries there is nothing to ask: the verdict passes and says so. A candidate that lacks a labelled record
    fails, and so does one that can't be asked. What was found is written as the report of a rebuild.
    """

    def judge(candidate: Current) -> Verdict:
        found = _judged(workspace, candidate, report)
        assert found.verdict is not None, "a rebuild is always judged"
        told = {"generation": candidate.name, "gate": found.verdict.reason}
        report_event(
            workspace, "rebuild", told=told, evaluation=found.evaluation, before=found.before, verdict=found.verdict,
            current=candidate,
        )  # fmt: skip
        return found.verdict

    return judge


def _judged(workspace: Path, candidate: Current, report: Report) -> Check:
    if not (workspace / QUERIES).exists():
        return Check(Verdict(True, f"Nothing was asked: {NOTHING_TO_ASK}."))
    before: Evaluation | None = None
    try:
        queries = read_queries(workspace / QUERIES)
        if (workspace / BASELINE).exists():
            before = read_evaluation(workspace / BASELINE)
        elif Layout(workspace.absolute()).current() is not None:
            before = evaluate(workspace, queries, report=report)
        if before is None:
            return Check(Verdict(True, "There was no index before, and no baseline is saved: nothing to compare with."))
        after = evaluate(workspace, queries, report=report, asking=asked_like(before, candidate.name))
    except (IndexProblem, OSError, sqlite3.Error) as error:
        return Check(Verdict(False, str(error)), None, before)
    return Check(gate(before, after), after, before)


def asked_like(before: Evaluation, generation: str | None = None) -> Asking:
    """Ask as this evaluation was asked, so that only what is in the index differs; the boosts are those of today."""
    return Asking(mode=before.mode, fusion=before.fusion, generation=generation, words_only=before.words_only)
