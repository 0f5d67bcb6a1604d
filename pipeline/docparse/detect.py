"""Detect: regions on a page. The stage writes the files; who finds the boxes is a detector chosen by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.params import DocparseParams
from pipeline.docparse.regions import Detection, DetectorName, make_regions, to_file
from pipeline.docparse.render import encode_png, read_page
from pipeline.docparse.words import Box, PageText

if TYPE_CHECKING:
    import numpy

CROP_PADDING = 0.02
"""Share of a region's longer side that its picture shows around it."""
MAX_CROP_PADDING_PX = 12


class Detector(Protocol):
    """Finds regions in the pixels of pages; an implementation on a device takes many pages at once."""

    name: str
    version: str

    def key_parts(self) -> Mapping[str, Any]:
        """What else changes its answers: checkpoints, thresholds, library versions."""

    def setup(self) -> None:
        """Load what it needs."""

    def detect(self, pages: Sequence[tuple[numpy.ndarray[Any, Any], PageText]]) -> list[list[Detection]]:
        """(blue-green-red pixels, text) of pages → their detections in reading order, parents by index."""


def make_detector(params: DocparseParams) -> Detector:
    """The detector that the parameters name."""
    from pipeline.docparse.opencv.detector import OpenCvDetector

    return OpenCvDetector(params.detector.min_score, params.detector.labels)


class DetectStage(MapStage):
    """Writes `regions/region-0001.{json,png}` … for every page and hands on the region files' names."""

    name = "detect"
    version = "1"
    requires = ("render",)
    done_word = "detected"

    def __init__(self, params: DocparseParams) -> None:
        self._params = params
        self._detector = make_detector(params)

    def key_parts(self) -> Mapping[str, Any]:
        """The detector with all that changes its answers."""
        return {
            **self._params.stage_values("detector"),
            "detector_version": self._detector.version,
            "detector_parts": dict(self._detector.key_parts()),
            "opencv": version("opencv-python-headless"),
        }

    def setup(self) -> None:
        """Set the detector up."""
        self._detector.setup()

    def prepare(self, task: Task) -> Any:
        """Read the page's pixels and words."""
        return read_page(task.site.run_dir, task.item.folder)

    def process(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Find regions; hands the pixels on for the crops."""
        found = self._detector.detect(batch)
        return [(pixels, text, detections) for (pixels, text), detections in zip(batch, found, strict=True)]

    def finish(self, task: Task, result: Any) -> Output:
        """Write one JSON file and one picture a region."""
        pixels, text, detections = result
        page = task.item.page
        assert page is not None
        texts = [" ".join(text.words[index].text for index in text.inside(found.box)) for found in detections]
        regions = make_regions(
            detections, texts, document=task.item.group, page=page, page_size_px=(text.width, text.height),
            text_source=text.source, detector=DetectorName(name=self._detector.name, version=self._detector.version),
            folder=task.item.folder,
        )  # fmt: skip
        counts: dict[str, float] = {}
        for region in regions:
            stem = f"regions/region-{region.number:04d}"
            task.writer.write(f"{stem}.png", encode_png(crop(pixels, region.box)), "crop")
            task.writer.write(f"{stem}.json", to_file(region), "region")
            counts[f"regions_{region.label}"] = counts.get(f"regions_{region.label}", 0.0) + 1
        return Output({"regions": [region.model_dump(mode="json") for region in regions]}, metrics=counts)


def crop(pixels: numpy.ndarray[Any, Any], box: Box) -> numpy.ndarray[Any, Any]:
    """The part of a page in `box`, with a little of what is around it."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = box
    pad = min(MAX_CROP_PADDING_PX, max(2.0, CROP_PADDING * max(right - left, bottom - top)))
    x0, y0 = max(0, int(left - pad)), max(0, int(top - pad))
    x1, y1 = min(width, int(right + pad) + 1), min(height, int(bottom + pad) + 1)
    return pixels[y0:y1, x0:x1]
