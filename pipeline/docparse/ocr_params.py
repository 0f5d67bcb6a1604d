"""Parameters of the `ocr` stage: whether text is read from pixels, by whom, and in which languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
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


_PACKAGED = """
afr amh ara asm aze aze_cyrl bel ben bod bos bre bul cat ceb ces chi_sim chi_sim_vert chi_tra chi_tra_vert chr cos
cym dan deu div dzo ell eng enm epo est eus fao fas fil fin fra frk frm fry gla gle glg grc guj hat heb hin hrv hun
hye iku ind isl ita ita_old jav jpn jpn_vert kan kat kat_old kaz khm kir kmr kor kor_vert lao lat lav lit ltz mal
mar mkd mlt mon mri msa mya nep nld nor oci ori pan pol por pus que ron rus san sin slk slv snd spa spa_old sqi srp
srp_latn sun swa swe syr tam tat tel tgk tha tir ton tur uig ukr urd uzb uzb_cyrl vie yid yor
"""
PACKAGED = frozenset(_PACKAGED.split())
"""Languages that Debian 12 has data for, by Tesseract's own names."""


def unpackaged(languages: Sequence[str]) -> str | None:
    """What is to be said of languages that no package of Debian's has; None when each has one."""
    strange = [language for language in languages if language not in PACKAGED]
    if not strange:
        return None
    names = " and ".join(repr(language) for language in strange)
    close = [match for language in strange for match in get_close_matches(language, sorted(PACKAGED), n=1)]
    meant = f" (did you mean {' and '.join(close)}?)" if close else ""
    return (
        f"Debian has no package of Tesseract's for {names}{meant}, `apt-cache search tesseract-ocr` lists those it has"
    )


def debian_packages(languages: Sequence[str]) -> tuple[str, ...]:
    """Debian's packages for reading in these languages: Tesseract, and the data of each."""
    return ("tesseract-ocr", *(f"tesseract-ocr-{language.lower().replace('_', '-')}" for language in languages))
