"""Parameters of docparse: what to parse, how finely, and by which named alternatives.

Each alternative has parameters of its own, in a module that imports nothing heavy; here they are put together. A name
chooses among them (`detector: {name: layout}`), and everything else in that section is the chosen one's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.core.pipeline import RunParams
from pipeline.docparse.arrange.params import ArrangeParams
from pipeline.docparse.given_params import GivenParams
from pipeline.docparse.labels import LABELS, Label
from pipeline.docparse.layout_params import LayoutParams
from pipeline.docparse.ocr_params import NoOcr, TesseractParams
from pipeline.docparse.pages.source import Renderer
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.models.grounding_dino.params import GroundingDinoParams
from pipeline.models.sam2.params import NoSegmenter, Sam2Params


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OpenCvParams(_Section):
    """Contours and morphology, no model."""

    name: Literal["opencv"] = "opencv"
    min_score: float = Field(default=0.3, ge=0, le=1)
    """Regions scored lower are left out; how a score comes about is told in `docparse/opencv/score.py`."""
    labels: tuple[Label, ...] = LABELS


class TextLayerParams(_Section):
    """From the words that the document itself holds, no model."""

    name: Literal["text-layer"] = "text-layer"

    @property
    def place(self) -> Literal["box", "laptop"]:
        """Where it works: wherever the run does."""
        return "box"


def _named(what: str, *alternatives: type[BaseModel]) -> BeforeValidator:
    """Answer an unknown name with the known ones; a section without a name is the first alternative's."""
    names = [get_args(each.model_fields["name"].annotation)[0] for each in alternatives]

    def check(value: object) -> object:
        if not isinstance(value, dict):
            return value
        name = value.get("name", names[0])
        if name not in names:
            raise ValueError(f"there is no {what} {name!r} here; choose {', '.join(names)}")
        return {**value, "name": name}

    return BeforeValidator(check)


DetectorParams = Annotated[
    OpenCvParams | GroundingDinoParams | LayoutParams | GivenParams,
    Field(discriminator="name"),
    _named("detector", OpenCvParams, GroundingDinoParams, LayoutParams, GivenParams),
]
"""Who finds regions on a page. Named in every region that it finds."""

SegmenterParams = Annotated[
    NoSegmenter | Sam2Params, Field(discriminator="name"), _named("segmenter", NoSegmenter, Sam2Params)
]
"""Who cuts masks for the regions. Named in every region that has one."""

AnalystParams = Annotated[
    TextLayerParams | OpenAiParams, Field(discriminator="name"), _named("analyst", TextLayerParams, OpenAiParams)
]
"""Who says what a region means. Named in every description."""

OcrParams = Annotated[
    NoOcr | TesseractParams, Field(discriminator="name"), _named("reader of pixels", NoOcr, TesseractParams)
]
"""Who reads text from pixels."""


class DocparseParams(RunParams):
    """Parameters of a docparse run."""

    sources: tuple[str, ...] = Field(min_length=1)
    """Files and folders, relative to the workspace."""
    dpi: int = Field(default=150, ge=36, le=600)
    """Resolution at which PDF pages are drawn; images keep their own pixels."""
    max_page_pixels: int = Field(default=50_000_000, ge=10_000)
    """Largest page that is drawn, in pixels (an A0 sheet at 150 dpi has 35 million)."""
    renderer: Renderer = "mupdf"
    ocr: OcrParams = NoOcr()
    detector: DetectorParams = OpenCvParams()
    arrange: ArrangeParams = ArrangeParams()
    segmenter: SegmenterParams = NoSegmenter()
    analyst: AnalystParams = TextLayerParams()

    def stage_values(self, *names: str) -> dict[str, Any]:
        """Those parameters that a stage reads, as JSON values for its cache key."""
        values = self.model_dump(mode="json")
        return {name: values[name] for name in names}
