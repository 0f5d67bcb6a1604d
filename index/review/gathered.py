"""The head of a review page: what its list, its filters and an export need of every region, gathered page by page."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from index.review.corrections import Corrections
from index.review.pictures import size_px
from index.review.regions import ReviewPage, ReviewRegion, source_name

PAGES_A_PIECE = 20
"""A piece is read at once: some hundred regions with all that was said of them."""
WORDS_CHARS = 90
"""How much of a caption the list shows."""


@dataclass(frozen=True)
class Look:
    """What the page knows about labels; `index` knows none by itself."""

    labels: Sequence[str]
    """What a region may be called, in the order of COCO's categories."""
    colours: Mapping[str, str]
    """Label → #rrggbb."""


class Gathered:
    """What the page knows at once, as it grows page by page."""

    def __init__(
        self,
        pages: Sequence[ReviewPage],
        workspace: Path,
        target: Path,
        look: Look,
        corrections: Corrections,
        tags: Mapping[str, Sequence[str]],
        *,
        folder: bool,
    ) -> None:
        self.pages: list[dict[str, Any]] = []
        self.documents: list[dict[str, Any]] = []
        self.regions: dict[str, list[Any]] = {
            name: [] for name in ("id", "label", "score", "box", "words", "tags", "flags")
        }
        self.decided: list[tuple[int, dict[str, Any]]] = []
        self.pictures: list[tuple[str, Path]] = []
        self._workspace = workspace
        self._beside = target.parent
        self._look = look
        self._corrections = corrections
        self._indexed = tags
        self._folder = folder
        self._labels = _Numbers(look.labels)
        self._tags = _Numbers()
        self._flags = _Numbers()
        self._runs = _Numbers()
        self._document_of: dict[str, int] = {}

    def take(self, page: ReviewPage) -> list[dict[str, Any]]:
        """Note a page; returns its regions as a piece holds them."""
        regions, lost = page.regions()
        document = self._document(page)
        width, height, image, trouble = self._picture(page, regions)
        first = len(self.regions["id"])
        for region in regions:
            self._note(page, region, width, height)
        problems = [each for each in (page.problem, trouble, *lost) if each]
        self.pages.append(
            {
                "d": document, "n": page.item.page, "run": self._runs.of(page.run.info.run_id), "w": width, "h": height,
                "image": image, "file": f"{page.item.folder}/page.png", "first": first, "count": len(regions),
                "piece": len(self.pages) // PAGES_A_PIECE, "at": len(self.pages) % PAGES_A_PIECE,
                "failed": page.problem is not None,
                "problem": "; ".join(problems) or None,
            }
        )  # fmt: skip
        return [_told(region) for region in regions]

    def _document(self, page: ReviewPage) -> int:
        group = page.item.group
        if group not in self._document_of:
            self._document_of[group] = len(self.documents)
            source = page.item.source.path
            self.documents.append(
                {"id": group, "source": source, "name": source_name(page.item), "href": self._link(source)}
            )
        return self._document_of[group]

    def _link(self, source: str) -> str | None:
        """A relative URL of a source, so that a workspace can be moved; no link leads out of the workspace."""
        path = Path(os.path.normpath(self._workspace / source))
        if not path.is_relative_to(self._workspace) or not path.is_file():
            return None
        return _url(os.path.relpath(path, self._beside))

    def _picture(self, page: ReviewPage, regions: Sequence[ReviewRegion]) -> tuple[int, int, str | None, str | None]:
        """(width, height, its name in the page, what is wrong with it)."""
        path, trouble = page.picture, None
        sizes = [region.file.page_size_px for region in regions[:1]]
        if path is not None:
            try:
                sizes.append(size_px(path))
            except OSError as error:
                path, trouble = None, f"page.png cannot be read: {error}"
        if path is None:
            return (*(sizes[0] if sizes else (0, 0)), None, trouble)
        number = len(self.pages)
        name = f"pages/{number}.png" if self._folder else f"image-{number}"
        self.pictures.append((name, path))
        return (*sizes[0], name, None)

    def _note(self, page: ReviewPage, region: ReviewRegion, width: int, height: int) -> None:
        file, columns = region.file, self.regions
        index = len(columns["id"])
        columns["id"].append(file.id)
        columns["label"].append(self._labels.of(file.label))
        columns["score"].append(file.score)
        columns["box"].append(file.bbox_px)
        columns["words"].append(" ".join((region.caption or file.text)[: 4 * WORDS_CHARS].split())[:WORDS_CHARS])
        columns["tags"].append(
            [self._tags.of(tag) for tag in dict.fromkeys((*region.tags, *self._indexed.get(file.id, ())))]
        )
        columns["flags"].append([self._flags.of(flag) for flag in region.flags])
        decision = self._corrections.by_region.get((page.item.group, page.item.page or 0, file.id))
        if decision is not None:
            said: dict[str, Any] = {"s": decision.status}
            if decision.relabelled:
                self._labels.of(decision.label)
                said["l"] = decision.label
            if decision.moved:
                said["b"] = decision.bbox_px
            self.decided.append((index, said))

    def leave_out(self, wrong: Mapping[str, str]) -> None:
        """Show pages without their pictures, by the pictures' names, and say why."""
        for page in self.pages:
            if page["image"] in wrong:
                reason = f"page.png cannot be read: {wrong[page['image']]}"
                page["problem"] = "; ".join(filter(None, (page["problem"], reason)))
                page["image"] = None

    def head(self) -> dict[str, Any]:
        """The head: everything that the list, the filters and an export need of pages that were not looked at."""
        runs = self._runs.names
        return {
            "version": 1, "folder": self._folder, "place": _mark(self._workspace), "runs": runs,
            "title": f"{len(self.documents)} documents" if len(self.documents) != 1 else self.documents[0]["name"],
            "labels": self._labels.names, "colours": dict(self._look.colours), "tags": self._tags.names,
            "flags": self._flags.names, "documents": self.documents, "pages": self.pages, "regions": self.regions,
            "decided": self.decided, "pieces": -(-len(self.pages) // PAGES_A_PIECE),
        }  # fmt: skip


class _Numbers:
    """Names, each with its number in the order in which they came."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._numbers = {name: number for number, name in enumerate(names)}

    def of(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    @property
    def names(self) -> list[str]:
        return list(self._numbers)


def _told(region: ReviewRegion) -> dict[str, Any]:
    """A region as a piece holds it; what the head holds is not said again."""
    file = region.file
    struct = region.struct
    return {
        "id": file.id, "number": file.number, "caption": region.caption, "struct": struct,
        "facts": [{"text": str(fact.get("text", ""))} for fact in region.facts], "text": file.text, "own": region.own,
        "mask": None if file.segmentation is None else file.segmentation.model_dump(),
        "detector": file.detector.name, "crop": file.crop, "problems": region.problems,
        "segmenter": None if file.segmenter is None else file.segmenter.name,
        "segmenter_version": None if file.segmenter is None else file.segmenter.version,
        "analyst": struct.get("analyst") if isinstance(struct, dict) else None,
    }  # fmt: skip


def _mark(workspace: Path) -> str:
    """Tells this workspace's decisions in a browser from another's."""
    return hashlib.sha256(os.fsencode(workspace)).hexdigest()[:8]


def _url(path: str) -> str:
    """A relative path as a URL that cannot be taken for one with a scheme."""
    return quote(path if path.startswith("..") else f"./{path}")
