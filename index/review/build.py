"""The review page: one HTML file that holds everything, or a folder whose pieces are read when they are looked at.

Both open from a disk, without a server or a network, and say so to the browser: the page's Content-Security-Policy
lets nothing run but its own scripts, told by their digests, and nothing load but its own pieces. What comes from runs
is data inside of blocks that run nothing; scripts show it as text.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from index.errors import IndexProblem
from index.progress import Progress, Report, silent
from index.review.corrections import read_corrections
from index.review.gathered import PAGES_A_PIECE, Gathered, Look
from index.review.html import block_text
from index.review.regions import NothingToReview, ReviewRun, pages_of
from index.review.tags import tags_in_index
from index.review.writing import OneFile, PageFolder

__all__ = ["Look", "NotWritten", "ReviewResult", "build"]


class NotWritten(IndexProblem):
    """The place for the page cannot be used; the text says what to do."""


@dataclass(frozen=True)
class ReviewResult:
    """What was written."""

    path: Path
    """The file to open."""
    folder: bool
    documents: int
    pages: int
    regions: int
    decided: int
    """Regions with a decision that is in use in the workspace."""
    bytes: int
    seconds: float


def build(
    runs: Sequence[ReviewRun], workspace: Path, out: Path, look: Look, *, folder: bool = False, report: Report = silent
) -> ReviewResult:
    """Write the review page of some runs; every page is shown as the newest of them describes it.

    The same runs and decisions give the same bytes.

    Args:
        runs: runs that have ended.
        workspace: whose sources are linked to, and whose decisions are shown.
        out: the file; with `folder`, the folder, whose `index.html` is the page.
        look: labels and colours.
        folder: write pieces beside the page in place of one file.
        report: told how far it is.

    Raises:
        NothingToReview: the runs hold no page.
        PageTooLarge: one file would be too large.
        NotWritten: there is something else at `out`.
        BadPatch: a decision in use cannot be read.
        IndexCorrupt: the index, whose tags are shown, cannot be read; without one the runs' own tags are.
    """
    started = time.monotonic()
    pages = pages_of(runs)
    if not pages:
        raise NothingToReview("These runs hold no page: name others (spotter runs).")
    target = out / "index.html" if folder else out
    _check(out, folder=folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    writing = PageFolder(out) if folder else OneFile(out)
    tags = tags_in_index(workspace)
    gathered = Gathered(pages, workspace, target, look, read_corrections(workspace), tags, folder=folder)
    try:
        writing.begin()
        for number in range(0, len(pages), PAGES_A_PIECE):
            piece = [gathered.take(page) for page in pages[number : number + PAGES_A_PIECE]]
            writing.piece(number // PAGES_A_PIECE, block_text(piece))
            report(Progress("review", "Reading regions", len(gathered.pages), len(pages), "pages"))
        gathered.leave_out(writing.pictures(gathered.pictures, report))
        writing.end(gathered.head())
    except BaseException:
        writing.give_up()
        raise
    return ReviewResult(
        target, folder, len(gathered.documents), len(pages), len(gathered.regions["id"]), len(gathered.decided),
        writing.bytes, time.monotonic() - started,
    )  # fmt: skip


def _check(out: Path, *, folder: bool) -> None:
    if folder and out.exists() and not (out / "index.html").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise NotWritten(f"{out} is there and no folder of a review: name another --out.")
    if not folder and out.is_dir():
        raise NotWritten(f"{out} is a folder: name a file, or add --folder.")
