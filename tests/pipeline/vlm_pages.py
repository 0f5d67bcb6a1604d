"""Pages with regions and words, made for the analyst that asks a model: no detector, no document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.docparse.labels import Label
from pipeline.docparse.regions import Detection, DetectorName, Region, make_regions
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.words import Box, PageText, Word

WIDTH, HEIGHT = 1240, 1754
PRICES = {"usd_per_1m_input": 2.5, "usd_per_1m_output": 10.0}
PATIENT = {"timeout_s": 60.0, "longest_pause_s": 0.2, "api_key_env": None, "batch_poll_s": 0.02}
"""Pauses for a server that is at hand; a busy machine must not be taken for a silent one."""


def openai_params(url: str = "http://127.0.0.1:9/v1", **changes: Any) -> OpenAiParams:
    return OpenAiParams.model_validate({"model": "seer-1", "base_url": url, **PATIENT, **PRICES, **changes})


def words_in(box: Box, text: str, per_line: int = 8) -> list[Word]:
    """Words set in lines inside a box."""
    left, top, right, _ = box
    words = []
    step = (right - left) / per_line
    for number, word in enumerate(text.split()):
        line, column = divmod(number, per_line)
        x, y = left + column * step + 2, top + 4 + line * 14
        words.append(Word(word, (x, y, x + step - 4, y + 10), 0, line))
    return words


def make_page(
    drawn: Sequence[tuple[Label, Box, int | None, str]], *, with_text: bool = True, page: int = 1
) -> tuple[list[Region], PageText]:
    """(label, box, index of the parent, words) of every region → the page."""
    words = [word for _, box, _, text in drawn for word in words_in(box, text)]
    text = PageText(WIDTH, HEIGHT, 150, words if with_text else [])
    found = [Detection(label, box, 0.9, parent=parent) for label, box, parent, _ in drawn]
    inside = [" ".join(text.words[index].text for index in text.inside(each.box)) for each in found]
    regions = make_regions(
        found, inside, document="doc-00000000", page=page, page_size_px=(WIDTH, HEIGHT), text_source=text.source,
        detector=DetectorName(name="made", version="1"), folder=f"artifacts/doc/p{page:04d}",
    )  # fmt: skip
    return regions, text


def simple_page(page: int = 1, *, with_text: bool = True) -> tuple[list[Region], PageText]:
    """A table with words, a diagram with two nodes and an arrow, a speck inside it."""
    return make_page(
        [
            ("table", (100, 100, 900, 300), None, f"Слой {page} Ёмкость Platform value stack table cells"),
            ("diagram", (100, 400, 900, 900), None, f"Flow {page} of the platform"),
            ("node", (150, 500, 350, 600), 1, f"Source {page}"),
            ("node", (600, 500, 800, 600), 1, f"Target {page}"),
            ("arrow", (350, 540, 600, 560), 1, ""),
            ("textbox", (400, 700, 420, 712), 1, ""),
        ],
        with_text=with_text,
        page=page,
    )
