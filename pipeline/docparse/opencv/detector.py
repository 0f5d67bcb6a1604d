"""The `opencv` detector: finds what is drawn, then decides what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2

from pipeline.docparse.labels import Label
from pipeline.docparse.opencv.compose import in_reading_order, suppress, with_parents
from pipeline.docparse.opencv.geometry import clipped
from pipeline.docparse.opencv.identity import NAME, VERSION
from pipeline.docparse.opencv.page import PageFinds
from pipeline.docparse.opencv.sheet import Pixels, make_sheet
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import PageText


class OpenCvDetector:
    """Finds tables, canvases, diagrams, legends, nodes, arrows and text by their lines and shapes.

    Where the page has a text layer, its words say where text is; shapes and lines always come from pixels.
    """

    name = NAME
    version = VERSION

    def __init__(self, min_score: float, labels: Sequence[Label]) -> None:
        self._min_score = min_score
        self._labels = frozenset(labels)

    def key_parts(self) -> Mapping[str, Any]:
        """Nothing beyond name and version."""
        return {}

    def setup(self) -> None:
        """One thread: the workers are as many as the processors."""
        cv2.setNumThreads(1)

    def detect(self, pages: Sequence[tuple[Pixels, PageText]]) -> list[list[Detection]]:
        """Detections of every page in reading order."""
        return [self._page(pixels, text) for pixels, text in pages]

    def _page(self, pixels: Pixels, text: PageText) -> list[Detection]:
        height, width = pixels.shape[:2]
        seen = PageFinds(make_sheet(pixels, text.dpi), text).detections()
        found = suppress([replace(one, box=clipped(one.box, width, height)) for one in seen])
        kept = [i for i, one in enumerate(found) if one.score >= self._min_score and one.label in self._labels]
        renumber = {old: new for new, old in enumerate(kept)}
        return in_reading_order(with_parents([_without_dropped(found[index], renumber) for index in kept]))


def _without_dropped(found: Detection, renumber: Mapping[int, int]) -> Detection:
    """An arrow keeps its ends only where their nodes were kept."""
    start = None if found.start is None else renumber.get(found.start)
    end = None if found.end is None else renumber.get(found.end)
    return replace(found, start=start, end=end)
