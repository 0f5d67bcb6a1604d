"""The best rows of a view for one query: words and vectors joined over all records, weighted, repeats collapsed.

score = relevance × weight, where relevance joins what words and vector say of a record, each over the query's greatest,
and weight is the product of its boosts. The list by score is exact: no record outside the vector's candidates could
stand higher, or it is looked up (Fagin's threshold argument, "Optimal aggregation algorithms for middleware", PODS
2001). Reciprocal ranks are joined over the candidates alone, since a rank is nothing that a record has by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index.found import Mode
from index.near_duplicates import collapsed
from index.rank import RRF_CONSTANT, Fusion, fills_text_quota, is_text, with_text_quota
from index.view import Mask, View, Weights

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

CANDIDATES = 100
"""Best rows by vector of each kind, text and visual, before anything is joined."""
_KEPT_OF_EACH = 2
"""Of text and of the rest, so many times the rows that must be exact are handed on: more than repeats take away."""
_COMPARED_FOR_REPEATS = 400
"""Best rows among which repeats are looked for."""


@dataclass(frozen=True)
class Candidates:
    """Rows by falling score, equal scores by row, with each factor; all arrays (n,)."""

    rows: Rows
    lexical: Scores
    """0: not found by words."""
    cosines: Scores
    """0: not found by vector."""
    relevance: Scores
    """Both joined, 0..1."""
    scores: Scores
    total: int
    """Rows found by words, and by vector alone."""

    @staticmethod
    def none() -> Candidates:
        """Nothing found."""
        nothing = np.empty(0)
        return Candidates(np.empty(0, dtype=np.int64), nothing, nothing, nothing, nothing, 0)


@dataclass(frozen=True)
class _Found:
    """What one kind's vector search and all words give: rows that can be among the best."""

    rows: Rows
    cosines: Scores


def candidates(
    view: View,
    lexical: Scores,
    vector: npt.NDArray[np.float32] | None,
    mask: Mask,
    weights: Weights | None,
    *,
    fusion: Fusion,
    lexical_share: float,
    noise_cosine: float,
    wanted: int,
) -> Candidates:
    """The rows that can be among the best `wanted` of text or of the rest, ranked by score.

    Args:
        view: what is searched.
        lexical: (rows,) score by words, 0 where none is found.
        vector: (dim,) of the query; None: words only.
        mask: rows that count.
        weights: (rows,) products of boosts; None: all 1.
        fusion: how words and vector are joined.
        lexical_share: weight of words in convex fusion.
        noise_cosine: a cosine up to this counts as 0.
        wanted: how many rows of each kind must be exact.
    """
    matched = np.flatnonzero((lexical > 0) & mask)
    greatest = float(lexical[matched].max(initial=0.0))
    kinds = (mask & view.is_text, mask & ~view.is_text)
    depth = max(CANDIDATES, wanted)
    noise = np.float32(noise_cosine)
    nearest = [] if vector is None else view.scan.best_of_each(vector, weights, kinds, depth, above=noise_cosine)
    nowhere = np.zeros(len(view.alive), dtype=np.float32)
    cosine_bounds = (nowhere, nowhere) if vector is None else view.scan.between
    greatest_cosine = max((float(found.cosines.max(initial=0.0)) for found in nearest), default=0.0)
    share = 1.0 if greatest_cosine <= 0 else 0.0 if greatest <= 0 else lexical_share
    of_words = share / greatest if greatest > 0 else 0.0
    of_vector = (1 - share) / greatest_cosine if greatest_cosine > 0 else 0.0

    def weight(rows: Rows) -> Scores:
        return np.ones(len(rows)) if weights is None else weights[rows].astype(np.float64)

    found: list[_Found] = []
    for at, kind in enumerate(kinds):
        near = nearest[at] if nearest else None
        near_rows = near.rows if near is not None else np.empty(0, dtype=np.int64)
        near_cosines = near.cosines.astype(np.float64) if near is not None else np.empty(0)
        known = np.zeros(len(view.alive), dtype=np.bool_)
        known[near_rows] = True
        others = matched[kind[matched] & ~known[matched]]
        exact = (of_words * lexical[near_rows] + of_vector * near_cosines) * weight(near_rows)
        least, most = (
            (of_words * lexical[others] + of_vector * np.where(bound > noise, bound, 0.0)) * weight(others)
            for bound in (bounds[others].astype(np.float64) for bounds in cosine_bounds)
        )
        others = others[most >= _kth_greatest(np.concatenate([exact, least]), depth)]
        cosines = np.zeros(len(others))
        if vector is not None and len(others):
            cosines = view.scan.cosines(others, vector).astype(np.float64)
            cosines[cosines <= noise] = 0.0
        found.append(_Found(np.concatenate([near_rows, others]), np.concatenate([near_cosines, cosines])))
    rows = np.concatenate([one.rows for one in found])
    cosines = np.concatenate([one.cosines for one in found])
    if fusion == "convex":
        relevance = of_words * lexical[rows] + of_vector * cosines
    else:
        relevance = _reciprocal_ranks(_ranks(rows, lexical[rows]), _ranks(rows, cosines))
    scores = relevance * weight(rows)
    total = len(matched) + int(np.count_nonzero(lexical[rows] <= 0))
    order = np.lexsort((rows, -scores))
    text = view.is_text[rows[order]]
    kept = np.where(text, np.cumsum(text), np.cumsum(~text)) <= _KEPT_OF_EACH * depth
    order = order[kept | (lexical[rows[order]] <= 0)]
    rows = rows[order]
    return Candidates(
        rows=rows,
        lexical=lexical[rows],
        cosines=cosines[order],
        relevance=relevance[order],
        scores=scores[order],
        total=total,
    )


