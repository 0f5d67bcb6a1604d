"""Runs as a review looks at them: documents, pages and regions, read from run folders by their schema.

The folder is `manifest.jsonl`, `run.json`, `records/*.ndjson` and `artifacts/<document>/<page>/` with `page.png` and
`regions/region-0007.{json,caption.txt,struct.json,facts.jsonl}`. What cannot be read of one region is told beside it;
it hides no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from index.errors import IndexProblem
from index.interchange import read_lines
from index.review.patch import Bbox
from pipeline.core.manifest import Item, read_manifest
from pipeline.core.rundir import RunFolder, RunInfo

DESCRIBED = "regions.jsonl"
"""A page has it when detection went through, also when nothing was found."""
COCO_KEYS = (
    "number", "parent", "from_node", "to_node", "both_ways", "prompt", "alternatives", "column_rules_px",
    "row_rules_px", "mask_area_px", "mask_quality", "mask_stability", "mask_flags",
)  # fmt: skip
"""Fields of a region's file that go into COCO under their own names, where they say something."""
ENDED = frozenset({"succeeded", "incomplete", "failed", "cancelled", "interrupted"})


class NothingToReview(IndexProblem):
    """There is no run, or none whose regions could be looked at; the text says what to do."""


class _Mask(BaseModel):
    model_config = ConfigDict(extra="ignore")

    size: tuple[int, int]
    counts: str


class _By(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = ""
    version: str = ""


class _File(BaseModel):
    """`region-0007.json`, as far as a review needs it; other fields are passed over."""

    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, Field(min_length=1, max_length=1024)]
    number: int = 0
    label: Annotated[str, Field(min_length=1, max_length=1024)]
    score: Annotated[float, Field(ge=0, le=1)]
    bbox_px: Bbox
    page_size_px: tuple[int, int]
    text: str = ""
    detector: _By = _By()
    segmenter: _By | None = None
    crop: str | None = None
    segmentation: _Mask | None = None
    mask_flags: tuple[str, ...] = ()


RegionFile = _File


@dataclass(frozen=True)
class ReviewRegion:
    """One region with all that was said of it."""

    file: _File
    own: Mapping[str, Any]
    """The fields of COCO_KEYS that say something."""
    caption: str
    struct: Any
    facts: Sequence[Mapping[str, Any]]
    tags: Sequence[str]
    problems: Sequence[str]

    @property
    def flags(self) -> list[str]:
        """What makes its quality doubtful, in words to filter by."""
        found = [f"mask: {flag}" for flag in self.file.mask_flags]
        said = self.struct if isinstance(self.struct, dict) else {}
        if said.get("skipped"):
            found.append("not analysed")
        if said.get("seen_as") not in (None, self.file.label):
            found.append(f"seen as {said['seen_as']}")
        if said.get("words_not_shown"):
            found.append("analysed in part")
        if self.problems:
            found.append("damaged files")
        return found


@dataclass(frozen=True)
class ReviewPage:
    """One page, or a document that could not be opened (page None)."""

    run: ReviewRun
    item: Item
    problem: str | None

    @property
    def folder(self) -> Path:
        """Where its artifacts lie."""
        return self.run.folder / self.item.folder

    @property
    def picture(self) -> Path | None:
        """Its picture, where the run keeps it."""
        path = self.folder / "page.png"
        return path if path.is_file() else None

    def regions(self) -> tuple[list[ReviewRegion], list[str]]:
        """(its regions by number, what could not be read)."""
        found: list[ReviewRegion] = []
        lost: list[str] = []
        for path in sorted((self.folder / "regions").glob("region-*.json")):
            if path.name.removesuffix(".json").count("."):
                continue  # region-0007.struct.json
            try:
                found.append(_region(path, self.run.tags))
            except (OSError, ValueError) as error:
                lost.append(_why(path, error))
        return sorted(found, key=lambda region: region.file.number), lost

    def files(self) -> tuple[list[RegionFile], list[str]]:
        """(its regions by number without what was said of them, what could not be read).

        One file a page in place of several a region: a queue over thousands of pages is read in seconds.
        """
        try:
            lines = (self.folder / DESCRIBED).read_bytes().splitlines()
        except FileNotFoundError:
            regions, lost = self.regions()
            return [region.file for region in regions], lost
        except OSError as error:
            return [], [f"{DESCRIBED} cannot be read: {error.strerror}"]
        found: list[RegionFile] = []
        wrong: list[str] = []
        for number, line in enumerate(lines, start=1):
            try:
                found.append(_File.model_validate_json(line))
            except ValueError as error:
                wrong.append(f"{DESCRIBED}, line {number}: {_why(self.folder / DESCRIBED, error)}")
        return sorted(found, key=lambda file: file.number), wrong

    def region(self, number: int) -> ReviewRegion:
        """One region with all that was said of it.

        Raises:
            OSError: its file is not there.
            ValueError: it is damaged.
        """
        return _region(self.folder / "regions" / f"region-{number:04d}.json", self.run.tags)


