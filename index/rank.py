"""Pure ranking: joining result lists and keeping text in sight. Rows are record numbers; lists are best first."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Literal

Fusion = Literal["convex", "rrf"]
"""How words and vectors are joined. Boosts fitted under one are not valid under the other."""

LEXICAL_SHARE = 0.8
"""Weight of words beside vectors in the joined score; any value from .7 to .9 ranks public questions about alike."""

_MEASURED_SPACES = frozenset({"offline/hash3072-stem-char4"})
"""Provider and model of spaces for which `LEXICAL_SHARE` was chosen on labelled questions (benchmarks/balance.py)."""
RRF_CONSTANT = 60.0
"""Of the paper; larger flattens the lead of first places."""

VISUAL_TYPES = frozenset({"VisualCaption", "VisualFact", "ImageVec"})
"""Types that speak of a region; all others are text of the document itself."""


def is_text(record_type: str) -> bool:
    """Whether records of this type are the document's own text and count for the text quota."""
    return record_type not in VISUAL_TYPES


HEADING_TYPES = frozenset({"Title", "Header", "Footer"})
"""Text that names a place without saying anything there."""


def fills_text_quota(record_type: str) -> bool:
    """Whether records of this type are what the text quota keeps places for.

    Headings are not: short and full of a question's own words they stand before the passage below them, and would take
    the places that are kept for it.
    """
    return is_text(record_type) and record_type not in HEADING_TYPES


def default_fusion(space: str) -> Fusion:
    """Convex where the share of words was measured on labelled questions, reciprocal ranks where it was not.

    Convex combination is the better one once its share fits the space, and a few dozen labels are enough for that
    (Bruch, Gai, Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 2023, arXiv 2210.11934;
    `benchmarks/balance.py` shows both for the offline space). Reciprocal ranks need no scale at all. Fitted boosts
    carry the choice that they were fitted with, and it wins over this one.

    Args:
        space: id of a space.
    """
    return "convex" if space.rsplit("/", 2)[0] in _MEASURED_SPACES else "rrf"


def with_text_quota(
    ranking: Sequence[int],
    text_rows: Container[int],
    *,
    first: int = 5,
    minimum: int = 2,
    wanted: int | None = None,
) -> list[int]:
    """The ranking with at least `minimum` text rows among each `first`, as far as there are any.

    Every block of `first` places takes the best rows left over, except that its last places are kept for text while the
    block has too little of it. Order inside text and inside the rest never changes. So a few hundred text chunks can't
    drown in thousands of facts, and visual answers keep the majority when they are better. The list ends with the block
    that makes it as long as `wanted`, if that is given.
    """
    text = [row for row in ranking if row in text_rows]
    place = {row: at for at, row in enumerate(ranking)}
    visual = [row for row in ranking if row not in text_rows]
    result: list[int] = []
    next_text = next_visual = 0
    while (next_text < len(text) or next_visual < len(visual)) and (wanted is None or len(result) < wanted):
        texts_in_block = 0
        for free in range(first, 0, -1):
            has_text, has_visual = next_text < len(text), next_visual < len(visual)
            if not has_text and not has_visual:
                break
            owed = min(minimum - texts_in_block, len(text) - next_text)
            if has_text and (not has_visual or owed >= free or place[text[next_text]] < place[visual[next_visual]]):
                result.append(text[next_text])
                next_text += 1
                texts_in_block += 1
            else:
                result.append(visual[next_visual])
                next_visual += 1
    return result
