"""A run's regions and what was decided about them here: opened, kept, written as a patch and as COCO, applied."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import WrongInput
from console.models.review_desk import Desk, Said
from console.models.review_log import DecisionLog, read_log, replay
from console.models.review_queue import Key, Queued
from console.operations.events import Report, silent

if TYPE_CHECKING:
    from console.operations.session import Session
    from console.workspace import Workspace
    from index.review.decisions import Application
    from index.review.patch import Decision
    from index.review.regions import RegionFile, ReviewPage, ReviewRegion

WORDS = 200
"""Characters of a region's text that the queue holds; its file has all of it."""


class NothingDecided(WrongInput):
    """There is no decision that the workspace does not have already."""


@dataclass(frozen=True)
class Opened:
    """A run's queue with the decisions of earlier sessions."""

    run_id: str
    desk: Desk
    labels: tuple[str, ...]
    """What a region may be called: the detector's labels, then further ones of the run."""
    pages: Mapping[tuple[str, int], ReviewPage]
    lost: tuple[str, ...]
    """What could not be read, with the reason."""
    steps: int
    """Lines in the file of decisions."""
    decided_at: float
    """When the last of them was made; 0.0 without any."""

    def details(self, one: Queued) -> ReviewRegion:
        """One region with all that was said of it; reads files.

        Raises:
            OSError, ValueError: its files are gone or damaged.
        """
        return self.pages[one.key[:2]].region(one.number)


def log_path(workspace: Workspace, run_id: str) -> Path:
    """Where the decisions on a run's regions are kept."""
    return workspace.state / "review" / f"{run_id}.jsonl"


def open_desk(workspace: Workspace, run: str = "last", upto: int | None = None) -> Opened:
    """Read a run's regions and what was decided about them.

    Args:
        workspace: where it lies.
        run: its id or the beginning of it; `last`: the run that was begun last of those that have ended.
        upto: take only so many lines of the file of decisions.

    Raises:
        NothingToReview: no run has ended, it goes on, or it has no regions.
        RunNotFound: there is no such run.
        BadPatch: a review in use cannot be read.
        ReviewLogWrong: the file of decisions is none, or has fewer lines than `upto`.
    """
    from index.review.corrections import read_corrections
    from index.review.regions import NothingToReview, open_run, pages_of
    from pipeline.docparse.labels import LABELS

    opened = open_run(_folder(workspace, run))
    run_id = opened.info.run_id
    queue: list[Queued] = []
    lost: list[str] = []
    pages: dict[tuple[str, int], ReviewPage] = {}
    for page in pages_of([opened]):
        if page.item.page is None:
            continue
        files, wrong = page.files()
        lost += [f"{page.item.where}: {each}" for each in wrong]
        pages[page.item.group, page.item.page] = page
        picture, source = page.picture, workspace.root / page.item.source.path
        queue += [_queued(page, file, picture, source) for file in files]
    if not queue:
        raise NothingToReview(f"Run {run_id} found no region: there is nothing to decide about.")
    base: dict[Key, Said] = {
        key: Said(
            decision.status,
            decision.label if decision.relabelled else None,
            decision.bbox_px if decision.moved else None,
        )
        for key, decision in read_corrections(workspace.root).by_region.items()
    }
    desk = Desk(queue, base)
    entries = read_log(log_path(workspace, run_id))
    if upto is not None and upto > len(entries):
        raise WrongInput(f"{log_path(workspace, run_id)} has {len(entries)} decisions, not {upto}.")
    decided_at = replay(desk, entries[:upto])
    labels = tuple(dict.fromkeys((*LABELS, *(one.label for one in queue), *(desk.label(one) for one in queue))))
    return Opened(run_id, desk, labels, pages, tuple(lost), len(entries), decided_at)


def find_run(workspace: Workspace, run: str) -> str:
    """The id of a run by its beginning; `last`: of the last one that has ended.

    Raises:
        NothingToReview: no run has ended.
        RunNotFound: there is no such run, or none is named.
    """
    return _folder(workspace, run).name


