"""The regions of a run in COCO's detection format, for the tools that read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from pipeline.core.manifest import Item
from pipeline.docparse.labels import LABELS
from pipeline.docparse.regions import Region

_CATEGORY = {label: number for number, label in enumerate(LABELS, start=1)}


def coco_file(pages: Iterable[tuple[Item, tuple[int, int], Sequence[Region]]]) -> bytes:
    """Images, categories and annotations of (item, page's width and height in pixels, regions).

    A detector without masks leaves `segmentation` empty; our own keys come along.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (item, (width_px, height_px), regions) in enumerate(pages, start=1):
        images.append(
            {
                "id": number,
                "file_name": f"{item.folder}/page.png",
                "width": width_px,
                "height": height_px,
                "document": item.group,
                "page": item.page,
            }
        )
        for region in regions:
            x, y, width, height = region.bbox_px
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": _CATEGORY[region.label],
                    "bbox": [x, y, width, height],
                    "area": round(width * height, 1),
                    "iscrowd": 0,
                    "segmentation": [],
                    "score": region.score,
                    "region_id": region.id,
                    "parent": region.parent,
                    "detector": region.detector.name,
                }
            )
    categories = [{"id": number, "name": label} for label, number in _CATEGORY.items()]
    return orjson.dumps({"images": images, "annotations": annotations, "categories": categories}) + b"\n"
