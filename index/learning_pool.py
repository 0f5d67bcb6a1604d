"""Labelled queries with their candidates in memory, so that thousands of settings can be tried without searching again.

The candidates are the hits of a search by relevance alone, far deeper than anybody reads; a setting weighs and orders
them by the search's own formula and text quota. Near-duplicates are not collapsed here, and a record beyond the
candidates can't rise, so a setting that looks good here is asked of the real search before anybody believes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from index.boosts import Boosts
from index.found import Hit
from index.metrics import mrr, recall
from index.progress import Progress, Report, silent
from index.queries import LabelledQuery
from index.rank import Fusion, fills_text_quota, is_text, with_text_quota
from index.search import Searcher

CANDIDATES = 300
"""Hits a query is remembered with."""
_ORDERED = 60
"""Best ones that the text quota is laid over; what it lifts into the first ten comes from among them."""
CUTOFF = 10
Kind = Literal["text", "visual"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """What is learnt: the share of words, and factors by names such as `type:VisualFact`, `group:Layer`, `tag:…`."""

    share: float | None = None
    """None: the search's own way of joining."""
    factors: tuple[tuple[str, float], ...] = ()
    """Sorted by name; a factor of 1 is left out."""

    def factor(self, name: str) -> float:
        """The factor of this name; 1 when nothing is said of it."""
        return dict(self.factors).get(name, 1.0)

    def with_factor(self, name: str, factor: float) -> Setting:
        """The same with one factor set."""
        factors = {**dict(self.factors), name: factor}
        return replace(self, factors=tuple(sorted((key, value) for key, value in factors.items() if value != 1.0)))

    def over(self, base: Boosts) -> Boosts:
        """The boosts that this setting makes of those it started from; what it names is replaced."""
        types, groups, tags = dict(base.types), dict(base.groups), dict(base.tags)
        by_kind = {"type": types, "group": groups, "tag": tags}
        for name, factor in self.factors:
            kind, _, rest = name.partition(":")
            by_kind[kind][rest] = factor
        fusion = base.fusion if self.share is None else "convex"
        share = base.lexical_share if self.share is None else self.share
        return replace(base, types=types, groups=groups, tags=tags, fusion=fusion, lexical_share=share)


@dataclass(frozen=True)
class Measured:
    """One setting's metrics over all queries of a pool, each (queries,)."""

    mrr: Floats
    """MRR@10."""
    recall: Floats
    """R@5."""


class Pool:
    """Queries, their candidates, and every setting that was tried on them."""

    def __init__(
        self,
        queries: Sequence[LabelledQuery],
        found: Sequence[Sequence[Hit]],
        joined: Sequence[Sequence[Hit]] | None,
        base: Boosts,
    ) -> None:
        """Keep what a setting needs of each candidate.

        Args:
            queries: labelled.
            found: hits of each by convex fusion without boosts, best first, with lexical score and cosine.
            joined: the same by the search's own fusion where that is another one.
            base: the boosts that settings start from.
        """
        self.queries = list(queries)
        self.base = base
        size = (len(queries), CANDIDATES)
        self._lexical, self._cosine, self._own = np.zeros(size), np.zeros(size), np.zeros(size)
        self._signatures: dict[tuple[str, tuple[str, ...]], int] = {}
        self._signature = np.zeros(size, dtype=np.int64)
        self._there = np.zeros(size, dtype=np.bool_)
        self._ids: list[list[str]] = []
        self._texts: list[set[int]] = []
        self.kinds: list[Kind] = []
        self._tried: dict[Setting, Measured] = {}
        for at, hits in enumerate(found):
            own = {hit.id: hit.why.fused for hit in hits} if joined is None else _fused(joined[at])
            self._keep(at, list(hits[:CANDIDATES]), own)

    def _keep(self, at: int, hits: Sequence[Hit], own: dict[str, float]) -> None:
        self._ids.append([hit.id for hit in hits])
        self._texts.append({place for place, hit in enumerate(hits) if fills_text_quota(hit.type)})
        lexical = max((hit.why.lexical_score or 0.0 for hit in hits), default=0.0)
        cosine = max((hit.why.cosine or 0.0 for hit in hits), default=0.0)
        for place, hit in enumerate(hits):
            self._lexical[at, place] = (hit.why.lexical_score or 0.0) / lexical if lexical > 0 else 0.0
            self._cosine[at, place] = max(hit.why.cosine or 0.0, 0.0) / cosine if cosine > 0 else 0.0
            self._own[at, place] = own.get(hit.id, 0.0)
            signature = (hit.type, tuple(sorted(hit.tags)))
            self._signature[at, place] = self._signatures.setdefault(signature, len(self._signatures))
            self._there[at, place] = True

    def name_kinds(self, type_of: dict[str, str]) -> None:
        """Say which queries are answered by text and which by what speaks of a region, from the type of each answer."""
        self.kinds = ["text" if is_text(type_of[query.answers[0]]) else "visual" for query in self.queries]

    def types(self) -> list[str]:
        """Types among the candidates."""
        return sorted({kind for kind, _ in self._signatures})

    def measured(self, setting: Setting) -> Measured:
        """How well a setting orders the candidates of every query; remembered."""
        if setting not in self._tried:
            self._tried[setting] = self._measure(setting)
        return self._tried[setting]

    def _measure(self, setting: Setting) -> Measured:
        boosts = setting.over(self.base)
        weights = np.array([boosts.explain(kind, tags).weight for kind, tags in self._signatures] or [1.0])
        relevance = self._own
        if setting.share is not None:
            relevance = setting.share * self._lexical + (1.0 - setting.share) * self._cosine
        scores = np.where(self._there, relevance * weights[self._signature], -1.0)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :_ORDERED]
        measured = Measured(np.zeros(len(self.queries)), np.zeros(len(self.queries)))
        for at, query in enumerate(self.queries):
            ids = self._ids[at]
            ranking = [place for place in order[at].tolist() if place < len(ids)]
            shown = [ids[place] for place in with_text_quota(ranking, self._texts[at])[:CUTOFF]]
            gains = query.gain_by_id
            measured.mrr[at] = mrr(shown, gains, CUTOFF)
            measured.recall[at] = recall(shown, gains, 5)
        return measured


def gather(
    workspace: Path, queries: Sequence[LabelledQuery], base: Boosts, fusion: Fusion | None, report: Report = silent
) -> Pool:
    """Search every query once, deep and by relevance alone.

    Args:
        workspace: the folder that holds `.spotter/`.
        queries: labelled, their answers in the index.
        base: the boosts that settings start from.
        fusion: the search's own, where it is not convex; None: it is.
        report: told how far it is.
    """
    found, joined = [], []
    with Searcher(workspace, boosts=Boosts.neutral()) as searcher:
        searcher.warm([query.query for query in queries])  # words alone are not what is learnt from
        for at, query in enumerate(queries, start=1):
            found.append(searcher.search(query.query, CANDIDATES, mode="raw", fusion="convex").hits)
            if fusion is not None and fusion != "convex":
                joined.append(searcher.search(query.query, CANDIDATES, mode="raw", fusion=fusion).hits)
            report(Progress("learn", "candidates", at, len(queries), "queries"))
    return Pool(queries, found, joined or None, base)


def _fused(hits: Sequence[Hit]) -> dict[str, float]:
    return {hit.id: hit.why.fused for hit in hits}
