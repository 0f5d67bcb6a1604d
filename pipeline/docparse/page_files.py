"""What stages hand on about a page, beside its picture and words.

`raw.json`, `arrange.json`, `masks.json` and `regions.jsonl` are files and not ledger entries because they are large: a
run of 10,000 pages keeps none of them in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson

from pipeline.docparse.raw import RawBox, RawPage
from pipeline.docparse.regions import Detection, Region, RegionMask, Rle, SegmenterName

RAW = "raw.json"
ARRANGED = "arrange.json"
MASKS = "masks.json"
REGIONS = "regions.jsonl"

BOX_DECIMALS = 3
SCORE_DECIMALS = 6
"""What is kept of a model's float32 numbers; more digits would be noise that makes files three times as large."""


def raw_to_json(raw: RawPage) -> bytes:
    """`raw.json`."""
    boxes = [
        {
            "box": [round(float(side), BOX_DECIMALS) for side in each.box],
            "scores": {phrase: round(float(score), SCORE_DECIMALS) for phrase, score in each.scores.items()},
            "tile": each.tile,
        }
        for each in raw.boxes
    ]
    composed = None if raw.composed is None else [_detection_to_dict(each) for each in raw.composed]
    data = {"boxes": boxes, "composed": composed, "tiles": raw.tiles, "notes": dict(raw.notes)}
    return orjson.dumps(data) + b"\n"


def raw_from_json(data: bytes) -> RawPage:
    """Read what `raw_to_json` wrote."""
    page: dict[str, Any] = orjson.loads(data)
    boxes = [RawBox(_box(each["box"]), each["scores"], each["tile"]) for each in page["boxes"]]
    composed = None if page["composed"] is None else [_detection_from_dict(each) for each in page["composed"]]
    return RawPage(boxes, composed, [_box(tile) for tile in page["tiles"]], page["notes"])


def arranged_to_json(detections: Sequence[Detection], log: Mapping[str, Any]) -> bytes:
    """`arrange.json`: what is kept, in reading order, and what each step did (`pipeline.docparse.arrange.page`)."""
    data = {"detections": [_detection_to_dict(each) for each in detections], **log}
    return orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n"


def read_arranged(run_dir: Path, folder: str) -> list[Detection]:
    """The detections of a page that were kept, in reading order."""
    data = orjson.loads((run_dir / folder / ARRANGED).read_bytes())
    return [_detection_from_dict(each) for each in data["detections"]]


def masks_to_json(masks: Sequence[RegionMask]) -> bytes:
    """`masks.json`: one mask for each detection of `arrange.json`, in its order."""
    return orjson.dumps({"masks": [_mask_to_dict(mask) for mask in masks]}) + b"\n"


def read_masks(run_dir: Path, folder: str) -> list[RegionMask]:
    """The masks of a page."""
    data = orjson.loads((run_dir / folder / MASKS).read_bytes())
    return [_mask_from_dict(each) for each in data["masks"]]


def regions_to_lines(regions: Sequence[Region]) -> bytes:
    """`regions.jsonl`: every region of a page, one a line, as its own file has it."""
    return b"".join(orjson.dumps(region.model_dump(mode="json")) + b"\n" for region in regions)


def read_regions(run_dir: Path, folder: str) -> list[Region]:
    """The regions of a page, in reading order."""
    return [Region.model_validate_json(line) for line in (run_dir / folder / REGIONS).read_bytes().splitlines()]


def _detection_to_dict(found: Detection) -> dict[str, Any]:
    entry = {each.name: getattr(found, each.name) for each in fields(found)}
    return entry | {"mask": None if found.mask is None else _mask_to_dict(found.mask)}


def _detection_from_dict(entry: dict[str, Any]) -> Detection:
    grid, mask = entry["grid"], entry["mask"]
    return Detection(
        **{
            **entry,
            "box": _box(entry["box"]),
            "grid": None if grid is None else (tuple(grid[0]), tuple(grid[1])),
            "mask": None if mask is None else _mask_from_dict(mask),
        }
    )


def _mask_to_dict(mask: RegionMask) -> dict[str, Any]:
    return {
        "segmentation": mask.segmentation.model_dump(mode="json"), "area_px": mask.area_px,
        "quality": None if mask.quality is None else round(mask.quality, SCORE_DECIMALS),
        "stability": None if mask.stability is None else round(mask.stability, SCORE_DECIMALS), "flags": mask.flags,
        "segmenter": mask.segmenter and mask.segmenter.model_dump(mode="json"),
    }  # fmt: skip


def _mask_from_dict(entry: dict[str, Any]) -> RegionMask:
    by = entry["segmenter"]
    return RegionMask(
        Rle.model_validate(entry["segmentation"]), entry["area_px"], entry["quality"], entry["stability"],
        tuple(entry["flags"]), None if by is None else SegmenterName.model_validate(by),
    )  # fmt: skip


def _box(sides: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = sides
    return left, top, right, bottom
