"""Which segmenter, and how it runs: parameters that a form can show without loading a model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class NoSegmenter(BaseModel):
    """Regions are boxes; no mask is cut."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["none"] = "none"


class Sam2Params(BaseModel):
    """SAM 2 cuts a mask for every box that is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["sam2"] = "sam2"
    backend: Literal["transformers", "original"] = "transformers"
    """Whose code runs the network: the `transformers` library, or the authors' own package `sam2`. Same checkpoints,
    same masks; the second is there for those who must reproduce it."""
    checkpoint: str = "sam2.1-hiera-large"
    """Name in the registry of checkpoints (`spotter weights list`); either backend reads either published layout."""
    precision: Literal["float16", "float32"] = "float16"
    """`float16`: encoder and decoder in half precision; boxes are always placed in single precision."""
    device: Literal["cuda", "cpu"] = "cuda"
    batch_size: int = Field(default=8, ge=1, le=256)
    """Pages that the encoder takes at once."""
    boxes_per_call: int = Field(default=64, ge=8, le=1024, multiple_of=8)
    """Most boxes that the decoder takes at once, whatever pages they are on; bounds its memory."""
    compile: bool = False
    """Compile the encoder: one to three minutes before the first page, worth it for many hundred pages."""
    refine_below_px: int | None = Field(default=None, ge=1)
    """Regions whose shorter side is below this are cut a second time from an enlarged part of the page, where lines of
    a pixel's width survive. Costs another encoder pass per part; None: no second pass."""

    @model_validator(mode="after")
    def _consistent(self) -> Sam2Params:
        if self.precision == "float16" and self.device == "cpu":
            raise ValueError("float16 needs a GPU: write precision: float32 with device: cpu")
        return self
