"""Elements of documents as Unstructured's partitioners tell them: `*.pdf.json`, `*.png.json` and the like.

Such a file is a JSON list of objects with `type`, `text` and `metadata` (`filename`, `page_number`, `coordinates`).
It is attached to the document that it was made from; `elements.json` beside a page holds the page's share of it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import orjson

from pipeline.docparse.words import Box

JSON = "application/json"
ELEMENTS_FILE = "elements.json"

ElementType = Literal["Title", "NarrativeText", "ListItem", "Header", "Footer", "Table", "Image"]
_TYPES: Mapping[str, ElementType] = {
    "Title": "Title", "NarrativeText": "NarrativeText", "ListItem": "ListItem", "Header": "Header",
    "Footer": "Footer", "PageNumber": "Footer", "Table": "Table", "TableChunk": "Table", "Image": "Image",
    "Picture": "Image", "Figure": "Image",
}  # fmt: skip
"""Its type → ours; text of any other type (`UncategorizedText`, `FigureCaption`, `Address` …) is NarrativeText."""
_METADATA = ("filename", "page_number", "coordinates", "text_as_html")
_WHERE = frozenset({"filename", "page_number"})
_NO_TEXT = frozenset({"PageBreak"})

SAME_SHAPE = 0.03
"""The layout that coordinates were told in may differ from the page in width over height by so much."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element on a page."""

    type: ElementType
    text: str
    box: Box | None
    """In page pixels; None where the file tells no coordinates, or tells them of a page of another shape."""
    id: str
    """Its `element_id`, or its place in the file."""
    category: str
    """Its type in the file's own words."""
    html: str | None = None
    """A table's cells, where the partitioner found them."""


@dataclass(frozen=True, slots=True)
class PageElements:
    """`elements.json`: what a file says of one page."""

    elements: Sequence[Element]
    notes: Mapping[str, float] = field(default_factory=dict)
    """Counts worth telling: `elements`, `elements_without_box`, `elements_of_another_shape`."""

    def to_json(self, source: str) -> bytes:
        """The file's bytes; `source` is the path of the partitioner's file."""
        entries = [
            {
                "type": each.type, "text": each.text, "id": each.id, "category": each.category,
                "bbox_px": None if each.box is None else [
                    round(each.box[0], 1), round(each.box[1], 1), round(each.box[2] - each.box[0], 1),
                    round(each.box[3] - each.box[1], 1),
                ],
                **({} if each.html is None else {"html": each.html}),
            }
            for each in self.elements
        ]  # fmt: skip
        return orjson.dumps({"source": source, "elements": entries}, option=orjson.OPT_INDENT_2) + b"\n"


def read_elements(run_dir: Path, folder: str) -> list[Element] | None:
    """The elements of a page; None where no file of elements is attached to its document."""
    file = run_dir / folder / ELEMENTS_FILE
    if not file.exists():
        return None
    found = []
    for entry in orjson.loads(file.read_bytes())["elements"]:
        box = None
        if entry["bbox_px"] is not None:
            x, y, width, height = entry["bbox_px"]
            box = (x, y, x + width, y + height)
        found.append(
            Element(entry["type"], entry["text"], box, entry["id"], entry["category"], entry.get("html"))
        )  # fmt: skip
    return found


def same_name(name: str) -> str:
    """A file name as it is compared: the last part, composed, case-blind; macOS takes letters apart."""
    return unicodedata.normalize("NFC", PurePosixPath(name.replace("\\", "/")).name).casefold()


@dataclass(frozen=True)
class Partition:
    """A whole file of elements; gone through once, however many documents and pages it tells of."""

    entries: Sequence[Mapping[str, Any]]

    @cached_property
    def filenames(self) -> Mapping[str, str]:
        """Names of the documents that it tells of, comparable → as written."""
        return {same_name(name): name for entry in self.entries if (name := _metadata(entry).get("filename"))}

    def outline(self) -> Partition:
        """The same without texts and coordinates: what planning thousands of files can keep in memory."""
        return Partition(
            [
                {
                    "type": entry["type"],
                    "text": "",
                    "metadata": {k: v for k, v in entry["metadata"].items() if k in _WHERE},
                }
                for entry in self.entries
            ]
        )

    def of(self, filename: str, page: int | None) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """(place, entry) of what it says of a page of a document, or of no page; see `pages`."""
        return self._places.get(self._called(filename), {}).get(page, ())

    def pages(self, filename: str) -> Counter[int | None]:
        """Page → how many elements it has of a document; None counts those that name no page.

        A file that names one document, or none, is all of it.
        """
        of_document = self._places.get(self._called(filename), {})
        return Counter({page: len(entries) for page, entries in of_document.items()})

    @cached_property
    def _places(self) -> Mapping[str, Mapping[int | None, Sequence[tuple[int, Mapping[str, Any]]]]]:
        places: dict[str, dict[int | None, list[tuple[int, Mapping[str, Any]]]]] = {}
        for place, entry in enumerate(self.entries):
            of_document = places.setdefault(self._called(str(_metadata(entry).get("filename") or "")), {})
            of_document.setdefault(_page(entry), []).append((place, entry))
        return places

    def _called(self, filename: str) -> str:
        return same_name(filename) if len(self.filenames) > 1 else ""


