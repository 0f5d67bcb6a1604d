"""`spotter answer`: a question answered from what was parsed, each claim with its place."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.frame import Json, print_json, session

if TYPE_CHECKING:
    from index.answers.answer import Answer
    from index.answers.checks import Citation

ABSTAINED = 3
_SHOWN_LETTERS = 300
_SHOWN_PASSAGES = 5


def answer(
    words: Annotated[list[str], typer.Argument(metavar="QUESTION", help="What to answer.")],
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Server and model; default: [answers] model. '' for none."),
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option("--max-usd", metavar="USD", help="What it may cost; default: [answers] max_usd.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option("--type", help="Only records of this type.")] = None,
    document: Annotated[list[str] | None, typer.Option("--document", help="Only this document.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write the answer to this file, as JSON.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Answer a question from what was parsed; each claim's quote, page and numbers are checked.

    Without a model, the best passages are shown. Exit codes: 0 answered, or passages shown; 1 something failed; 2 wrong
    input; 3 nothing here supports an answer.
    """
    from console.operations.answers import answer as answer_question

    if out is not None:
        from console.operations.answers import check_writable

        check_writable(out)
    found = answer_question(
        session(), " ".join(words), model=model, max_usd=max_usd, types=kind or (), documents=document or ()
    )
    if out is not None:
        from console.operations.answers import write_answer

        write_answer(found, out)
    if as_json:
        print_json(asdict(found))
    else:
        print("\n".join(lines(found)))
    return ABSTAINED if found.verdict == "abstained" else 0


def lines(found: Answer) -> list[str]:
    """An answer for a terminal; what came from documents and models is shown without control characters."""
    from console.words import visible
    from index.spending import dollars

    said = []
    for claim in found.claims:
        said.append(f"• {visible(claim.text)}")
        said += [f"    {visible(_place(citation))}: “{visible(citation.quote)}”" for citation in claim.citations]
    if found.verdict == "passages":
        for passage in found.passages[:_SHOWN_PASSAGES]:
            text = " ".join(passage.text.split())
            text = text if len(text) <= _SHOWN_LETTERS else text[: _SHOWN_LETTERS - 1] + "…"
            where = f"{passage.document or '?'}" + (f", page {passage.page}" if passage.page is not None else "")
            said.append(f"[{passage.number}] {visible(where)}\n    {visible(text)}")
    if found.dropped:
        said.append("Not supported, and no part of the answer:")
        said += [f"  ✗ {visible(claim.text)}\n    {visible('; '.join(claim.problems))}" for claim in found.dropped]
    if found.missing:
        said.append(f"Not in the passages, says the model: {visible(found.missing)}")
    cost = "" if found.usd is None else f" {dollars(found.usd)}."
    return [*said, f"{visible(found.note)}{cost}"]


def _place(citation: Citation) -> str:
    where = f"[{citation.number}] {citation.document or '?'}, page {citation.page}"
    if citation.bbox_px is None:
        return where
    left, top, width, height = (round(side) for side in citation.bbox_px)
    return f"{where}, {width}×{height} px at {left},{top}"
