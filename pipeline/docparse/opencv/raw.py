"""The `opencv` detector as the stage takes it: one that composes its detections itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from pipeline.docparse.labels import LABELS
from pipeline.docparse.opencv.detector import OpenCvDetector
from pipeline.docparse.raw import RAW_FLOOR, PageImage, RawPage


class OpenCvRawDetector:
    """Finds all that scores above the floor of raw boxes, on the processor, a page at a time."""

    name = OpenCvDetector.name
    version = OpenCvDetector.version
    device = False
    reads_words = True
    batch_size = 1

    def __init__(self) -> None:
        self._detector = OpenCvDetector(RAW_FLOOR, LABELS)

    def key_parts(self) -> Mapping[str, Any]:
        """What the rules are."""
        return self._detector.key_parts()

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