def _folder(workspace: Workspace, run: str) -> Path:
    from console.operations.runbook import Runbook
    from index.review.regions import NothingToReview, ended_runs

    if run == "last":
        folders = ended_runs(workspace.runs)
        if not folders:
            raise NothingToReview("No run has ended here yet: spotter run docparse parses everything in data/.")
        return folders[-1]
    found = [path.parent for path in workspace.runs.glob("*/run.json") if run and path.parent.name.startswith(run)]
    return found[0] if len(found) == 1 else workspace.run_folder(Runbook(workspace).resolve(run).run_id)


def _queued(page: ReviewPage, file: RegionFile, picture: Path | None, source: Path) -> Queued:
    from index.review.regions import source_name

    assert page.item.page is not None, "pages only"
    return Queued(
        run=page.run.info.run_id,
        document=page.item.group,
        name=source_name(page.item),
        page=page.item.page,
        region=file.id,
        number=file.number,
        label=file.label,
        score=file.score,
        box_px=file.bbox_px,
        page_px=file.page_size_px,
        words=file.text[:WORDS],
        tags=tuple(page.run.tags.get(file.id, ())),
        flags=tuple(file.mask_flags),
        picture=picture,
        source=source,
    )


def decision_of(desk: Desk, one: Queued) -> Decision:
    """What holds for a region, as an entry of a patch."""
    from index.review.patch import Decision, Was

    status = desk.status(one.key)
    corrected = status == "corrected"
    return Decision(
        run=one.run,
        document=one.document,
        page=one.page,
        region=one.region,
        status=status,
        label=desk.label(one) if corrected else one.label,
        bbox_px=desk.box(one) if corrected else one.box_px,
        was=Was(label=one.label, bbox_px=one.box_px),
    )


def patch_of(opened: Opened) -> bytes:
    """Every decision that was made here and is not in the workspace yet, as a patch of the review page.

    The same decisions give the same bytes, so that applying them twice changes nothing.

    Raises:
        NothingDecided: there is none.
    """
    from index.review.patch import patch_bytes

    decisions = [decision_of(opened.desk, one) for one in opened.desk.changed()]
    if not decisions:
        raise NothingDecided(f"Nothing was decided about run {opened.run_id} that the index does not have already.")
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(opened.decided_at))
    return patch_bytes(decisions, made)


