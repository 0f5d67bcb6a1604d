"""How far each document of a run is and what was found in it: a document with nothing in it must be seen at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from console.words import visible

DESCRIBED = "regions"
"""The stage after which a page's regions are final and lie in a file."""
REGIONS_FILE = "regions.jsonl"
PAGES_A_LOOK = 400
"""A long run is counted over several looks, so that none takes long."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """One document of a run."""

    source: str
    pages: int
    described: int
    """Pages that came through to their regions."""
    failed: int
    counted: int
    """Described pages whose regions lie on this machine and were counted."""
    regions: int
    """Found on the counted pages."""

    @property
    def empty(self) -> bool:
        """Whether all of it was looked at and nothing was found."""
        return self.regions == 0 and self.counted > 0 and self.counted == self.pages

    @property
    def problem(self) -> bool:
        """Whether it wants an eye."""
        return self.empty or self.failed > 0


@dataclass(slots=True)
class _Document:
    source: str
    pages: int = 0
    described: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    counted: int = 0
    regions: int = 0


class CoverageReader:
    """Counts a run's documents from its manifest, its events and its pages' files. Not thread-safe."""

    def __init__(self, run_folder: Path) -> None:
        self._folder = run_folder
        self._documents: dict[str, _Document] = {}
        self._pages: dict[str, tuple[str, Path]] = {}
        self._open: dict[str, None] = {}
        """Described items whose regions are not counted yet, in their order."""
        self._looked_at_all = False

    def fold(self, event: dict[str, Any]) -> None:
        """Take in one event of the run."""
        match event:
            case {"type": "item", "item": str(item), "status": "failed", "group": str(group)}:
                self._document(group).failed.add(item)
            case {"type": "item", "item": str(item), "status": "ok", "stage": str(stage), "group": str(group)}:
                document = self._document(group)
                document.failed.discard(item)
                if stage == DESCRIBED:
                    self._describe(document, item)

    def _document(self, group: str) -> _Document:
        return self._documents.setdefault(group, _Document(group))

    def _describe(self, document: _Document, item: str) -> None:
        if item not in document.described:
            document.described.add(item)
            self._open[item] = None

    def look(self, *, ended: bool) -> tuple[Coverage, ...]:
        """The documents in the manifest's order; `ended` lets it look for pages that another run had done before."""
        self._read_manifest()
        if ended and not self._looked_at_all:
            self._looked_at_all = True
            for item, (group, folder) in self._pages.items():
                if (folder / REGIONS_FILE).exists():
                    self._describe(self._document(group), item)
        for item in list(self._open)[:PAGES_A_LOOK]:
            self._count(item)
        return tuple(
            Coverage(each.source, each.pages, len(each.described), len(each.failed), each.counted, each.regions)
            for each in self._documents.values()
            if each.pages
        )

    def _read_manifest(self) -> None:
        """It never changes, so it is read once, when it is there."""
        manifest = self._folder / "manifest.jsonl"
        if self._pages or not manifest.exists():
            return
        known, self._documents = self._documents, {}
        for line in manifest.read_bytes().splitlines():
            item = orjson.loads(line)
            group, page = str(item["group"]), item.get("page")
            document = self._documents.get(group)
            if document is None:
                document = self._documents[group] = known.get(group) or _Document(group)
                document.source = visible(str(item["source"]["path"]))
            document.pages += 1
            name = f"p{page:04d}" if isinstance(page, int) else str(item["item_id"])
            self._pages[str(item["item_id"])] = (group, self._folder / "artifacts" / group / name)

    def _count(self, item: str) -> None:
        place = self._pages.get(item)
        if place is None:
            return
        group, folder = place
        try:
            data = (folder / REGIONS_FILE).read_bytes()
        except FileNotFoundError:
            self._open[item] = self._open.pop(item)  # still on its box: others first
            return
        del self._open[item]
        document = self._documents[group]
        document.counted += 1
        document.regions += sum(1 for line in data.splitlines() if line.strip())
