"""What detectors find before anything is decided: boxes with a score for every prompt, down to a low floor.

Kept as `raw.json` beside the page, so that a threshold, an alias or a rule that is changed later needs no GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.core.manifest import Item
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import Box, PageText

if TYPE_CHECKING:
    import numpy

RAW_FLOOR = 0.05
"""Boxes whose best prompt scores lower are not kept even as raw ones."""


@dataclass(frozen=True, slots=True)
class PageOrigin:
    """The document that a page was drawn from, for a detector that reads documents rather than pixels."""

    path: str
    media_type: str
    page: int
    """1-based."""
    attached: Mapping[str, str] = field(default_factory=dict)
    """Further files that tell of the document: path in the workspace → path on this machine."""
    scratch: str | None = None
    """A folder that all workers of the run share, for what may be made again."""


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page as detectors and segmenters see it."""

    pixels: numpy.ndarray[Any, Any]
    """uint8, (height, width, 3), blue-green-red."""
    text: PageText
    item: Item | None = None
    """Which page of which document it is; None where only pixels are at hand."""
    origin: PageOrigin | None = None
    """None where only pixels are known, as in a test or a benchmark."""


@dataclass(frozen=True, slots=True)
class RawBox:
    """One box of a model that scores prompts."""

    box: Box
    scores: Mapping[str, float]
    """Prompt phrase → the best score over the tokens of that phrase; phrases below the floor are left out."""
    tile: int | None = None
    """Number of the tile that it was found on; None for the whole page."""


@dataclass(frozen=True, slots=True)
class RawPage:
    """All that a detector says of a page: raw boxes, or detections that it composed itself."""

    boxes: Sequence[RawBox] = ()
    composed: Sequence[Detection] | None = None
    """Labelled detections in reading order with parents and arrow ends, from a detector that decides those itself."""
    tiles: Sequence[Box] = field(default=())
    """Where the tiles lay, by their number."""
    notes: Mapping[str, float] = field(default_factory=dict)
    """Counts worth telling, summed into the stage's metrics: what was left out, and why."""


class Detector(Protocol):
    """Finds boxes in the pixels of pages; on a device it takes many pages at once."""

    name: str
    version: str
    device: bool
    """Whether it wants the one device of the machine, a batch at a time."""
    batch_size: int
    reads_words: bool
    """Whether the words of a page change its answers."""

    def key_parts(self) -> Mapping[str, Any]:
        """What else changes its answers: checkpoint digests, precision, prompts."""

    def libraries(self) -> Mapping[str, str]:
        """The libraries that change its answers, with their versions; raises StageCrash where one is missing."""

    def setup(self) -> None:
        """Load what it needs; raises StageCrash with the command that mends what is missing."""

    def teardown(self) -> None:
        """Let go of the device's memory."""

    def find(self, pages: Sequence[PageImage]) -> list[RawPage]:
        """One raw page per page, in order."""
