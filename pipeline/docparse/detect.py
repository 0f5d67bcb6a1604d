"""Detect: where something may be on a page. All that a detector says is kept; what becomes of it is arranged later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.stage import MapStage, Output, Task
from pipeline.docparse.given_params import GivenParams
from pipeline.docparse.layout_params import LayoutParams
from pipeline.docparse.page_files import RAW, raw_to_json
from pipeline.docparse.page_image import page_image
from pipeline.docparse.params import DocparseParams, OpenCvParams
from pipeline.docparse.raw import Detector, RawPage
from pipeline.docparse.render import planned_source
from pipeline.models.grounding_dino.params import GroundingDinoParams


def make_detector(params: DocparseParams) -> Detector:
    """The detector that the parameters name; made without loading what it needs."""
    chosen = params.detector
    detector: Detector
    match chosen:
        case OpenCvParams():
            from pipeline.docparse.opencv.raw import OpenCvRawDetector

            detector = OpenCvRawDetector()
        case GroundingDinoParams():
            from pipeline.docparse.grounded import GroundedDetector

            detector = GroundedDetector(chosen)
        case GivenParams():
            from pipeline.docparse.given import GivenDetector

            detector = GivenDetector(chosen)
        case LayoutParams():
            from pipeline.docparse.layout import LayoutDetector

            detector = LayoutDetector(chosen)
    return detector


class DetectStage(MapStage):
    """Writes `raw.json` for every page: thresholds and rules that are changed later need no detector again."""

    name = "detect"
    version = "2"
    done_word = "detected"

    def __init__(self, params: DocparseParams) -> None:
        self._params = params
        self._detector = make_detector(params)
        read = params.ocr.name != "none" and self._detector.reads_words
        self.requires = ("render", "ocr") if read else ("render",)
        self.device = self._detector.device
        self.batch_size = self._detector.batch_size
        self.reads_sources = isinstance(params.detector, LayoutParams)

    def key_parts(self) -> Mapping[str, Any]:
        """The detector with all that changes its answers, thresholds excepted: those are not applied here."""
        return {
            "detector": self._detector.name,
            "detector_version": self._detector.version,
            "detector_parts": dict(self._detector.key_parts()),
        }

    def libraries(self) -> Mapping[str, str]:
        """The detector's libraries."""
        return self._detector.libraries()

    def setup(self) -> None:
        """Set the detector up."""
        self._detector.setup()

    def teardown(self) -> None:
        """Let go of what the detector holds."""
        self._detector.teardown()

    def prepare(self, task: Task) -> Any:
        """Get the page's pixels and words.

        Raises:
            SourceChanged: the detector reads the document itself, and it is not the one that was planned.
        """
        if self.reads_sources:
            planned_source(task.site, task.item.source)
        return page_image(task, self._params)

    def process(self, batch: Sequence[Any]) -> Sequence[RawPage]:
        """Find boxes."""
        return self._detector.find(batch)

    def finish(self, task: Task, result: Any) -> Output:
        """Keep them."""
        raw: RawPage = result
        task.writer.write(RAW, raw_to_json(raw), "raw")
        boxes = len(raw.boxes) if raw.composed is None else len(raw.composed)
        return Output({"boxes": boxes}, metrics={"raw_boxes": boxes, **raw.notes})
