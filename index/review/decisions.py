"""Taking up a patch, and taking it back: files in `reviews/` of the workspace, which every ingest reads.

A patch is checked against the runs here before it is kept. What was taken back lies in `reviews/undone/`, and can be
applied again.
"""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from index.review.corrections import FOLDER, Applied, applied
from index.review.patch import BadPatch, Decision, PatchFile, read_patch
from index.review.regions import ReviewPage, ReviewRegion, ReviewRun
from pipeline.core.files import write_atomic
from pipeline.core.manifest import read_manifest
from pipeline.core.rundir import RunFolder

UNDONE = "undone"
SHOWN = 3
"""How many wrong entries one sentence lists."""
TOLERANCE_PX = 0.1
"""Files round to it."""


class NothingApplied(BadPatch):
    """There is no applied review of this name."""


@dataclass(frozen=True)
class Application:
    """What was applied or taken back."""

    name: str
    """Of the file in `reviews/`."""
    already: bool
    """Whether it was in use before, so that nothing changed."""
    accepted: int
    rejected: int
    corrected: int
    reopened: int
    runs: tuple[Path, ...]
    """Run folders to ingest again, for the index to change."""

    @property
    def regions(self) -> int:
        """How many regions it names."""
        return self.accepted + self.rejected + self.corrected + self.reopened


def apply_patch(path: Path, workspace: Path, runs: Path, labels: Sequence[str]) -> Application:
    """Keep a patch as the newest decision on the regions that it names; other decisions stay.

    Args:
        path: the file that the review page saved.
        workspace: where it is kept.
        runs: the folder of run folders.
        labels: what a region may be called.

    Raises:
        BadPatch: it is no patch, decides on nothing, names regions that no run here has, or labels and boxes that
            cannot be; nothing was kept.
    """
    file = read_patch(path)
    if not file.patch.regions:
        raise BadPatch(f"{path} decides on nothing.")
    folders = _folders(runs)
    _check(path, file, folders, labels)
    with _held(workspace):
        before = applied(workspace)
        name = f"{before[-1].number + 1 if before else 1:04d}-{file.digest}.json"
        already = bool(before) and before[-1].digest == file.digest
        if already:
            name = before[-1].path.name
        else:
            write_atomic(workspace / FOLDER / name, file.data)
    return _application(name, file, folders, already=already)


def undo_patch(name: str | None, workspace: Path, runs: Path) -> Application:
    """Take back an applied patch, by the name of its file or the beginning of it; the newest without a name.

    Raises:
        NothingApplied: there is none of this name.
    """
    with _held(workspace):
        chosen = _chosen(name, applied(workspace))
        file = read_patch(chosen.path)
        undone = chosen.path.parent / UNDONE
        undone.mkdir(exist_ok=True)
        chosen.path.replace(undone / chosen.path.name)
    return _application(chosen.path.name, file, _folders(runs), already=False)


def list_patches(workspace: Path) -> list[tuple[Applied, PatchFile]]:
    """The patches in use, in the order in which they were applied. Raises BadPatch."""
    return [(each, read_patch(each.path)) for each in applied(workspace)]


def _chosen(name: str | None, there: Sequence[Applied]) -> Applied:
    if not there:
        raise NothingApplied("No review is applied in this workspace: spotter review apply PATCH.")
    if name is None:
        return there[-1]
    found = [each for each in there if each.path.name.startswith(name)]
    if len(found) != 1:
        raise NothingApplied(f"{len(found)} applied reviews are called {name!r}: see spotter review list.")
    return found[0]


@contextmanager
def _held(workspace: Path) -> Iterator[None]:
    """One process numbers files at a time."""
    folder = workspace / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _folders(runs: Path) -> list[ReviewRun]:
    """Every run here, without the tags of its records."""
    return [
        ReviewRun(path.parent, RunFolder(path.parent).read_info())
        for path in sorted(runs.glob("*/run.json"))
        if (path.parent / "manifest.jsonl").is_file()
    ]


def _application(name: str, file: PatchFile, folders: Sequence[ReviewRun], *, already: bool) -> Application:
    counts = Counter(decision.status for decision in file.patch.regions)
    documents = {decision.document for decision in file.patch.regions}
    again = tuple(
        run.folder
        for run in folders
        if documents & run.info.groups.keys() and any(run.folder.glob("records/*.ndjson*"))
    )
    return Application(
        name, already, counts["accepted"], counts["rejected"], counts["corrected"], counts["open"], again
    )


def _check(path: Path, file: PatchFile, folders: Sequence[ReviewRun], labels: Sequence[str]) -> None:
    wanted: dict[tuple[str, int], list[Decision]] = {}
    for decision in file.patch.regions:
        wanted.setdefault((decision.document, decision.page), []).append(decision)
    known = _regions(set(wanted), folders)
    wrong: list[str] = []
    for place, decisions in wanted.items():
        for decision in decisions:
            problem = _problem(decision, known.get(place, {}).get(decision.region), labels)
            if problem is not None:
                wrong.append(f"region {decision.region} of {decision.document}, page {decision.page}, {problem}")
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise BadPatch(
            f"{path} does not fit the runs here, so nothing was applied: {'; '.join(wrong[:SHOWN])}{more}. "
            "Make the review page anew (spotter review), and decide there."
        )


def _regions(
    places: set[tuple[str, int]], folders: Sequence[ReviewRun]
) -> Mapping[tuple[str, int], Mapping[str, ReviewRegion]]:
    """The regions of some pages, of every run that has them, by id."""
    documents = {document for document, _page in places}
    found: dict[tuple[str, int], dict[str, ReviewRegion]] = {}
    for run in folders:
        if not documents & run.info.groups.keys():
            continue
        for item in read_manifest(run.folder / "manifest.jsonl"):
            place = item.group, item.page or 0
            if place in places:
                regions, _lost = ReviewPage(run, item, None).regions()
                found.setdefault(place, {}).update({region.file.id: region for region in regions})
    return found


def _problem(decision: Decision, region: ReviewRegion | None, labels: Sequence[str]) -> str | None:
    """Why a decision cannot be taken, or None."""
    if region is None:
        return "is in no run here"
    file = region.file
    if (decision.was.label, decision.was.bbox_px) != (file.label, file.bbox_px):
        return "is not as the run has it"
    if decision.label not in {*labels, file.label}:
        return f"has the label {decision.label[:40]!r}, which means nothing here"
    x, y, width, height = decision.bbox_px
    across, down = file.page_size_px
    if decision.moved and (
        min(x, y) < -TOLERANCE_PX or x + width > across + TOLERANCE_PX or y + height > down + TOLERANCE_PX
    ):
        return "has a box that leaves its page"
    return None
