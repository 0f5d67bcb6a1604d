"""The labels that regions may have."""

from __future__ import annotations

from typing import Literal

Label = Literal["diagram", "canvas", "table", "legend", "node", "arrow", "textbox"]
LABELS: tuple[Label, ...] = ("diagram", "canvas", "table", "legend", "node", "arrow", "textbox")
"""What a detector looks for; the order is the category order of COCO files."""
