"""Parameters of arranging: how raw boxes become regions. None or false switches a step off."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from pipeline.docparse.labels import Label

MIN_AREA_PX: dict[Label, float] = {
    "diagram": 2500, "canvas": 2500, "table": 900, "legend": 400, "node": 64, "textbox": 48,
}  # fmt: skip
"""Smallest area by label at 150 dpi: a diagram of 8 × 8 mm, a table of 5 × 5 mm, a textbox of one small letter."""


class ArrangeParams(BaseModel):
    """What is dropped, what is merged, and what is related to what, in the order in which it happens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    negative_iou: float | None = Field(default=0.8, ge=0, le=1)
    """A box that a negative prompt names best drops weaker boxes that overlap it so much."""
    min_area_px: dict[Label, float] = MIN_AREA_PX
    """Smallest area by label, in square pixels of a page at 150 dpi, whatever the page's own resolution is; a label
    left out has none. Arrows are thin and have the next one."""
    min_arrow_px: float = Field(default=8.0, ge=0)
    """Shortest longer side of an arrow, in pixels of a page at 150 dpi: a head alone."""
    max_area_share: float | None = Field(default=0.95, ge=0, le=1)
    """Boxes of nearly the whole page are a detector's shrug, unless they are a diagram or a canvas."""
    tile_iou: float | None = Field(default=0.5, ge=0, le=1)
    """Boxes of two tiles are one thing when they agree so much where both tiles look."""
    nms_iou: float | None = Field(default=0.55, ge=0, le=1)
    """Of two boxes of one label that overlap more than this, the better one stays."""
    same_region_iou: float | None = Field(default=0.9, ge=0, le=1)
    """Two boxes of different labels that overlap more than this are one region with an alternative label."""
    contained_share: float | None = Field(default=0.9, ge=0, le=1)
    """A box of which more than this lies in another one of its label is no region of its own; never an arrow."""
    parent_share: float | None = Field(default=0.9, ge=0, le=1)
    """A region of which at least this lies in a container is the container's."""
    parent_area_ratio: float = Field(default=1.15, gt=1)
    """A container is so much larger than what it holds."""
    arrow_reach_share: float | None = Field(default=0.02, ge=0, le=1)
    """How far an arrow's end may be from its node, as a share of the page's diagonal (43 px of A4 at 150 dpi)."""
    reading_order: bool = True
    """Off: regions come by score."""
