"""Parameters of the `grounding-dino` detector: which phrases are looked for, by which weights, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.docparse.labels import LABELS, Label

DEFAULT_PROMPTS: Mapping[str, Label] = {
    "diagram": "diagram", "canvas": "canvas", "table": "table", "legend": "legend", "node": "node", "arrow": "arrow",
    "textbox": "textbox",
}  # fmt: skip
"""Every label, asked for by its own name."""


class GroundingDinoParams(BaseModel):
    """Grounding DINO: an open-vocabulary detector that is told in words what to look for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["grounding-dino"] = "grounding-dino"
    backend: Literal["transformers", "original"] = "transformers"
    """Whose code runs the model: `transformers`, or the reference package `groundingdino-py`; boxes are the same."""
    checkpoint: str = Field(default="grounding-dino-tiny", min_length=1)
    """Name in the registry of checkpoints: `spotter weights list`."""
    prompts: Mapping[str, Label] = Field(default=DEFAULT_PROMPTS, validate_default=True)
    """Phrase → the label of what it finds; several phrases may find one label."""
    negative_prompts: tuple[str, ...] = ()
    """Phrases for what must not become a region (`watermark`, `page border`): they take boxes away from the prompts."""
    labels: tuple[Label, ...] = LABELS
    """Labels that are kept; what prompts find of others is left out when regions are arranged."""
    min_score: float = Field(default=0.30, ge=0, le=1)
    """A box is kept when its best phrase scores this much."""
    label_score: float = Field(default=0.25, ge=0, le=1)
    """A further label of a kept box is told as an alternative when it scores this much."""
    precision: Literal["float16", "float32"] = "float16"
    device: Literal["cuda", "cpu"] = "cuda"
    batch_size: int = Field(default=8, ge=1, le=256)
    """Most pages, or tiles of pages, in one pass of the model; full memory halves it where it happens."""
    compile: bool = False
    """Compile the model first: one to three minutes a page size, worth it from some hundred pages of few sizes."""
    tile_px: int | None = Field(default=None, ge=256)
    """Side of square tiles that are looked at beside the whole page; None looks at the whole page only."""
    tile_overlap: float = Field(default=0.2, ge=0, le=0.5)
    """Share of a tile's side that the next tile repeats."""

    @field_validator("prompts", mode="before")
    @classmethod
    def _known_labels(cls, prompts: object) -> object:
        if isinstance(prompts, Mapping):
            for phrase, label in prompts.items():
                if label not in LABELS:
                    raise ValueError(f"phrase {phrase!r} is to find {label!r}, which is no label: {', '.join(LABELS)}")
        return prompts

    @model_validator(mode="after")
    def _consistent(self) -> GroundingDinoParams:
        if not self.prompts:
            raise ValueError("there are no prompts: give one phrase at least, as in prompts: {diagram: diagram}")
        seen: dict[str, str] = {}
        for phrase in self.phrases:
            plain = plain_phrase(phrase)
            if not plain:
                raise ValueError("a prompt is empty: write a word or two, or take it away")
            if re.search(r"[.?]", plain):
                raise ValueError(f"phrase {phrase!r} has a full stop or question mark, which ends a phrase: drop it")
            if plain in seen:
                raise ValueError(f"phrases {seen[plain]!r} and {phrase!r} are the same: name it once")
            seen[plain] = phrase
        if self.compile and self.backend == "original":
            raise ValueError("the original backend cannot be compiled: write compile: false, or backend: transformers")
        if self.precision == "float16" and self.device == "cpu":
            raise ValueError("float16 needs a GPU: write precision: float32 with device: cpu")
        return self

    @property
    def phrases(self) -> tuple[str, ...]:
        """All phrases in the order in which the model reads them, the negative ones last."""
        return (*self.prompts, *self.negative_prompts)


def plain_phrase(phrase: str) -> str:
    """A phrase as the model reads it: lower case, single blanks."""
    return " ".join(phrase.lower().split())
