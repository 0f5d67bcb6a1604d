"""What a segmenter is: boxes on pages in, masks out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.docparse.raw import PageImage
from pipeline.docparse.words import Box

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True, slots=True)
class Mask:
    """The pixels of one region, kept as the part of the page that holds them."""

    left: int
    top: int
    """Where the crop lies on the page, in page pixels."""
    pixels: numpy.ndarray[Any, Any]
    """bool, (height, width) of the crop; what lies outside of it is not part of the region."""
    quality: float
    """The model's own estimate of the mask's IoU, 0 to 1."""
    stability: float
    """IoU of the mask cut a little above and a little below its threshold, 0 to 1 (as SAM defines it)."""
    flags: tuple[str, ...] = ()
    """What is odd about it: `empty`, `leaves-box`, `many-parts`, `nearly-full-box` …"""


class Segmenter(Protocol):
    """Cuts masks for boxes; on a device it takes many pages at once."""

    name: str
    version: str
    batch_size: int

    def key_parts(self) -> Mapping[str, Any]:
        """What else changes its answers: checkpoint digests, precision."""

    def libraries(self) -> Mapping[str, str]:
        """The libraries that change its answers, with their versions; raises StageCrash where one is missing."""

    def setup(self) -> None:
        """Load what it needs; raises StageCrash with the command that mends what is missing."""

    def teardown(self) -> None:
        """Let go of the device's memory."""

    def segment(self, pages: Sequence[PageImage], boxes: Sequence[Sequence[Box]]) -> list[list[Mask]]:
        """Masks for the boxes of every page, in order; a page without boxes has none."""
