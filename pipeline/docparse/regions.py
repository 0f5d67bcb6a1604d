"""A region: a labelled box on a page, as detectors find it and files keep it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.docparse.labels import Label
from pipeline.docparse.words import Box

ID_ROUNDING_PX = 2
"""A region that moves by less than this keeps its id."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What a detector says: a labelled box, and how it relates to others of the same page."""

    label: Label
    box: Box
    score: float
    """0 to 1; what it means is the detector's to document."""
    parent: int | None = None
    """Index of the container among the page's detections."""
    start: int | None = None
    """For an arrow: index of the node that it leaves."""
    end: int | None = None
    """For an arrow: index of the node that it points to."""
    both_ways: bool = False
    """For an arrow: it has a head at either end."""
    grid: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """For a table or canvas: (x of its column rules, y of its row rules) in page pixels, outer ones included."""
    prompt: str | None = None
    """The phrase that found it; None from a detector that is not prompted."""
    alternatives: Mapping[Label, float] = field(default_factory=dict)
    """Other labels that it may be, with their scores."""
    mask: RegionMask | None = None
    """A mask that came with the box, from a file of corrected regions; segmenters leave such a one as it is."""

    def related(self, renumber: dict[int, int]) -> Detection:
        """The same detection after the page's list was reordered: old index → new."""
        return replace(
            self,
            parent=None if self.parent is None else renumber[self.parent],
            start=None if self.start is None else renumber[self.start],
            end=None if self.end is None else renumber[self.end],
        )


class DetectorName(BaseModel):
    """Who found a region."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str


class SegmenterName(BaseModel):
    """Who cut a region's mask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str


class Rle(BaseModel):
    """A mask of the whole page in COCO's compressed run-length encoding, as pycocotools reads and writes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: tuple[int, int]
    """Height, width of the page in pixels."""
    counts: str


@dataclass(frozen=True, slots=True)
class RegionMask:
    """What a segmenter said of one region, ready to be kept."""

    segmentation: Rle
    area_px: int
    quality: float | None
    """The model's own estimate of the mask's IoU, 0 to 1; None for a mask that no model cut."""
    stability: float | None
    flags: tuple[str, ...] = ()
    segmenter: SegmenterName | None = None
    """Who cut it, where that is not the run's segmenter."""


class Region(BaseModel):
    """`region-0007.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Stable: the same document, page, label and box have it in every run."""
    number: int
    """Place in the page's reading order, from 1; also the file's number."""
    document: str
    page: int
    label: Label
    score: float
    bbox_px: tuple[float, float, float, float]
    """x, y, width, height in page pixels (COCO)."""
    bbox_norm: tuple[float, float, float, float]
    """x, y, width, height as shares of the page."""
    page_size_px: tuple[int, int]
    parent: str | None
    """Id of the region that contains this one."""
    from_node: str | None = None
    """For an arrow: id of the node that it leaves."""
    to_node: str | None = None
    """For an arrow: id of the node that it points to."""
    both_ways: bool = False
    column_rules_px: tuple[float, ...] | None = None
    row_rules_px: tuple[float, ...] | None = None
    text: str
    """Words of the text layer inside the box, in their own order."""
    text_source: str
    """`pdf`, or `none` when the page has no text layer."""
    detector: DetectorName
    crop: str
    """Path of the region's picture, relative to the run folder."""
    crop_px: tuple[int, int, int, int] | None = None
    """x, y, width, height of what the picture and the mask's picture show of the page; a little more than the box."""
    prompt: str | None = None
    """The phrase that found it; None from a detector that is not prompted."""
    alternatives: dict[Label, float] = Field(default_factory=dict)
    """Other labels that it may be, with their scores."""
    segmentation: Rle | None = None
    """Its pixels on the page; None when no segmenter ran."""
    mask: str | None = None
    """Path of the mask as a picture of the crop (white: part of the region), relative to the run folder."""
    mask_area_px: int | None = None
    mask_quality: float | None = None
    """The segmenter's own estimate of the mask's IoU, 0 to 1."""
    mask_stability: float | None = None
    """IoU of the mask cut a little above and a little below its threshold, 0 to 1."""
    mask_flags: tuple[str, ...] = ()
    """What is odd about the mask."""
    segmenter: SegmenterName | None = None

    @property
    def box(self) -> Box:
        """Left, top, right, bottom in page pixels."""
        x, y, width, height = self.bbox_px
        return x, y, x + width, y + height


