"""Reviews: the page of some runs, and what people decided on it, taken into the index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.operations.events import Report, relay, silent

if TYPE_CHECKING:
    from console.operations.session import Session
    from console.workspace import Workspace
    from index.review.build import ReviewResult
    from index.review.decisions import Application


def write_review(
    workspace: Workspace, run_ids: Sequence[str], out: Path, *, folder: bool, report: Report = silent
) -> ReviewResult:
    """Write the review page of some runs, or of every run that has ended.

    Raises:
        NothingToReview, PageTooLarge, NotWritten, BadPatch: as `index.review.build.build`.
        RunNotFound: there is no such run.
    """
    from console.operations.runbook import Runbook
    from index.review.build import Look, build
    from index.review.regions import NothingToReview, ended_runs, open_run
    from pipeline.docparse.colours import COLOURS
    from pipeline.docparse.labels import LABELS

    if run_ids:
        book = Runbook(workspace)
        folders = [workspace.run_folder(book.resolve(run_id).run_id) for run_id in run_ids]
    else:
        folders = ended_runs(workspace.runs)
    if not folders:
        raise NothingToReview("No run has ended here yet: spotter run docparse parses everything in data/.")
    runs = [open_run(path) for path in dict.fromkeys(folders)]
    return build(
        runs,
        workspace.root,
        out,
        Look(LABELS, {str(label): colour for label, colour in COLOURS.items()}),
        folder=folder,
        report=relay("review", report),
    )


def apply_review(session: Session, patch: Path, report: Report = silent) -> tuple[Application, dict[str, Any] | None]:
    """Keep a patch and bring the index up to date with it: (what was applied, what the ingest did).

    Raises:
        BadPatch: the patch does not fit; nothing was changed.
        IngestFailed: the patch is kept, but the index was not changed yet; the next ingest does it.
    """
    from index.review.decisions import apply_patch
    from pipeline.docparse.labels import LABELS

    workspace = session.workspace
    done = apply_patch(patch, workspace.root, workspace.runs, LABELS)
    return done, _ingest(session, done, report)


def undo_review(
    session: Session, name: str | None, report: Report = silent
) -> tuple[Application, dict[str, Any] | None]:
    """Take an applied patch back, out of the index too.

    Raises:
        NothingApplied: there is none of this name.
        IngestFailed: it was taken back, but the index was not changed yet; the next ingest does it.
    """
    from index.review.decisions import undo_patch

    workspace = session.workspace
    done = undo_patch(name, workspace.root, workspace.runs)
    return done, _ingest(session, done, report)


def _ingest(session: Session, done: Application, report: Report) -> dict[str, Any] | None:
    from console.operations.ingest import IngestFailed, ingest

    if not done.runs:
        return None
    try:
        return ingest(session, done.runs, report)
    except IngestFailed as error:
        error.add_note(f"The decisions are kept in reviews/{done.name}; spotter ingest takes them into the index.")
        raise
