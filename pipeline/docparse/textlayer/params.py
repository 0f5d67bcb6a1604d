"""Parameters of the analyst that reads the text layer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class TextLayerParams(BaseModel):
    """From the words that the document itself holds, no model; named in every description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["text-layer"] = "text-layer"

    @property
    def place(self) -> Literal["box", "laptop"]:
        """Where it works: wherever the run does."""
        return "box"
