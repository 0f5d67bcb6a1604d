"""Parameters of docparse: what to parse, how finely, and by which named alternatives."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.core.pipeline import RunParams
from pipeline.docparse.labels import LABELS, Label

DETECTORS = ("opencv",)
ANALYSTS = ("text-layer",)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DetectorParams(_Section):
    """Who finds regions on a page."""

    name: str = "opencv"
    """`opencv`: contours and morphology, no model. Named in every region that it finds."""
    min_score: float = Field(default=0.3, ge=0, le=1)
    """Regions scored lower are left out; how a score comes about is told in `docparse/opencv/score.py`."""
    labels: tuple[Label, ...] = LABELS

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _one_of("detector", name, DETECTORS)


class AnalystParams(_Section):
    """Who says what a region means."""

    name: str = "text-layer"
    """`text-layer`: from the words that the document itself holds, no model. Named in every description."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _one_of("analyst", name, ANALYSTS)


class DocparseParams(RunParams):
    """Parameters of a docparse run."""

    sources: tuple[str, ...] = Field(min_length=1)
    """Files and folders, relative to the workspace."""
    dpi: int = Field(default=150, ge=36, le=600)
    """Resolution at which PDF pages are drawn; images keep their own pixels."""
    max_page_pixels: int = Field(default=50_000_000, ge=10_000)
    """Largest page that is drawn, in pixels (an A0 sheet at 150 dpi has 35 million)."""
    detector: DetectorParams = DetectorParams()
    analyst: AnalystParams = AnalystParams()

    def stage_values(self, *names: str) -> dict[str, Any]:
        """Those parameters that a stage reads, as JSON values for its cache key."""
        values = self.model_dump(mode="json")
        return {name: values[name] for name in names}


def _one_of(what: str, name: str, known: tuple[str, ...]) -> str:
    if name not in known:
        raise ValueError(f"there is no {what} {name!r} here; choose {', '.join(known)}")
    return name
