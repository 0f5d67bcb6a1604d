"""What was found in each document, for the report: a document in which nothing was found must be seen at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from pipeline.core.manifest import Item
from pipeline.core.report import ReportTable
from pipeline.docparse.labels import LABELS
from pipeline.docparse.page_files import REGIONS

if TYPE_CHECKING:
    from pipeline.core.outcome import Outcomes

DESCRIBED = "regions"
"""The stage after which a page's regions are final."""


@dataclass(frozen=True, slots=True)
class DocumentRegions:
    """One document: its pages that came through, and what is on them."""

    source: str
    pages: int
    described: int
    """Pages whose regions are known."""
    with_regions: int
    """Described pages on which something was found."""
    masks: int
    labels: Mapping[str, int]
    """Label → regions; every label is there."""

    @property
    def regions(self) -> int:
        """Of all labels."""
        return sum(self.labels.values())


def count_regions(run_dir: Path, items: Sequence[Item], described: Sequence[Item]) -> list[DocumentRegions]:
    """Every document of `items` with what the files of its `described` pages hold, in the manifest's order."""
    pages: Counter[str] = Counter(item.group for item in items if item.page is not None)
    sources = {item.group: item.source.path for item in items}
    through: Counter[str] = Counter()
    with_regions: Counter[str] = Counter()
    masks: Counter[str] = Counter()
    labels: dict[str, Counter[str]] = {group: Counter() for group in sources}
    for item in described:
        found = [orjson.loads(line) for line in (run_dir / item.folder / REGIONS).read_bytes().splitlines()]
        through[item.group] += 1
        with_regions[item.group] += bool(found)
        masks[item.group] += sum(region["segmentation"] is not None for region in found)
        labels[item.group].update(region["label"] for region in found)
    return [
        DocumentRegions(
            source, pages[group], through[group], with_regions[group], masks[group],
            {label: labels[group][label] for label in LABELS},
        )
        for group, source in sources.items()
    ]  # fmt: skip


def table(documents: Sequence[DocumentRegions]) -> ReportTable:
    """The documents as a table of the report, with what they hold together as its last row when there are several."""
    rows: list[tuple[str | int, ...]] = [
        (one.source, one.pages, one.described, one.with_regions, one.regions, one.masks, *one.labels.values())
        for one in documents
    ]
    if len(rows) > 1:
        sums = (sum(int(row[column]) for row in rows) for column in range(1, len(rows[0])))
        rows.append(("all documents", *sums))
    head = ("document", "pages", "described", "with regions", "regions", "masks", *LABELS)
    return ReportTable("Regions", head, tuple(rows))


def tables(run_dir: Path, outcomes: Outcomes) -> Sequence[ReportTable]:
    """What the report of a docparse run tells beside its stages."""
    described, _ = outcomes.split([DESCRIBED])
    return (table(count_regions(run_dir, list(outcomes.items.values()), described)),)