def _kth_greatest(scores: Scores, k: int) -> float:
    return 0.0 if len(scores) <= k else float(np.partition(scores, -k)[-k])


def _ranks(rows: Rows, scores: Scores) -> Scores:
    """1-based ranks of the rows with a score above 0, equal scores by row; infinite for the rest."""
    order = np.lexsort((rows, -scores))
    ranks = np.empty(len(rows))
    ranks[order] = np.arange(1, len(rows) + 1)
    return np.where(scores > 0, ranks, np.inf)


def _reciprocal_ranks(*sides: Scores) -> Scores:
    """Join 1-based ranks: the sum of 1 / (60 + rank), scaled so that first on every side that found anything is 1.

    Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods"
    (SIGIR 2009).
    """
    telling = [ranks for ranks in sides if np.any(np.isfinite(ranks))]
    joined = np.zeros(len(sides[0]))
    for ranks in telling:
        joined += (1 + RRF_CONSTANT) / (ranks + RRF_CONSTANT) / len(telling)
    return joined


@dataclass(frozen=True)
class Arranged:
    """The list as it is shown."""

    rows: list[int]
    similar: dict[int, list[int]]
    """Shown row to the repeats that it stands for."""
    rank_before_quota: dict[int, int]
    """1-based, repeats collapsed."""


def arranged(view: View, found: Candidates, mode: Mode, wanted: int) -> Arranged:
    """Collapse repeats and share the places between text and the rest, as the mode says; raw leaves both out.

    Repeats are sought within one page and one kind: a text is never hidden behind a fact that says the same. The list
    is at least as long as `wanted` if there is so much.
    """
    ranking = found.rows.tolist()
    if mode == "raw":
        return Arranged(ranking, {}, {row: at for at, row in enumerate(ranking, start=1)})
    head = found.rows[:_COMPARED_FOR_REPEATS]
    groups = view.page_groups[head]
    places = np.where(groups >= 0, (groups >> 1 << 1) + view.is_text[head], -1)
    _, group, size = np.unique(places, return_inverse=True, return_counts=True)
    together = np.flatnonzero((places >= 0) & (size[group] > 1))
    kept = collapsed(head[together].tolist(), places[together], view.matrix[head[together]])
    hidden = {row for members in kept.values() for row in members}
    shown = [row for row in ranking if row not in hidden]
    counted = np.array([fills_text_quota(name) if mode == "balanced" else is_text(name) for name in view.type_names])
    text_rows = set(found.rows[counted[view.type_codes[found.rows]]].tolist()) - hidden
    return Arranged(
        rows=_in_mode(shown, text_rows, mode, wanted),
        similar={row: members for row, members in kept.items() if members},
        rank_before_quota={row: at for at, row in enumerate(shown, start=1)},
    )


def _in_mode(ranking: Sequence[int], text_rows: set[int], mode: Mode, wanted: int) -> list[int]:
    if mode == "balanced":
        return with_text_quota(ranking, text_rows, wanted=wanted)
    text_first = mode == "text"
    return sorted(ranking, key=lambda row: (row in text_rows) != text_first)
