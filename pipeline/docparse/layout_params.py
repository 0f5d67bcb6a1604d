"""Parameters of the `layout` detector, and how its labels are told in ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.docparse.labels import LABELS, Label

LayoutLabel = Literal[
    "text", "title", "section-header", "list-item", "caption", "footnote", "page-header", "page-footer",
    "table", "picture", "formula",
]  # fmt: skip
"""What PyMuPDF's layout model says of a box."""

LABELS_MAP: Mapping[LayoutLabel, Label] = {
    "text": "textbox", "title": "textbox", "section-header": "textbox", "list-item": "textbox", "caption": "textbox",
    "table": "table",
}  # fmt: skip
"""The same thing under two names. Not here, so left out and counted: `picture`, which may be a diagram, a photo or a
logo, and what a page repeats or adds at its rim (`page-header`, `page-footer`, `footnote`, `formula`)."""


class LayoutParams(BaseModel):
    """PyMuPDF's own layout model: regions of pages that have a text layer, on the processor, with no download."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["layout"] = "layout"
    min_score: float = Field(default=0.3, ge=0, le=1)
    labels: tuple[Label, ...] = LABELS
    labels_map: Mapping[LayoutLabel, Label] = LABELS_MAP
    """Its label → ours; a label that is not named here is left out and counted. `picture: diagram` is yours to say."""