def parse_partition(data: bytes) -> Partition | None:
    """The elements in a JSON file's bytes, without pictures and the like; None when it holds anything else."""
    try:
        entries = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return None
    if not isinstance(entries, list):
        return None
    kept = []
    for entry in entries:
        if not (isinstance(entry, dict) and isinstance(entry.get("type"), str) and isinstance(entry.get("text"), str)):
            return None
        metadata = entry.get("metadata") or {}
        if not isinstance(metadata, dict):
            return None
        slim = {key: metadata[key] for key in _METADATA if key in metadata}
        kept.append({key: entry[key] for key in ("type", "text", "element_id") if key in entry} | {"metadata": slim})
    return Partition(kept)


@lru_cache(maxsize=1)
def _partition(path: Path, mtime_ns: int) -> Partition:
    found = parse_partition(path.read_bytes())
    assert found is not None, "planning read the same bytes"
    return found


def page_elements(path: Path, filename: str, page: int, pages: int, size_px: tuple[int, int]) -> PageElements:
    """What the file at `path` says of one page (1-based, of `pages`) of the document called `filename`.

    An element that names no page is taken for the first page of a document that has no other.
    """
    found: list[Element] = []
    notes: Counter[str] = Counter()
    partition = _partition(path, path.stat().st_mtime_ns)
    told = [*partition.of(filename, page), *(partition.of(filename, None) if pages == page == 1 else ())]
    for place, entry in sorted(told, key=lambda one: one[0]):
        if entry["type"] in _NO_TEXT:
            continue
        text = " ".join(entry["text"].split())
        if not text:
            notes["elements_without_text"] += 1
            continue
        metadata = _metadata(entry)
        box, fits = _box(metadata.get("coordinates"), size_px)
        notes["elements"] += 1
        notes["elements_without_box"] += box is None and fits
        notes["elements_of_another_shape"] += not fits
        kind = _TYPES.get(entry["type"], "NarrativeText")
        html = metadata.get("text_as_html") if kind == "Table" else None
        found.append(Element(kind, text, box, str(entry.get("element_id") or place), entry["type"], html))
    return PageElements(found, {name: float(count) for name, count in sorted(notes.items())})


def _metadata(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata: Mapping[str, Any] = entry.get("metadata") or {}
    return metadata


def _page(entry: Mapping[str, Any]) -> int | None:
    page = _metadata(entry).get("page_number")
    return page if isinstance(page, int) and page > 0 else None


def _box(told: Any, size_px: tuple[int, int]) -> tuple[Box | None, bool]:
    """(box in page pixels, whether its layout has the page's shape).

    `PixelSpace` counts down from the top; `PointSpace` and the relative one count up from the bottom.
    """
    if not isinstance(told, dict):
        return None, True
    relative = told.get("system") == "RelativeCoordinateSystem"
    try:
        wide, high = (1.0, 1.0) if relative else (float(told["layout_width"]), float(told["layout_height"]))
        xs = [float(point[0]) / wide for point in told["points"]]
        ys = [float(point[1]) / high for point in told["points"]]
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return None, True
    width, height = size_px
    if not relative and abs(wide / high - width / height) > SAME_SHAPE * width / height:
        return None, False
    if told.get("system") != "PixelSpace":
        ys = [1 - y for y in ys]
    left, right = max(0.0, min(xs)) * width, min(1.0, max(xs)) * width
    top, bottom = max(0.0, min(ys)) * height, min(1.0, max(ys)) * height
    return ((left, top, right, bottom) if right > left and bottom > top else None), True
