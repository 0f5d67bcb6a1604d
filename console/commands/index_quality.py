"""`spotter index evaluate`, `report`, `learn` and `build-qa`: how good the index is, and what makes it better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.commands.frame import Json, print_json, reporting, workspace
from console.commands.search import JoinedBy, ListAs


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
    mode: Annotated[ListAs | None, typer.Option(help="Default: as the baseline was asked, else balanced.")] = None,
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


def learn(
    queries: Annotated[
        Path | None, typer.Argument(metavar="QUERIES", help="Labelled queries; default: eval/queries.jsonl.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written to tags/boosts.json.")] = False,
    as_json: Json = False,
) -> int:
    """Learn boosts from labelled queries; written only when queries they were not fitted on gain surely."""
    from dataclasses import asdict

    from console.operations.index_quality import learn_boosts
    from console.terminal import print_table

    with reporting(as_json=as_json) as report:
        done = learn_boosts(workspace().root, queries, report, dry_run=dry_run)
    learnt = done.learnt
    if as_json:
        print_json(
            {
                "steps": [asdict(step) for step in learnt.steps],
                "factors": [asdict(factor) for factor in learnt.factors],
                "reason": learnt.reason,
                "written": done.written,
                "previous": done.previous,
                "report": done.report,
                "problem": done.problem,
            }
        )
        return 0
    steps = [(step.name, str(step.needed), str(step.there), step.reason) for step in learnt.steps]
    print_table(("step", "needs", "labels", "what became of it"), steps, "")
    if learnt.factors:
        rows = [
            (one.name, f"{one.guess:.3g}", f"{one.fitted:.3g}", f"{one.low:.3g} … {one.high:.3g}")
            for one in learnt.factors
        ]
        print_table(("factor", "guess", "fitted", "95 % interval"), rows, "")
    print(learnt.reason)
    if done.written is not None:
        kept = f"; what was there before is in {done.previous}" if done.previous else ""
        print(f"written: {done.written}{kept}")
    print(f"report: {done.report}" if done.report else done.problem)
    return 0


def build_qa(
    limit: Annotated[int, typer.Option(help="How many new questions at most.", min=1, max=1000)] = 60,
    model: Annotated[
        str | None,
        typer.Option(metavar="SERVER/MODEL", help="A chat model that drafts; default: templates, without a model."),
    ] = None,
    max_usd: Annotated[float, typer.Option("--max-usd", metavar="USD", help="What the model may cost.", min=0)] = 0.5,
    shown: Annotated[bool, typer.Option("--list", help="Show the drafts that wait.")] = False,
    accept: Annotated[
        str | None, typer.Option(metavar="IDS", help="Make these drafts labelled queries: ids with commas, or all.")
    ] = None,
    reject: Annotated[
        str | None, typer.Option(metavar="IDS", help="Never draft these again: ids with commas, or all.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Draft labelled queries from what is in the index, for you to accept or reject."""
    from index.build_qa import accept as accept_drafts
    from index.build_qa import read_drafts
    from index.build_qa import reject as reject_drafts

    root = workspace().root
    if accept is None and reject is None and not shown:
        return _draft(root, limit, model, max_usd, as_json=as_json)
    if reject is not None:
        done = reject_drafts(root, _ids(reject))
        if not as_json:
            print(f"{len(done)} rejected")
    if accept is not None:
        done = accept_drafts(root, _ids(accept))
        if not as_json:
            print(f"{len(done)} accepted into eval/queries.jsonl")
    waiting = [draft for draft in read_drafts(root) if draft.state == "draft"]
    if as_json:
        print_json({"waiting": [draft.model_dump(mode="json", exclude_none=True) for draft in waiting]})
        return 0
    for draft in waiting if shown else ():
        print(
            f"{draft.id}  {draft.kind:6}  {draft.query}\n{'':18}{draft.source}: {' '.join(draft.evidence.split())[:90]}"
        )
    print(f"{len(waiting)} wait for a word")
    return 0


def _draft(root: Path, limit: int, model: str | None, max_usd: float, *, as_json: bool) -> int:
    from dataclasses import asdict

    from console.operations.events import relay
    from index.build_qa import TEMPLATES, draft, passages

    if model is None:
        made, by, dropped, usd, problem = None, TEMPLATES, 0, None, ""
    else:
        from index.chat import chat_model
        from index.provider import Purse
        from index.qa_model import ask_model

        chat = chat_model(model, root, Purse(max_usd))
        with reporting(as_json=as_json) as report:
            asked = ask_model(passages(root), chat, limit, relay("build-qa", report))
        made, by, dropped, usd, problem = asked.questions, chat.name, asked.dropped, asked.usd, asked.problem
    done = draft(root, limit, made, by)
    if as_json:
        print_json(asdict(done) | {"dropped": dropped, "usd": usd, "problem": problem})
        return 1 if problem else 0
    if dropped:
        print(f"{dropped} questions of the model were dropped: their quotes stand in no record")
    if done.removed:
        print(f"{done.removed} drafts were taken away: their records are gone")
    print(f"{done.new} new drafts in {done.path}; {done.waiting} wait: {done.by_kind['text']} about text, "
          f"{done.by_kind['visual']} about regions")  # fmt: skip
    print("see them with --list, take them with --accept IDS, drop them with --reject IDS")
    if problem:
        print(f"the model was not asked about all: {problem}")
    return 1 if problem else 0


def _ids(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]
