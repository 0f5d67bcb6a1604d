"""Commands of a review: `spotter review` writes the page, `apply` takes in what was decided, `undo` takes it back.

What is decided in the console, or by command, region by region, stands in `review_desk.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from console.commands import review_desk as desk
from console.commands.frame import Json, fail, guard, print_json, refuse_empty, reporting, session, workspace
from console.words import count, size


class _PageByDefault(TyperGroup):
    """`spotter review last` is `spotter review page last`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["page", *args]
        return super().parse_args(ctx, args)


review = typer.Typer(
    cls=_PageByDefault,
    help="Look at every region of a run on one page, decide, and take the decisions into the index. "
    "Without a command: `page`.",
)


def page(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]…", help="Runs; default: every run that has ended.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PATH", help="Where to; default: eval/visual_review.html.")
    ] = None,
    folder: Annotated[
        bool, typer.Option("--folder", help="A folder whose pages are read when they are looked at, for thousands.")
    ] = False,
    inline: Annotated[bool, typer.Option("--inline", help="One file that holds everything; the default.")] = False,
    as_json: Json = False,
) -> int:
    """Write the review page: documents, pages, regions with all that was said of them; it opens in any browser."""
    from console.operations.review import write_review

    if folder and inline:
        fail("--inline is one file, --folder is several: choose one", 2)
    if folder and out is not None and out.suffix.lower() == ".html":
        fail(f"--folder makes a folder: name one, such as {out.with_suffix('')}", 2)
    here = workspace()
    target = out or here.root / "eval" / ("visual_review" if folder else "visual_review.html")
    with reporting(as_json=as_json) as report:
        done = write_review(here, runs or (), target.absolute(), folder=folder, report=report)
    if as_json:
        print_json(asdict(done))
    else:
        print(
            f"{done.path}: {count(done.regions, 'region')} on {count(done.pages, 'page')} of "
            f"{count(done.documents, 'document')} ({size(done.bytes)}); {done.decided} decided already"
        )
        print("Open it in a browser; ? shows its keys, x saves a patch for: spotter review apply PATCH")
    return 0


def apply(
    patch: Annotated[Path, typer.Argument(metavar="PATCH", help="The file that the page saved.")], as_json: Json = False
) -> int:
    """Take what was decided into the index: rejected regions leave it, corrected ones change; runs stay as they are."""
    from console.operations.review import apply_review

    with reporting(as_json=as_json) as report:
        done, ingested = apply_review(session(), patch, report)
    if as_json:
        print_json(asdict(done) | {"ingest": ingested})
    else:
        print(f"reviews/{done.name} {'was applied already' if done.already else 'is applied'}: {desk.counts_of(done)}")
        _say_index(ingested)
    return 0


def undo(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Of `spotter review list`; default: the newest.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Take an applied patch back, as if it had never been; its file is kept in reviews/undone/."""
    from console.operations.review import undo_review

    refuse_empty("NAME", name)
    with reporting(as_json=as_json) as report:
        done, ingested = undo_review(session(), name, report)
    if as_json:
        print_json(asdict(done) | {"ingest": ingested})
    else:
        print(f"reviews/{done.name} is taken back: {desk.counts_of(done)}; it lies in reviews/undone/")
        _say_index(ingested)
    return 0


def listed(as_json: Json = False) -> int:
    """The patches that are applied, oldest first; a later one has the last word on a region."""
    from index.review.decisions import list_patches

    found = list_patches(workspace().root)
    if as_json:
        print_json(
            [
                {"name": each.path.name, "made": file.patch.made, "regions": len(file.patch.regions)}
                for each, file in found
            ]
        )
    elif not found:
        print("no review is applied: spotter review writes the page")
    for each, file in found if not as_json else ():
        print(f"{each.path.name}  {file.patch.made[:40]}  {count(len(file.patch.regions), 'region')}")
    return 0


def _say_index(ingested: dict[str, Any] | None) -> None:
    if ingested is None:
        print("The index has nothing of these documents yet; spotter ingest takes the decisions along.")


def _command(name: str, call: Callable[..., int]) -> None:
    @functools.wraps(call)
    def guarded(*arguments: Any, **options: Any) -> None:
        raise typer.Exit(guard(lambda: call(*arguments, **options), as_json=bool(options.get("as_json"))))

    review.command(name)(guarded)


for _name, _call in (
    ("page", page),
    ("apply", apply),
    ("undo", undo),
    ("list", listed),
    ("queue", desk.queue),
    ("decide", desk.decide),
    ("back", desk.back),
    ("save", desk.save),
    ("take", desk.take),
):
    _command(_name, _call)
