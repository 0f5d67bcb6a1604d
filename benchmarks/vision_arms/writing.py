"""Files of regions, and the processes that write them, which do without what runs the models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.vision_arms.pages import Page
from pipeline.docparse.masks import checked, region_mask
from pipeline.docparse.raw import RawPage
from pipeline.docparse.segmenting import Mask
from pipeline.docparse.words import Box

BOX_THRESHOLD = 0.30
"""R000-34."""


def start_writers(count: int) -> ProcessPoolExecutor:
    """Processes that write regions, up and with their libraries loaded."""
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    for ready in [pool.submit(_warm) for _ in range(count)]:
        ready.result()
    return pool


def write_cut(out: Path, page: Page, raw: RawPage, masks: Sequence[Mask]) -> None:
    """What the pipeline's workers do with a page's masks: judged against their boxes, encoded, written."""
    kept = [
        region_mask(checked(mask, box), page.width, page.height) for mask, box in zip(masks, page.boxes, strict=True)
    ]
    rles = [{"size": list(one.segmentation.size), "counts": one.segmentation.counts} for one in kept]
    write_page(out, page, raw, rles, [one.quality for one in kept])


def write_page(out: Path, page: Page, raw: RawPage, rles: Sequence[Any], quality: Sequence[float]) -> None:
    """One file a page: its regions with boxes, names, scores, masks. Detections are thresholded first, as shipped."""
    kept = [box for box in raw.boxes if max(box.scores.values()) >= BOX_THRESHOLD]
    assert all(np.isfinite(box.box).all() for box in kept), "the detector's boxes are numbers"
    names = [max(box.scores, key=lambda phrase: box.scores[phrase]) for box in kept]
    regions = [
        {
            "bbox": list(box),
            "class_name": names[index] if index < len(names) else "",
            "score": max(kept[index].scores.values()) if index < len(kept) else 0.0,
            "quality": quality[index],
            "segmentation": rles[index],
        }
        for index, box in enumerate(page.boxes)
    ]
    told = {"image": page.name, "width": page.width, "height": page.height, "annotations": regions}
    (out / f"{page.name}.json").write_text(json.dumps(told))


def _warm() -> None:
    mask = Mask(0, 0, np.ones((8, 8), bool), 1.0, 1.0)
    box: Box = (0.0, 0.0, 8.0, 8.0)
    region_mask(checked(mask, box), 16, 16)
