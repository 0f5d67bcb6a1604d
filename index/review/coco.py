"""The regions of a run in COCO's detection format, as people decided: for `detector given` and every COCO tool.

Rejected regions are left out; corrected ones have the score 1. The file is the one that the review page saves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from index.review.patch import Decision
from index.review.pictures import size_px
from index.review.regions import ReviewPage, ReviewRegion

CHUNK_BYTES = 1 << 20
Decided = Callable[[ReviewPage, ReviewRegion], Decision | None]


def coco_chunks(pages: Sequence[ReviewPage], decided: Decided, labels: Sequence[str], beside: Path) -> Iterator[bytes]:
    """A COCO file piece by piece; annotations wait on disk, in the folder `beside`, for the images to end.

    Args:
        pages: in their order; those that failed are left out.
        decided: what holds for a region; None: it is as the run has it.
        labels: categories, in their order; further ones of the regions follow.
        beside: a folder with room for the file.
    """
    names = list(labels)
    images = annotations = 0
    yield b'{"info":{"description":"reviewed regions of document pages","version":"1"},"licenses":[],"images":['
    with tempfile.SpooledTemporaryFile(max_size=CHUNK_BYTES, dir=str(beside)) as waiting:
        for page in pages:
            if page.item.page is None or page.problem is not None:
                continue
            regions, _lost = page.regions()
            images += 1
            entry = orjson.dumps(_image(images, page, regions))
            yield entry if images == 1 else b"," + entry
            for region in regions:
                decision = decided(page, region)
                if decision is not None and decision.status == "rejected":
                    continue
                annotations += 1
                line = orjson.dumps(_annotation(annotations, images, region, decision, names))
                waiting.write(line if annotations == 1 else b"," + line)
        yield b'],"annotations":['
        waiting.seek(0)
        while chunk := waiting.read(CHUNK_BYTES):
            yield chunk
    categories = [{"id": number, "name": name, "supercategory": "region"} for number, name in enumerate(names, start=1)]
    yield b'],"categories":' + orjson.dumps(categories) + b"}\n"


def _image(number: int, page: ReviewPage, regions: Sequence[ReviewRegion]) -> dict[str, Any]:
    width, height = _size(page, regions)
    return {
        "id": number, "file_name": f"{page.item.folder}/page.png", "width": width, "height": height,
        "document": page.item.group, "page": page.item.page, "source": page.item.source.path,
    }  # fmt: skip


def _size(page: ReviewPage, regions: Sequence[ReviewRegion]) -> tuple[int, int]:
    if regions:
        return regions[0].file.page_size_px
    try:
        return (0, 0) if page.picture is None else size_px(page.picture)
    except OSError:
        return 0, 0  # as the review page has it: a page without a picture that can be read


def _annotation(
    number: int, image: int, region: ReviewRegion, decision: Decision | None, names: list[str]
) -> dict[str, Any]:
    file, own = region.file, region.own
    corrected = decision is not None and decision.status == "corrected"
    label = decision.label if decision is not None and corrected else file.label
    x, y, width, height = decision.bbox_px if decision is not None and corrected else file.bbox_px
    if label not in names:
        names.append(label)
    mask = file.segmentation
    by = {"detector": file.detector.name}
    if file.segmenter is not None:
        by |= {"segmenter": file.segmenter.name, "segmenter_version": file.segmenter.version}
    return {
        "id": number, "image_id": image, "category_id": names.index(label) + 1, "bbox": [x, y, width, height],
        "area": own.get("mask_area_px", width * height) if mask is not None else width * height, "iscrowd": 0,
        "segmentation": [] if mask is None else mask.model_dump(), "score": 1 if corrected else file.score,
        "region_id": file.id, "review": "open" if decision is None else decision.status, **own, **by,
    }  # fmt: skip
