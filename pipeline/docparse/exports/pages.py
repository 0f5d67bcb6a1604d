"""The pages of a run with their regions, one at a time, as every export reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from pipeline.core.errors import UsageError
from pipeline.core.manifest import Item, read_manifest
from pipeline.core.rundir import RunFolder, RunInfo
from pipeline.docparse.page_files import REGIONS, read_regions
from pipeline.docparse.regions import Region

ENDED = frozenset({"succeeded", "incomplete", "failed", "cancelled", "interrupted"})


@dataclass(frozen=True, slots=True)
class PageRegions:
    """One page and what was found on it."""

    item: Item
    width: int
    height: int
    """Pixels."""
    dpi: int | None
    """None for an image, whose pixels say nothing about its size on paper."""
    regions: Sequence[Region]

    @property
    def page(self) -> int:
        """1-based."""
        assert self.item.page is not None, "documents that cannot be opened have no regions"
        return self.item.page

    @property
    def image(self) -> str:
        """Path of the page's picture, relative to the run folder."""
        return f"{self.item.folder}/page.png"


def open_run(run_dir: Path) -> RunInfo:
    """The run in a folder, if its regions can be exported.

    Raises:
        UsageError: there is none, it is another pipeline's, or it has not ended.
    """
    info = RunFolder(run_dir).read_info()
    if info.pipeline != "docparse":
        raise UsageError(f"run {info.run_id} is of {info.pipeline}, which finds no regions: name a docparse run")
    if info.state not in ENDED:
        raise UsageError(
            f"run {info.run_id} is {info.state}, so its regions are not complete: let it end "
            f"(spotter watch {info.run_id}), or go on with it where nobody does (spotter run --resume {info.run_id})"
        )
    return info


def run_pages(run_dir: Path) -> Iterator[PageRegions]:
    """Every page of a run that has been described, in the manifest's order; pages are read when they are asked for."""
    for item in read_manifest(run_dir / "manifest.jsonl"):
        if item.page is not None and (run_dir / item.folder / REGIONS).is_file():
            yield described(run_dir, item)


def described(run_dir: Path, item: Item) -> PageRegions:
    """One page that has been described."""
    words = orjson.loads((run_dir / item.folder / "words.json").read_bytes())
    return PageRegions(item, words["width"], words["height"], words["dpi"], read_regions(run_dir, item.folder))