@dataclass(frozen=True)
class ReviewRun:
    """One run."""

    folder: Path
    info: RunInfo
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Region id → tags of its records."""


def open_run(folder: Path) -> ReviewRun:
    """A run that has ended.

    Raises:
        NothingToReview: it goes on.
        pipeline.core.errors.UsageError: the folder holds no run.
    """
    info = RunFolder(folder).read_info()
    if info.state not in ENDED:
        raise NothingToReview(f"Run {info.run_id} is {info.state}: let it end (spotter watch {info.run_id}).")
    return ReviewRun(folder, info, _tags(folder))


def ended_runs(runs: Path) -> list[Path]:
    """The folders of every run that has ended, oldest first."""
    found = []
    for path in sorted(runs.glob("*/run.json")):
        info = RunFolder(path.parent).read_info()
        if info.state in ENDED and (path.parent / "manifest.jsonl").is_file():
            found.append((info.created_at, path.parent))
    return [folder for _created, folder in sorted(found)]


def pages_of(runs: Sequence[ReviewRun]) -> list[ReviewPage]:
    """Every page once, of the newest run that described it; in the order of documents and pages."""
    chosen: dict[tuple[str, int | None], ReviewPage] = {}
    for run in sorted(runs, key=lambda run: (run.info.created_at, run.info.run_id)):
        for item in read_manifest(run.folder / "manifest.jsonl"):
            if item.page is None and item.problem is None:
                continue  # no page: an item of another kind of pipeline
            page = _page(run, item)
            known = chosen.get((item.group, item.page))
            if known is None or page.problem is None or known.problem is not None:
                chosen[item.group, item.page] = page
    return sorted(chosen.values(), key=lambda page: (page.item.source.path, page.item.group, page.item.page or 0))


def _page(run: ReviewRun, item: Item) -> ReviewPage:
    if item.problem is not None:
        return ReviewPage(run, item, item.problem.message)
    folder = run.folder / item.folder
    described = (folder / DESCRIBED).is_file() or (folder / "regions").is_dir()
    return ReviewPage(run, item, None if described else "detection did not get to it, or failed; the run's report says")


def _region(path: Path, tags: Mapping[str, Sequence[str]]) -> ReviewRegion:
    problems: list[str] = []
    raw = _parsed(path.read_bytes(), path.name, problems)
    if raw is None:
        raise ValueError(problems[0] if problems else f"{path.name} is empty")
    file = _File.model_validate(raw)
    stem = path.name.removesuffix(".json")

    def beside(suffix: str) -> bytes:
        try:
            return (path.parent / f"{stem}.{suffix}").read_bytes()
        except FileNotFoundError:
            return b""

    caption = beside("caption.txt").decode("utf-8", "replace").removesuffix("\n")
    struct = _parsed(beside("struct.json"), f"{stem}.struct.json", problems)
    facts = [
        fact if isinstance(fact, dict) else {"text": str(fact)}
        for number, line in enumerate(beside("facts.jsonl").splitlines(), start=1)
        if (fact := _parsed(line, f"{stem}.facts.jsonl, line {number}", problems)) is not None
    ]
    own = {name: raw[name] for name in COCO_KEYS if raw.get(name) not in (None, False, {}, [])} | {
        "parent": raw.get("parent")
    }
    return ReviewRegion(file, own, caption, struct, facts, tags.get(file.id, ()), problems)


def _parsed(data: bytes, name: str, problems: list[str]) -> Any:
    if not data.strip():
        return None
    try:
        value = orjson.loads(data)
        orjson.dumps(value)
    except orjson.JSONDecodeError as error:
        problems.append(f"{name} is not JSON: {error}")
        return None
    except TypeError:  # what is nested deeper than orjson writes
        problems.append(f"{name} is nested too deeply to be shown")
        return None
    return value


def _why(path: Path, error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{path.name}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    return str(error) if isinstance(error, ValueError) else f"{path.name} cannot be read: {error}"


def _tags(folder: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for line in _records(folder):
        meta = line.record.meta
        if meta.region_id is not None:
            found.setdefault(meta.region_id, {}).update(dict.fromkeys(meta.tags))
    return {region: tuple(tags) for region, tags in found.items()}


def _records(folder: Path) -> Iterator[Any]:
    for path in sorted([*(folder / "records").glob("*.ndjson"), *(folder / "records").glob("*.ndjson.gz")]):
        yield from read_lines(path)


def source_name(item: Item) -> str:
    """A document's file name."""
    return PurePosixPath(item.source.path).name
