"""How good the index is: asked on request and after every ingest, told in reports, held against what was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import WrongInput
from console.operations.events import OperationEvent, Report, relay, silent

if TYPE_CHECKING:
    from index.comparison import Verdict
    from index.evaluate import Evaluation
    from index.found import Mode
    from index.learning import Learnt
    from index.rank import Fusion


class NothingToCompare(WrongInput):
    """What to compare with is neither a saved evaluation nor a generation."""


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What to ask, how, and what to hold it against; None stands for the workspace's own."""

    queries: Path | None = None
    baseline: Path | None = None
    """File of the baseline."""
    against: str | None = None
    """A generation, `current`, or a saved evaluation, instead of the baseline."""
    generation: str | None = None
    mode: Mode | None = None
    """None: as what it is held against, else balanced."""
    fusion: Fusion | None = None
    boosts: Path | None = None
    words_only: bool = False
    save_baseline: bool = False


@dataclass(frozen=True, slots=True)
class EvaluationOutcome:
    """How well the index answers, and what the gate says of it."""

    evaluation: Evaluation
    before: Evaluation | None
    verdict: Verdict | None
    report: Path | None
    """The Markdown file; JSON of the same name lies beside it."""
    problem: str
    """Why the report of the event could not be written; empty when it was."""
    baseline: Path


def evaluate_index(root: Path, request: EvaluationRequest, report: Report = silent) -> EvaluationOutcome:
    """Ask every labelled query, compare, judge, and write the reports.

    Raises:
        NothingToCompare: `against` names neither a file nor a generation.
        index.errors.IndexProblem: queries, baseline, boosts or the index can't be used, or labels dangle.
    """
    from index.boosts import read_boosts
    from index.comparison import gate
    from index.evaluate import Asking, evaluate, read_evaluation, write_evaluation
    from index.evaluation_report import FOLDER, write_report
    from index.gating import BASELINE, QUERIES
    from index.queries import read_queries
    from index.reports import report_event

    tell = relay("evaluate", report)
    labelled = read_queries(request.queries or root / QUERIES)
    kept = request.baseline or root / BASELINE
    before: Evaluation | None = None
    if request.against is None:
        wanted = kept.exists() or (request.baseline is not None and not request.save_baseline)
        before = read_evaluation(kept) if wanted else None
    elif Path(request.against).is_file():
        before = read_evaluation(Path(request.against))
    words_only = request.words_only or (before is not None and before.words_only)
    mode = request.mode or (before.mode if before is not None else "balanced")
    if request.against is not None and before is None:
        other = _generation(root, request.against)
        before = evaluate(root, labelled, report=tell, asking=Asking(mode, request.fusion, None, other, words_only))
    boosts = None if request.boosts is None else read_boosts(_existing(request.boosts))
    asking = Asking(mode, request.fusion, boosts, request.generation, words_only)
    done = evaluate(root, labelled, report=tell, asking=asking)
    verdict = None if before is None else gate(before, done)
    write_report(root / FOLDER, done, before, verdict)
    written = report_event(root, "evaluation", evaluation=done, before=before, verdict=verdict)
    if request.save_baseline:
        write_evaluation(kept, done)
    return EvaluationOutcome(done, before, verdict, written.markdown, written.problem, kept)


def after_ingest(root: Path, result: Mapping[str, Any], report: Report = silent, *, ask: bool = True) -> dict[str, Any]:
    """Report what an ingest left in the index and, where labelled queries and a baseline exist, how well it answers.

    Nothing here fails an ingest: what could not be asked or written is told.

    Args:
        root: the workspace.
        result: the counts of the ingest.
        report: hears the verdict.
        ask: whether the labelled queries are asked.

    Returns:
        `report` (path), `gate` (the verdict, or None) and `note`, for `--json`.
    """
    from index.gating import NO_BASELINE, NOTHING_TO_ASK, Check, check
    from index.reports import report_event

    found = check(root, relay("evaluate", report)) if ask else Check(None, note="not evaluated: as asked")
    told = {key: value for key, value in result.items() if key not in ("rejected", "space") and value is not None}
    if "seconds" in told:
        told["seconds"] = round(told["seconds"], 2)
    told["rejected"] = len(result.get("rejected", ()))
    written = report_event(
        root, "ingest", told=told, evaluation=found.evaluation, before=found.before, verdict=found.verdict
    )
    if found.verdict is not None:
        if found.verdict.passed:
            report(OperationEvent("evaluate", "finished", f"gate passed: {found.verdict.reason}"))
        else:
            report(OperationEvent("evaluate", "failed", f"gate FAILED: {found.verdict.reason}"))
    elif ask and found.note not in (NOTHING_TO_ASK, NO_BASELINE):
        report(OperationEvent("evaluate", "failed", found.note))
    where = written.problem if written.markdown is None else f"report: {written.markdown}"
    report(OperationEvent("report", "failed" if written.markdown is None else "finished", where))
    return {
        "report": None if written.markdown is None else str(written.markdown),
        "gate": None if found.verdict is None else asdict(found.verdict),
        "note": " ".join(filter(None, (found.note, written.problem))),
    }


@dataclass(frozen=True, slots=True)
class LearningOutcome:
    """What was learnt, and what was written."""

    learnt: Learnt
    written: Path | None
    """The file of boosts; None when nothing was to be written, or it was a dry run."""
    previous: Path | None
    """The boosts of before, where there were any."""
    report: Path | None
    problem: str


def learn_boosts(
    root: Path, queries: Path | None, report: Report = silent, *, dry_run: bool = False
) -> LearningOutcome:
    """Learn boosts from the labelled queries and, unless it is a dry run, write those that gain surely.

    Raises:
        index.errors.IndexProblem: too few labels, or queries, boosts or the index can't be used.
    """
    from index.boosts import write_boosts
    from index.boosts_in_use import FILE as BOOSTS
    from index.gating import QUERIES
    from index.learning import PREVIOUS, learn
    from index.queries import read_queries
    from index.reports import report_event

    learnt = learn(root, read_queries(queries or root / QUERIES), relay("learn", report))
    written = previous = None
    if learnt.boosts is not None and not dry_run:
        if (root / BOOSTS).exists():
            previous = root / PREVIOUS
            previous.write_bytes((root / BOOSTS).read_bytes())
        write_boosts(root / BOOSTS, learnt.boosts)
        written = root / BOOSTS
    told = {f"step {step.name}": step.reason for step in learnt.steps} | {
        one.name: f"guess {one.guess:.3g}, fitted {one.fitted:.3g} [{one.low:.3g}, {one.high:.3g}]"
        for one in learnt.factors
    }
    told |= {"verdict": learnt.reason, "written": str(written or "nothing")}
    event = report_event(root, "learning", told=told, evaluation=learnt.after, before=learnt.before)
    return LearningOutcome(learnt, written, previous, event.markdown, event.problem)


def _generation(root: Path, name: str) -> str | None:
    """A generation's name as the index takes it; None for `current`. Raises NothingToCompare."""
    from index.errors import UnknownGeneration
    from index.layout import Layout

    if name == "current":
        return None
    try:
        return Layout(root).generation(name).name
    except UnknownGeneration as error:
        raise NothingToCompare(f"{name} is no saved evaluation, and no generation: {error}") from error


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise WrongInput(f"{path} does not exist: name a file of boosts as `spotter index learn` writes it")
    return path
