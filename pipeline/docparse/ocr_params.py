"""Parameters of the `ocr` stage: whether text is read from pixels, by whom, and in which languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NoOcr(_Section):
    """Text is never read from pixels: a page without a text layer has no words, and says so."""

    name: Literal["none"] = "none"


class TesseractParams(_Section):
    """Tesseract's command line, one process a page."""

    name: Literal["tesseract"] = "tesseract"
    languages: tuple[str, ...] = Field(default=("rus", "eng"), min_length=1)
    """Names of Tesseract's language data, the most likely one first."""
    pages: Literal["without-text", "all"] = "without-text"
    """`without-text` reads pages that have no words, or only stray ones on a scan; `all` reads pages that have a text
    layer too. What is read takes the layer's place."""
    stray_words_share: float = Field(default=0.01, ge=0, le=1)
    """A page whose words cover less than this share of it, while pictures cover it as a scan, has no text layer worth
    the name: a page number, a fax header, a scanner's mark. A paragraph covers 0.02 and more. 0: any word counts."""
    scan_share: float = Field(default=0.75, ge=0, le=1)
    """Pictures that cover this share of a page or more make it a scan with margins, not a page with a figure."""
    dpi: int = Field(default=300, ge=70, le=600)
    """Resolution at which a PDF page is drawn for reading; Tesseract wants about 300. Images stay as they are."""
    min_confidence: float = Field(default=0.3, ge=0, le=1)
    """Words that Tesseract is less sure of are left out, and counted."""
    layout: int = Field(default=3, ge=1, le=13)
    """Tesseract's page segmentation mode: 3 finds columns and blocks, 6 takes a page for one block, 11 for no block."""
    timeout_s: float = Field(default=120.0, gt=0)
    """A page that takes longer fails, alone."""

    @field_validator("languages")
    @classmethod
    def _named_as_files(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        for language in languages:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", language):
                raise ValueError(f"{language!r} is no name of a language: write eng, rus, chi_sim …")
        return languages


OcrParams = Annotated[NoOcr | TesseractParams, Field(discriminator="name")]
"""Who reads text from pixels."""


def debian_packages(languages: Sequence[str]) -> tuple[str, ...]:
    """Debian's packages for reading in these languages: Tesseract, and the data of each."""
    return ("tesseract-ocr", *(f"tesseract-ocr-{language.lower().replace('_', '-')}" for language in languages))
