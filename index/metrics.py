"""Retrieval metrics of one ranked list, as trec_eval defines them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def by_score(scores: Mapping[str, float]) -> list[str]:
    """Ids by falling score; equal scores by falling id, as trec_eval breaks ties."""
    return sorted(sorted(scores, reverse=True), key=lambda found: -scores[found])


def recall(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Share of what is relevant (gain above 0) that stands among the first `k`; 0 when nothing is relevant."""
    relevant = {found for found, gain in gains.items() if gain > 0}
    return len(relevant & set(ranked[:k])) / len(relevant) if relevant else 0.0


def ndcg(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """Gain discounted by log2(rank + 1), over the first `k`, relative to the best possible order.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (ACM TOIS 2002), with the gain itself in
    the numerator, not 2^gain - 1.
    """
    ideal = _discounted(sorted((gain for gain in gains.values() if gain > 0), reverse=True)[:k])
    return _discounted([max(0.0, gains.get(found, 0.0)) for found in ranked[:k]]) / ideal if ideal > 0 else 0.0


def mrr(ranked: Sequence[str], gains: Mapping[str, float], k: int) -> float:
    """One over the rank of the first relevant one; 0 when none stands among the first `k`."""
    return next((1.0 / rank for rank, found in enumerate(ranked[:k], start=1) if gains.get(found, 0.0) > 0), 0.0)


def all_metrics(ranked: Sequence[str], gains: Mapping[str, float], cutoffs: Sequence[int]) -> dict[str, float]:
    """Every metric at every cutoff, by the names `R@5`, `nDCG@5`, `MRR@5`."""
    said: dict[str, float] = {}
    for name, measure in (("R", recall), ("nDCG", ndcg), ("MRR", mrr)):
        said |= {f"{name}@{k}": measure(ranked, gains, k) for k in cutoffs}
    return said


def grouped(
    ranked: Sequence[str], gains: Mapping[str, float], groups: Mapping[str, str]
) -> tuple[list[str], dict[str, float]]:
    """The list and the gains with every record replaced by its group: each group once, with its greatest gain.

    A record without a group is one by itself.
    """
    merged: dict[str, float] = {}
    for found, gain in gains.items():
        group = groups.get(found, found)
        merged[group] = max(gain, merged.get(group, 0.0))
    return list(dict.fromkeys(groups.get(found, found) for found in ranked)), merged


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
