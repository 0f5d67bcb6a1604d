"""Commands for what the console's review does with keys: the queue, decisions, undo, export, into the index."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.frame import Json, fail, print_json, refuse_empty, reporting, session, workspace
from console.words import visible

if TYPE_CHECKING:
    from console.models.review_desk import Desk
    from console.models.review_queue import Queued
    from index.review.decisions import Application

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run, by the beginning of its id; last: the newest.")]
Upto = Annotated[
    int | None, typer.Option("--upto", metavar="N", help="Only the first N steps of the file of decisions.", min=0)
]


def queue(
    run: Run = "last",
    wanted: Annotated[
        list[str] | None, typer.Argument(metavar="[FILTER]…", help="score<0.5 label:table status:open page:=3 words")
    ] = None,
    as_json: Json = False,
) -> int:
    """The regions of a run in reading order, each with what was decided about it here or is in use already."""
    from console.operations.review_desk import listed, open_desk

    opened = open_desk(workspace(), run)
    found = listed(opened, " ".join(wanted or ()))
    if as_json:
        print_json({"run": opened.run_id, "regions": [_told(one, opened.desk) for one in found], "lost": opened.lost})
        return 0
    for one in found:
        told = opened.desk
        words = visible(one.words[:60])
        print(
            f"{one.region}  {told.status(one.key):9}  {one.score:.2f}  {visible(told.label(one)):8}  "
            f"{visible(one.name)} p{one.page}  {words}"
        )
    for lost in opened.lost:
        print(f"cannot be read: {visible(lost)}")
    print(f"{len(found)} of {len(opened.desk.queue)} regions; {len(opened.desk.changed())} decisions not in the index")
    return 0


def decide(
    run: Run,
    region: Annotated[str, typer.Argument(metavar="REGION", help="The region's id, or the beginning of it.")],
    status: Annotated[
        str, typer.Argument(metavar="[STATUS]", help="accepted, rejected or open; left out with --label or --box.")
    ] = "",
    label: Annotated[str | None, typer.Option("--label", metavar="LABEL", help="What it is to be called.")] = None,
    box: Annotated[str | None, typer.Option("--box", metavar="X,Y,W,H", help="Its box in pixels of the page.")] = None,
    as_json: Json = False,
) -> int:
    """Decide about one region; the index learns of it with `spotter review take`."""
    from console.operations.review_desk import decide as decide_about

    if bool(status) == (label is not None or box is not None):
        fail("say accepted, rejected or open, or name a --label or a --box", 2)
    if status not in ("", "accepted", "rejected", "open"):
        fail(f"a region is accepted, rejected or open, not {status!r}", 2)
    refuse_empty("REGION", region)
    opened, one = decide_about(workspace(), run, region, status, label, _box(box), time.time())
    if as_json:
        print_json(_told(one, opened.desk))
    else:
        print(f"{one.region} is {opened.desk.status(one.key)}; spotter review take {opened.run_id} brings it in")
    return 0


def back(run: Run = "last", as_json: Json = False) -> int:
    """Take the last decision about a run's regions back."""
    from console.operations.review_desk import take_back

    opened, one = take_back(workspace(), run, time.time())
    if as_json:
        print_json(_told(one, opened.desk))
    else:
        print(f"{one.region} is {opened.desk.status(one.key)} again")
    return 0


def save(
    run: Run = "last",
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to; default: out/review.")] = None,
    upto: Upto = None,
    as_json: Json = False,
) -> int:
    """Write what was decided as a patch, and all regions as decided as COCO; the index is not changed."""
    from console.operations.review_desk import save_decisions

    saved = save_decisions(workspace(), run, out.absolute() if out is not None else None, upto)
    if as_json:
        print_json(asdict(saved))
    else:
        print(saved.coco)
        print(saved.patch or "no patch: nothing was decided that the index does not have already")
    return 0


def take(run: Run = "last", upto: Upto = None, as_json: Json = False) -> int:
    """Take what was decided about a run into the index, as `spotter review apply` does with a patch."""
    from console.operations.review_desk import take_decisions

    with reporting(as_json=as_json) as report:
        done, ingested = take_decisions(session(), run, upto, report)
    if as_json:
        print_json(asdict(done) | {"ingest": ingested})
        return 0
    print(f"reviews/{done.name} {'was applied already' if done.already else 'is applied'}: {counts_of(done)}")
    if ingested is None:
        print("The index has nothing of these documents yet; spotter ingest takes the decisions along.")
    return 0


def counts_of(done: Application) -> str:
    """How many regions were decided in which way."""
    words = ((done.accepted, "accepted"), (done.corrected, "corrected"), (done.rejected, "rejected"))
    told = [f"{number} {word}" for number, word in (*words, (done.reopened, "open again")) if number]
    return ", ".join(told)


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        x, y, width, height = (float(side) for side in text.split(","))
    except ValueError:
        fail(f"{text!r} is no box: X,Y,WIDTH,HEIGHT in pixels", 2)
    return x, y, width, height


def _told(one: Queued, desk: Desk) -> dict[str, Any]:
    return {
        "document": one.document, "page": one.page, "region": one.region, "status": desk.status(one.key),
        "label": desk.label(one), "bbox_px": desk.box(one), "score": one.score,
        "was": {"label": one.label, "bbox_px": one.box_px}, "tags": one.tags, "text": one.words,
    }  # fmt: skip