def take_decisions(
    session: Session, run: str, upto: int | None = None, report: Report = silent
) -> tuple[Application, dict[str, Any] | None]:
    """Apply what was decided in the console, as `spotter review apply` applies a patch of the review page.

    Raises:
        NothingDecided: there is nothing new.
        BadPatch: the decisions do not fit the runs here; nothing was changed.
        IngestFailed: they are kept, but the index was not changed yet; the next ingest does it.
    """
    from console.operations.review import apply_review
    from pipeline.core.files import write_atomic

    opened = open_desk(session.workspace, run, upto)
    path = log_path(session.workspace, opened.run_id).with_suffix(".patch.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, patch_of(opened))
    return apply_review(session, path, report)


@dataclass(frozen=True)
class Saved:
    """The files of an export."""

    patch: Path | None
    """None: nothing was decided that the workspace does not have already."""
    coco: Path
    decisions: int


def save_decisions(workspace: Workspace, run: str, out: Path | None = None, upto: int | None = None) -> Saved:
    """Write the decisions as a patch and all regions as COCO; by default in `out/review/`.

    Raises:
        WrongInput: the folder cannot be written.
    """
    from index.review.coco import coco_chunks
    from pipeline.core.files import write_atomic, write_chunks_atomic

    opened = open_desk(workspace, run, upto)
    folder = out or workspace.runs.parent / "review"
    changed = opened.desk.changed()

    def decided(page: ReviewPage, region: ReviewRegion) -> Decision | None:
        one = opened.desk.region((page.item.group, page.item.page or 0, region.file.id))
        if one is None or opened.desk.status(one.key) == "open":
            return None
        return decision_of(opened.desk, one)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        coco = folder / f"{opened.run_id}.coco.json"
        write_chunks_atomic(coco, coco_chunks(list(opened.pages.values()), decided, opened.labels, folder))
        patch = folder / f"{opened.run_id}.patch.json" if changed else None
        if patch is not None:
            write_atomic(patch, patch_of(opened))
    except OSError as error:
        raise WrongInput(f"{folder} cannot be written ({error.strerror}): name another --out.") from error
    return Saved(patch, coco, len(changed))


def listed(opened: Opened, wanted: str) -> Sequence[Queued]:
    """The regions that a filter wants.

    Raises:
        WrongInput: it cannot be understood.
    """
    from console.models.filter import FilterError
    from console.models.review_queue import wanted as filter_of

    try:
        return filter_of(wanted, opened.desk).kept(opened.desk.queue)
    except FilterError as error:
        raise WrongInput(str(error)) from error


def decide(
    workspace: Workspace,
    run: str,
    region: str,
    status: str,
    label: str | None,
    box: tuple[float, float, float, float] | None,
    at: float,
) -> tuple[Opened, Queued]:
    """Decide about one region and keep it, as a key of the console does.

    Args:
        workspace: where the run lies.
        run: its id or the beginning of it.
        region: its id or the beginning of it.
        status: accepted, rejected or open; empty: as label and box say.
        label: what it is to be called; None: as it is.
        box: x, y, width, height in page pixels; None: as it is.
        at: Unix seconds.

    Raises:
        WrongInput: no region or several are meant, or label or box cannot be.
        ReviewHeld: a console reviews this run now.
    """
    with _writing(workspace, run) as (opened, log):
        desk = opened.desk
        found = [one for one in desk.queue if one.region.startswith(region)]
        if len(found) != 1:
            raise WrongInput(
                f"{len(found)} regions of run {opened.run_id} begin with {region!r}: spotter review queue."
            )
        one = found[0]
        if status == "rejected":
            step = desk.rejected(one)
        elif status == "open":
            step = desk.reopened(one)
        else:
            step = desk.corrected(one, _label(opened, label or desk.label(one)), _box(one, box or desk.box(one)))
        if step is not None:
            log.put(step, at)
        return opened, one


def take_back(workspace: Workspace, run: str, at: float) -> tuple[Opened, Queued]:
    """Take the last decision about a run's regions back; returns the region that it was about.

    Raises:
        NothingDecided: there is none.
        ReviewHeld: a console reviews this run now.
    """
    with _writing(workspace, run) as (opened, log):
        step = opened.desk.undo()
        one = opened.desk.region(step.key) if step is not None else None
        if step is not None:
            log.put_undo(at)
        if one is None:
            raise NothingDecided(f"There is no decision about run {opened.run_id} to take back.")
        return opened, one


@contextmanager
def _writing(workspace: Workspace, run: str) -> Iterator[tuple[Opened, DecisionLog]]:
    """Hold a run's file of decisions while it is read and added to."""
    failures: list[str] = []
    run_id = find_run(workspace, run)
    log = DecisionLog(log_path(workspace, run_id), failures.append)
    try:
        yield open_desk(workspace, run_id), log
    finally:
        log.close()
    if failures:
        raise WrongInput(failures[0])


def _label(opened: Opened, label: str) -> str:
    if label not in opened.labels:
        raise WrongInput(f"There is no class {label!r}; there are {', '.join(opened.labels)}.")
    return label


def _box(one: Queued, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    across, down = one.page_px
    if box == one.box_px or (min(x, y) >= 0 and min(width, height) > 0 and x + width <= across and y + height <= down):
        return box
    raise WrongInput(f"The box {box} is not inside its page of {across}×{down} px.")
