"""What asking a model about pages will cost: by their regions where these are known, else by what pages are like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.manifest import Item
from pipeline.docparse.page_files import read_regions
from pipeline.docparse.regions import Region
from pipeline.docparse.vlm.params import OpenAiParams
from pipeline.docparse.vlm.questions import grouped, image_bound
from pipeline.docparse.vlm.tokens import fixed_tokens, image_tokens, text_about, usd

USUAL_QUESTIONS = 4
"""Questions that a page is taken to need before anybody saw it."""
USUAL_TEXT_BYTES = 1_200
"""Words of such a question."""
USUAL_PICTURE_PX = (1200, 800)
USUAL_ANSWER_TOKENS = 500
"""An answer about one region."""
PART_ANSWER_TOKENS = 40
"""What each part of a diagram adds to it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is ahead; money is None when prices are unknown."""

    questions: int
    input_tokens: int
    output_tokens: int
    usd: float | None
    usd_at_most: float | None
    """Every answer as long as it may be, and asked for twice."""
    known_items: int
    """Pages whose regions are known; the others are guessed."""
    items: int

    def words(self, params: OpenAiParams) -> str:
        """In one line."""
        tokens = f"{_short(self.input_tokens)} tokens in and {_short(self.output_tokens)} out"
        guessed = self.items - self.known_items
        pages = "1 page" if guessed == 1 else f"{guessed} pages"
        how = f" ({pages} guessed at {USUAL_QUESTIONS} questions each)" if guessed else ""
        if self.usd is None or self.usd_at_most is None:
            money = "price unknown: say analyst.usd_per_1m_input and analyst.usd_per_1m_output to see and cap it"
        else:
            money = f"about {_money(self.usd)}, at most {_money(self.usd_at_most)}"
            money += f", capped at {_money(params.max_usd)}" if params.max_usd is not None else ", no cap"
        return f"{params.model}: {self.questions} questions, about {tokens}, {money}{how}"


def _short(tokens: int) -> str:
    """Two digits and a unit: an estimate is no better than that."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if tokens >= size:
            return f"{tokens / size:.2g} {unit}" if tokens < 100 * size else f"{tokens / size:.0f} {unit}"
    return str(tokens)


def _money(usd: float) -> str:
    """Cents, and of less than one the first digit that is not 0: no price but 0 is shown as 0."""
    if usd >= 0.01 or usd == 0:
        return f"${usd:.2f}"
    return f"${usd:.1g}" if usd >= 0.0001 else "less than $0.0001"


def estimate(params: OpenAiParams, pages: Iterable[Sequence[Region]], guessed_pages: int = 0) -> Estimate:
    """For pages whose regions are known, and so many others."""
    questions = input_tokens = output_tokens = known = 0
    for regions in pages:
        known += 1
        for holder, parts in grouped(regions, params)[0].items():
            region = regions[holder]
            questions += 1 + max(0, len(parts) - 1) // params.max_parts
            words = len(region.text.encode()) + 60 * len(parts)
            input_tokens += _about(params, words, image_bound(region.box, region.page_size_px, params))
            output_tokens += USUAL_ANSWER_TOKENS + PART_ANSWER_TOKENS * len(parts)
    usual = guessed_pages * USUAL_QUESTIONS
    questions += usual
    input_tokens += usual * _about(params, USUAL_TEXT_BYTES, image_tokens(*USUAL_PICTURE_PX, params))
    output_tokens += usual * USUAL_ANSWER_TOKENS
    longest = questions * 3 * params.max_output_tokens
    return Estimate(
        questions, input_tokens, output_tokens, usd(params, input_tokens, output_tokens),
        usd(params, 2 * input_tokens, longest), known, known + guessed_pages,
    )  # fmt: skip


def _about(params: OpenAiParams, text_bytes: int, picture_tokens: int) -> int:
    return fixed_tokens(params) // 2 + text_about(text_bytes) + picture_tokens


def forecast(params: OpenAiParams, items: Sequence[Item], run_dir: Path) -> str:
    """The estimate for a run's pages, in one line."""
    known = [item for item in items if (run_dir / item.folder / "regions.jsonl").exists()]
    pages = (read_regions(run_dir, item.folder) for item in known)
    return estimate(params, pages, len(items) - len(known)).words(params)
