"""A run whose regions are known without a detector: two documents, three pages, masks, containers and arrows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipeline.core.manifest import Item, Manifest, Source, item_id
from pipeline.core.rundir import RunFolder, RunInfo
from pipeline.docparse.masks import mask_png
from pipeline.docparse.page_files import regions_to_lines
from pipeline.docparse.regions import Detection, DetectorName, Region, RegionMask, Rle, SegmenterName, make_regions
from pipeline.docparse.run_lengths import rle_of
from pipeline.docparse.words import PageText, Word

PLAN = Source(path="data/Планы & schemes.pdf", sha256="a1" * 32, bytes=10, media_type="application/pdf")
FRAME = Source(path="data/frames/frame.png", sha256="b2" * 32, bytes=10, media_type="image/png")
DETECTOR = DetectorName(name="opencv", version="7")
SAM = SegmenterName(name="sam2", version="1")


def item(source: Source, group: str, page: int) -> Item:
    return Item(item_id=item_id(source.sha256, source.path, page), group=group, source=source, page=page)


ITEMS = (
    item(PLAN, "Планы-schemes-a1a1a1a1", 1),
    item(PLAN, "Планы-schemes-a1a1a1a1", 2),
    item(FRAME, "frame-b2b2b2b2", 1),
)
SIZES = ((620, 877), (620, 877), (400, 300))
WORDS = [Word("Заказ", (70, 110, 120, 124), 0, 0), Word("Payment", (330, 110, 390, 124), 1, 0)]


def mask(left: int, top: int, width: int, height: int, page: tuple[int, int]) -> RegionMask:
    """A disc, as a segmenter would cut it."""
    y, x = np.ogrid[:height, :width]
    disc = ((x - width / 2 + 0.5) / (width / 2)) ** 2 + ((y - height / 2 + 0.5) / (height / 2)) ** 2 <= 1
    return RegionMask(rle_of(left, top, disc, *page), int(disc.sum()), 0.91, 0.88, ("thin",), SAM)


def found() -> list[list[Detection]]:
    first = [
        Detection("textbox", (50.2, 30.1, 580.04, 70.06), 0.95, prompt="text box"),
        Detection("diagram", (40, 90, 600, 300), 0.9, mask=mask(40, 90, 560, 210, SIZES[0])),
        Detection("node", (60.3, 100.7, 160.9, 140.2), 0.8, parent=1, mask=mask(60, 100, 101, 41, SIZES[0]),
                  alternatives={"textbox": 0.31}),
        Detection("node", (320, 100, 420, 140), 0.7, parent=1, mask=mask(320, 100, 100, 40, SIZES[0])),
        Detection("arrow", (161, 118, 319, 124), 0.6, parent=1, start=3, end=2, both_ways=True,
                  mask=mask(161, 119, 40, 4, SIZES[0])),
        Detection("table", (40, 400, 600, 620.02), 0.99, grid=((40, 300.5, 600), (400, 500, 620))),
    ]  # fmt: skip
    return [first, [], [Detection("legend", (10, 20, 200, 220), 0.5)]]


def described_run(run_dir: Path, state: str = "succeeded") -> list[list[Region]]:
    """Write the run; returns its regions page by page."""
    run_dir.mkdir(parents=True)
    manifest = Manifest(ITEMS)
    manifest.write(run_dir / "manifest.jsonl")
    info: dict[str, Any] = {
        "run_id": run_dir.name, "pipeline": "docparse", "version": "2", "created_at": 1.0, "params_digest": "",
        "manifest_digest": manifest.digest, "plan_key": "", "items": len(ITEMS), "groups": manifest.groups,
        "state": state,
    }  # fmt: skip
    RunFolder(run_dir).write_info(RunInfo.model_validate(info))
    made = []
    for page, size, detections in zip(ITEMS, SIZES, found(), strict=True):
        made.append(describe(run_dir, page, size, detections, DETECTOR))
    return made


def text_of(page: Item, size: tuple[int, int]) -> PageText:
    return PageText(*size, 75 if page.source is PLAN else None, WORDS if page.page == 1 and page.source is PLAN else [])


def describe(
    run_dir: Path, page: Item, size: tuple[int, int], detections: Sequence[Detection], detector: DetectorName
) -> list[Region]:
    text = text_of(page, size)
    assert page.page is not None
    regions = make_regions(
        detections, [" ".join(text.words[index].text for index in text.inside(one.box)) for one in detections],
        document=page.group, page=page.page, page_size_px=size, text_source=text.source, detector=detector,
        folder=page.folder,
    )  # fmt: skip
    folder = run_dir / page.folder
    (folder / "regions").mkdir(parents=True)
    (folder / "words.json").write_bytes(text.to_json())
    (folder / "regions.jsonl").write_bytes(regions_to_lines(regions))
    for region in regions:
        stem = folder / "regions" / f"region-{region.number:04d}"
        stem.with_suffix(".caption.txt").write_text(f"{region.label} «{region.text}»\n")
        rows = [["Role", "Decides"], ["Owner"]] if region.label == "table" else []
        stem.with_suffix(".struct.json").write_bytes(orjson.dumps({"rows": rows}))
        if region.mask is not None:
            (run_dir / region.mask).write_bytes(mask_png(np.ones((2, 2), bool)))
    return regions


def pixels_of(segmentation: Rle) -> np.ndarray[Any, Any]:
    """The mask on its page, as pycocotools reads it."""
    from pycocotools import mask as coco

    decoded = coco.decode({"size": list(segmentation.size), "counts": segmentation.counts.encode()})
    return np.asarray(decoded, bool)
