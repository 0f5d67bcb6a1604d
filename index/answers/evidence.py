"""Whether the index knows anything of a question, before a model is asked: how much of it a passage holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from index.words import FUNCTION_WORDS, folded_words, stem

if TYPE_CHECKING:
    from index.found import Hit

MIN_COVERAGE = 0.4
"""Of the question's words, weighted by their length, that one passage must hold. Chosen where `benchmarks/abstain.py`
keeps nine of ten questions that have an answer and stops three of four that have none."""
MIN_COSINE_ABOVE_NOISE = 0.15
"""By so much the cosine of a semantic vector must pass what unrelated texts have."""
_FULL_WEIGHT_LETTERS = 6
"""Shorter words weigh less: length is the best sign of a word that carries content, without a corpus to count in."""


def coverage(question: str, text: str) -> float:
    """The share of the question's words that a text holds, in any inflection, 0..1; words like *which* don't count."""
    weights = {
        stem(word): min(1.0, len(word) / _FULL_WEIGHT_LETTERS)
        for word in folded_words(question)
        if word not in FUNCTION_WORDS
    }
    if not weights:
        return 0.0
    there = {stem(word) for word in folded_words(text)}
    return sum(weight for one, weight in weights.items() if one in there) / sum(weights.values())


def best_coverage(question: str, hits: Sequence[Hit]) -> float:
    """The largest share that one passage holds."""
    return max((coverage(question, hit.text) for hit in hits), default=0.0)


def best_cosine(hits: Sequence[Hit]) -> float | None:
    """The nearest vector's cosine; None when no vector took part."""
    return max((hit.why.cosine for hit in hits if hit.why.cosine is not None), default=None)
