"""The regions of a run in COCO's detection format, masks included, with all of our own keys beside COCO's.

COCO's tools ignore keys that they do not know, and `given` reads them back: a corrected file needs no other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from pipeline.docparse.exports.pages import PageRegions
from pipeline.docparse.labels import LABELS, Label
from pipeline.docparse.regions import Region

CATEGORY_IDS: dict[Label, int] = {label: number for number, label in enumerate(LABELS, start=1)}
CHUNK_BYTES = 1 << 20


def coco_chunks(pages: Iterable[PageRegions], beside: Path) -> Iterator[bytes]:
    """A COCO file, piece by piece: pages are looked at once, and annotations wait on disk for the images to end.

    They wait in the folder `beside`, which must have room for the file anyway: `/tmp` may be small, or memory.

    Every `file_name` is relative to the run folder.
    """
    yield b'{"info":{"description":"regions of document pages","version":"1"},"licenses":[],"images":['
    annotations = images = 0
    with tempfile.SpooledTemporaryFile(max_size=CHUNK_BYTES, dir=str(beside)) as waiting:
        for page in pages:
            images += 1
            entry = orjson.dumps(_image(images, page))
            yield entry if images == 1 else b"," + entry
            for region in page.regions:
                annotations += 1
                line = orjson.dumps(_annotation(annotations, images, region))
                waiting.write(line if annotations == 1 else b"," + line)
        yield b'],"annotations":['
        waiting.seek(0)
        while chunk := waiting.read(CHUNK_BYTES):
            yield chunk
    categories = [{"id": number, "name": label, "supercategory": "region"} for label, number in CATEGORY_IDS.items()]
    yield b'],"categories":' + orjson.dumps(categories) + b"}\n"


def _image(number: int, page: PageRegions) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": page.image,
        "width": page.width,
        "height": page.height,
        "document": page.item.group,
        "page": page.item.page,
        "source": page.item.source.path,
    }


def _annotation(number: int, image: int, region: Region) -> dict[str, Any]:
    """COCO's own keys first. A region without a mask has an empty `segmentation` and its box's area."""
    x, y, width, height = region.bbox_px
    mask = region.segmentation
    return {
        "id": number,
        "image_id": image,
        "category_id": CATEGORY_IDS[region.label],
        "bbox": [x, y, width, height],
        "area": round(width * height, 1) if region.mask_area_px is None else region.mask_area_px,
        "iscrowd": 0,
        "segmentation": [] if mask is None else {"size": list(mask.size), "counts": mask.counts},
        "score": region.score,
        **own_keys(region),
    }


OWN_KEYS = (
    "number", "parent", "from_node", "to_node", "both_ways", "prompt", "alternatives", "column_rules_px",
    "row_rules_px", "mask_quality", "mask_stability", "mask_flags",
)  # fmt: skip
"""Fields of a region that exports carry under their own names, and `given` reads back."""


def own_keys(region: Region) -> dict[str, Any]:
    """What formats of others have no place for; fields that say nothing are left out, `parent` never."""
    values = region.model_dump(mode="json", include=set(OWN_KEYS))
    told = {name: values[name] for name in OWN_KEYS if values[name] not in (None, False, {}, []) or name == "parent"}
    by = {"detector": region.detector.name}
    if region.segmenter is not None:
        by |= {"segmenter": region.segmenter.name, "segmenter_version": region.segmenter.version}
    return {"region_id": region.id, **told, **by}
