"""The documents of a run as DoclingDocument files, for the tools that chunk, render or search those.

Tables become tables with their cells, diagrams, canvases and legends pictures with their caption, nodes and textboxes
texts inside the picture that holds them. Arrows have no place of their own there: they are told in their picture's
`meta` under `spotter__arrows`; one outside of any picture is left out. Positions are points from the page's top left
corner; of an image, whose size on paper nobody knows, a pixel counts as a point.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from pipeline.docparse.exports.pages import PageRegions
from pipeline.docparse.regions import Region

SCHEMA_VERSION = "1.8.0"
"""The first one whose pictures and tables have `meta`; later readers bring a document up to their own."""
POINTS_PER_INCH = 72
PICTURES = frozenset({"diagram", "canvas", "legend"})


def documents(pages: Iterable[PageRegions], run_dir: Path) -> Iterator[tuple[str, bytes]]:
    """(document's name, its file) for every document of a run; only one document is held at a time."""
    for group, members in groupby(pages, key=lambda page: page.item.group):
        builder = _Document(group, run_dir)
        for page in members:
            builder.add(page)
        yield group, orjson.dumps(builder.told(), option=orjson.OPT_INDENT_2) + b"\n"


class _Document:
    def __init__(self, group: str, run_dir: Path) -> None:
        self._group = group
        self._run_dir = run_dir
        self._body: list[dict[str, str]] = []
        self._items: dict[str, list[dict[str, Any]]] = {"texts": [], "pictures": [], "tables": []}
        self._pages: dict[str, Any] = {}
        self._origin: dict[str, Any] = {}

    def add(self, page: PageRegions) -> None:
        """Put a page's regions behind those of the pages before it."""
        source = page.item.source
        self._origin = {
            "mimetype": source.media_type,
            "binary_hash": int(source.sha256[:16], 16),
            "filename": PurePosixPath(source.path).name,
        }
        scale = 1.0 if page.dpi is None else POINTS_PER_INCH / page.dpi
        self._pages[str(page.page)] = {
            "page_no": page.page,
            "size": {"width": page.width * scale, "height": page.height * scale},
        }
        kept: dict[str, dict[str, Any]] = {}
        for region in page.regions:
            if region.label == "arrow":
                continue
            holder = kept.get(region.parent) if region.parent is not None else None
            item = self._item(region, page, scale, holder)
            kept[region.id] = item
            (self._body if holder is None else holder["children"]).append({"$ref": item["self_ref"]})
        for region in page.regions:
            if region.label == "arrow" and region.parent in kept:
                self._tell_arrow(region, kept[region.parent], kept, scale)

    def _item(self, region: Region, page: PageRegions, scale: float, holder: dict[str, Any] | None) -> dict[str, Any]:
        kind = "tables" if region.label == "table" else "pictures" if region.label in PICTURES else "texts"
        items = self._items[kind]
        item: dict[str, Any] = {
            "self_ref": f"#/{kind}/{len(items)}",
            "parent": {"$ref": "#/body" if holder is None else holder["self_ref"]},
            "children": [],
            "content_layer": "body",
            "label": {"tables": "table", "pictures": "picture", "texts": "text"}[kind],
            "prov": [{"page_no": page.page, "bbox": _bbox(region, scale), "charspan": [0, len(region.text)]}],
        }
        told = {"spotter__region": region.id, "spotter__label": region.label, "spotter__score": region.score}
        if kind == "texts":
            item |= {"orig": region.text, "text": region.text, "meta": told}
        else:
            caption = _read(self._run_dir / page.item.folder / f"regions/region-{region.number:04d}.caption.txt")
            if caption:
                told |= {"description": {"text": caption.decode().strip(), "created_by": "spotter"}}
            item |= {"captions": [], "references": [], "footnotes": [], "meta": told}
        if kind == "tables":
            struct = _read(self._run_dir / page.item.folder / f"regions/region-{region.number:04d}.struct.json")
            item["data"] = _table(orjson.loads(struct)["rows"] if struct else ())
        items.append(item)
        return item

    def _tell_arrow(
        self, region: Region, holder: dict[str, Any], kept: Mapping[str, dict[str, Any]], scale: float
    ) -> None:
        def reference(node: str | None) -> str | None:
            return kept[node]["self_ref"] if node is not None and node in kept else None

        holder["meta"].setdefault("spotter__arrows", []).append(
            {
                "region": region.id,
                "bbox": _bbox(region, scale),
                "from": reference(region.from_node),
                "to": reference(region.to_node),
                "both_ways": region.both_ways,
                "text": region.text,
            }
        )

    def told(self) -> dict[str, Any]:
        """The document as JSON values."""

        def root(name: str, layer: str, children: Sequence[dict[str, str]]) -> dict[str, Any]:
            return {
                "self_ref": f"#/{name}", "children": list(children), "content_layer": layer, "name": "_root_",
                "label": "unspecified",
            }  # fmt: skip

        return {
            "schema_name": "DoclingDocument", "version": SCHEMA_VERSION, "name": self._group, "origin": self._origin,
            "furniture": root("furniture", "furniture", ()), "body": root("body", "body", self._body), "groups": [],
            **self._items, "key_value_items": [], "form_items": [], "pages": self._pages,
        }  # fmt: skip


def _bbox(region: Region, scale: float) -> dict[str, Any]:
    left, top, right, bottom = (round(side * scale, 3) for side in region.box)
    return {"l": left, "t": top, "r": right, "b": bottom, "coord_origin": "TOPLEFT"}


def _table(rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Cells as the analyst read them, the head row first; rows may be of different lengths."""
    cells = [
        {
            "text": text, "row_span": 1, "col_span": 1, "start_row_offset_idx": y, "end_row_offset_idx": y + 1,
            "start_col_offset_idx": x, "end_col_offset_idx": x + 1, "column_header": y == 0,
        }
        for y, row in enumerate(rows) for x, text in enumerate(row)
    ]  # fmt: skip
    return {"table_cells": cells, "num_rows": len(rows), "num_cols": max(map(len, rows), default=0)}


def _read(path: Path) -> bytes | None:
    """A file that an analyst may or may not have written."""
    return path.read_bytes() if path.is_file() else None