def region_id(document: str, page: int, label: str, box: Box) -> str:
    """Stable id of a region (16 hex digits)."""
    rounded = [round(side / ID_ROUNDING_PX) for side in box]
    return hashlib.sha1(f"{document}\0{page}\0{label}\0{rounded}".encode(), usedforsecurity=False).hexdigest()[:16]


def make_regions(
    detections: Sequence[Detection],
    texts: Sequence[str],
    *,
    document: str,
    page: int,
    page_size_px: tuple[int, int],
    text_source: str,
    detector: DetectorName,
    folder: str,
    crops: Sequence[tuple[int, int, int, int]] | None = None,
    masks: Sequence[RegionMask | None] | None = None,
    segmenter: SegmenterName | None = None,
) -> list[Region]:
    """Regions of a page from its detections, which come in reading order, and the text inside each.

    `crops`: left, top, right, bottom of what their pictures show; `masks`: their masks, from `segmenter`.
    """
    width, height = page_size_px
    boxes = [_bbox(found.box) for found in detections]
    # Of the box as files keep it: regions that come back from a file keep their ids.
    ids = _unique(
        [
            region_id(document, page, found.label, (x, y, x + w, y + h))
            for found, (x, y, w, h) in zip(detections, boxes, strict=True)
        ]
    )
    regions = []
    for index, (found, text) in enumerate(zip(detections, texts, strict=True)):
        stem = f"{folder}/regions/region-{index + 1:04d}"
        bbox = boxes[index]
        mask = found.mask if masks is None else masks[index]
        regions.append(
            Region(
                id=ids[index],
                number=index + 1,
                document=document,
                page=page,
                label=found.label,
                score=round(found.score, 3),
                bbox_px=bbox,
                bbox_norm=tuple(
                    round(side / size, 5) for side, size in zip(bbox, (width, height, width, height), strict=True)
                ),
                page_size_px=page_size_px,
                parent=None if found.parent is None else ids[found.parent],
                from_node=None if found.start is None else ids[found.start],
                to_node=None if found.end is None else ids[found.end],
                both_ways=found.both_ways,
                column_rules_px=None if found.grid is None else tuple(round(x, 1) for x in found.grid[0]),
                row_rules_px=None if found.grid is None else tuple(round(y, 1) for y in found.grid[1]),
                text=text,
                text_source=text_source,
                detector=detector,
                crop=f"{stem}.png",
                prompt=found.prompt,
                alternatives={label: round(score, 3) for label, score in found.alternatives.items()},
                crop_px=None if crops is None else _as_coco(crops[index]),
                segmenter=segmenter if mask is None or mask.segmenter is None else mask.segmenter,
                **({} if mask is None else _of_mask(mask, f"{stem}.mask.png")),
            )
        )
    return regions


def _as_coco(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return left, top, right - left, bottom - top


def _of_mask(mask: RegionMask, path: str) -> dict[str, Any]:
    return {
        "segmentation": mask.segmentation, "mask": path, "mask_area_px": mask.area_px,
        "mask_quality": None if mask.quality is None else round(mask.quality, 4),
        "mask_stability": None if mask.stability is None else round(mask.stability, 4), "mask_flags": mask.flags,
    }  # fmt: skip


def _bbox(box: Box) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return round(left, 1), round(top, 1), round(right - left, 1), round(bottom - top, 1)


def _unique(ids: list[str]) -> list[str]:
    """Two boxes so close that rounding makes them one are told apart by their order."""
    seen: dict[str, int] = {}
    unique = []
    for name in ids:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique


def to_file(model: BaseModel) -> bytes:
    """A model as an indented JSON file."""
    import orjson

    data: dict[str, Any] = model.model_dump(mode="json")
    return orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n"
