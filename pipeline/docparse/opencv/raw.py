"""The `opencv` detector as the stage takes it: one that composes its detections itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipeline.docparse.labels import LABELS
from pipeline.docparse.opencv.identity import NAME, VERSION
from pipeline.docparse.raw import RAW_FLOOR, PageImage, RawPage

if TYPE_CHECKING:
    from pipeline.docparse.opencv.detector import OpenCvDetector


class OpenCvRawDetector:
    """Finds all that scores above the floor of raw boxes, on the processor, a page at a time."""

    name = NAME
    version = VERSION
    device = False
    reads_words = True
    batch_size = 1

    @cached_property
    def _detector(self) -> OpenCvDetector:
        """Loaded where pages are looked at: whoever only plans or counts the work has no use for OpenCV."""
        from pipeline.docparse.opencv.detector import OpenCvDetector

        return OpenCvDetector(RAW_FLOOR, LABELS)

    def key_parts(self) -> Mapping[str, Any]:
        """Nothing beyond name and version."""
        return {}

    def libraries(self) -> Mapping[str, str]:
        """The library whose pixels it trusts."""
        return {"opencv": version("opencv-python-headless")}

    def setup(self) -> None:
        """One thread: the workers are as many as the processors."""
        self._detector.setup()

    def teardown(self) -> None:
        """It holds nothing."""

    def find(self, pages: Sequence[PageImage]) -> list[RawPage]:
        """Detections of every page in reading order, with parents and arrow ends."""
        found = self._detector.detect([(page.pixels, page.text) for page in pages])
        return [RawPage(composed=each) for each in found]
