"""Regions: what was found on a page, as files that people and tools open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.detect import make_detector
from pipeline.docparse.overlay import Crop, draw_overlay
from pipeline.docparse.page_files import REGIONS, read_arranged, read_masks, regions_to_lines
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.regions import DetectorName, SegmenterName, make_regions, to_file
from pipeline.docparse.render import encode_png, read_page
from pipeline.docparse.segment_stage import make_segmenter
from pipeline.docparse.words import Box

if TYPE_CHECKING:
    import numpy

OVERLAY = "overlay.webp"
CROP_PADDING = 0.02
"""Share of a region's longer side that its picture shows around it."""
MAX_CROP_PADDING_PX = 12


class RegionsStage(MapStage):
    """Writes `regions.jsonl`, `overlay.webp` and `regions/region-0001.{json,png,mask.png}` … for every page."""

    name = "regions"
    version = "2"
    done_word = "described"

    def __init__(self, params: DocparseParams) -> None:
        detector = make_detector(params)
        segmenter = make_segmenter(params)
        self._detector = DetectorName(name=detector.name, version=detector.version)
        self._segmenter = None
        if segmenter is not None:
            self._segmenter = SegmenterName(name=segmenter.name, version=segmenter.version)
        self.requires = ("render", "arrange", "segment") if segmenter else ("render", "arrange")

    def libraries(self) -> Mapping[str, str]:
        """The libraries that write pictures; who found the regions is in the keys upstream."""
        return {"opencv": version("opencv-python-headless"), "pillow": version("pillow")}

    def process(self, batch: Sequence[Task]) -> Sequence[Output]:
        """Describe the regions of pages."""
        return [self._describe(task) for task in batch]

    def _describe(self, task: Task) -> Output:
        from pipeline.docparse.masks import mask_png
        from pipeline.docparse.run_lengths import crop_of

        run_dir, folder, page = task.site.run_dir, task.item.folder, task.item.page
        assert page is not None
        pixels, text = read_page(run_dir, folder)
        found = read_arranged(run_dir, folder)
        masks = read_masks(run_dir, folder) if self._segmenter else [one.mask for one in found]
        cut = [None if mask is None else crop_of(mask.segmentation) for mask in masks]
        shown = [
            around(crop_box(one.box, text.width, text.height), None if mask is None else extent(mask))
            for one, mask in zip(found, cut, strict=True)
        ]
        regions = make_regions(
            found, [" ".join(text.words[index].text for index in text.inside(one.box)) for one in found],
            document=task.item.group, page=page, page_size_px=(text.width, text.height), text_source=text.source,
            detector=self._detector, folder=folder, crops=shown, masks=masks, segmenter=self._segmenter,
        )  # fmt: skip
        counts: dict[str, float] = {}
        for region, mask, (left, top, right, bottom) in zip(regions, cut, shown, strict=True):
            stem = f"regions/region-{region.number:04d}"
            task.writer.write(f"{stem}.png", encode_png(pixels[top:bottom, left:right]), "crop")
            if mask is not None:
                task.writer.write(f"{stem}.mask.png", mask_png(placed(mask, (left, top, right, bottom))), "mask")
            task.writer.write(f"{stem}.json", to_file(region), "region")
            counts[f"regions_{region.label}"] = counts.get(f"regions_{region.label}", 0.0) + 1
        task.writer.write(OVERLAY, draw_overlay(pixels, regions, cut), "overlay")
        task.writer.write(REGIONS, regions_to_lines(regions), "regions")
        return Output({"regions": len(regions)}, metrics=counts)


PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels, right and bottom excluded."""


def extent(mask: Crop) -> PixelBox:
    """Where a mask lies on its page."""
    left, top, pixels = mask
    return left, top, left + pixels.shape[1], top + pixels.shape[0]


def placed(mask: Crop, shown: PixelBox) -> numpy.ndarray[Any, Any]:
    """A mask at its place in the part of the page that is shown, which holds all of it."""
    import numpy as np

    left, top, pixels = mask
    part = np.zeros((shown[3] - shown[1], shown[2] - shown[0]), bool)
    y, x = top - shown[1], left - shown[0]
    if pixels.size:
        part[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return part


def crop_box(box: Box, width: int, height: int) -> PixelBox:
    """The part of a page that a region's picture shows: its box, with a little of what is around it."""
    left, top, right, bottom = box
    pad = min(MAX_CROP_PADDING_PX, max(2.0, CROP_PADDING * max(right - left, bottom - top)))
    return (
        max(0, int(left - pad)),
        max(0, int(top - pad)),
        min(width, int(right + pad) + 1),
        min(height, int(bottom + pad) + 1),
    )


def around(shown: PixelBox, mask: PixelBox | None) -> PixelBox:
    """The picture shows the whole mask, also where it leaves its box a little."""
    if mask is None or mask[0] >= mask[2]:
        return shown
    return min(shown[0], mask[0]), min(shown[1], mask[1]), max(shown[2], mask[2]), max(shown[3], mask[3])
