"""The segmenter `sam2`: SAM 2 masks for the boxes of pages, checked against those boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.docparse.raw import PageImage
from pipeline.docparse.segmenting import Mask
from pipeline.docparse.words import Box
from pipeline.models.sam2.params import Sam2Params


class Sam2Segmenter:
    """Cuts masks with SAM 2 (a `Segmenter`); building one loads nothing."""

    name = "sam2"
    version = "1"

    def __init__(self, params: Sam2Params) -> None:
        self._params = params
        self.batch_size = params.batch_size
        self.device = params.device == "cuda"

    def key_parts(self) -> Mapping[str, Any]:
        """Checkpoint digest, precision, refinement, and the library that runs the network."""
        raise NotImplementedError

    def setup(self) -> None:
        """Load the checkpoint; raises StageCrash with the command that mends what is missing."""
        raise NotImplementedError

    def teardown(self) -> None:
        """Let go of the device's memory."""
        raise NotImplementedError

    def segment(self, pages: Sequence[PageImage], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """Masks for the boxes (left, top, right, bottom in page pixels) of every page, in order."""
        raise NotImplementedError
