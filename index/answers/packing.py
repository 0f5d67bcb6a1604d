"""Which passages a model is shown: the best that differ, as many as fit.

Maximal marginal relevance after Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking" (SIGIR 1998):
each next passage is the one with the largest λ·relevance - (1 - λ)·likeness to those already taken. Likeness is the
cosine of the offline embedder's vectors, which tells texts that say the same in nearly the same words, in any space.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from index.embed import OFFLINE, embedder
from index.embedders.pieces import tokens_at_most

if TYPE_CHECKING:
    from index.found import Hit

LAMBDA = 0.7


@dataclass(frozen=True, slots=True)
class Passage:
    """A record that may be cited."""

    number: int
    """1-based, as citations name it."""
    hit: Hit

    def shown(self) -> dict[str, Any]:
        """As a model is shown it."""
        hit = self.hit
        where = {"n": self.number, "file": hit.filename or hit.document_id, "page": hit.page, "type": hit.type}
        return {**where, "text": hit.text}


@dataclass(frozen=True, slots=True)
class Packed:
    """The passages that are shown, and what was left out because it did not fit."""

    passages: tuple[Passage, ...]
    left_out: int
    tokens_at_most: int


def pack(hits: Sequence[Hit], max_tokens: int, balance: float = LAMBDA) -> Packed:
    """Passages in the order of their marginal relevance; none is cut, one that does not fit is passed over.

    Args:
        hits: best first.
        max_tokens: of all passages together, bounded by their bytes.
        balance: λ; 1 is the order of the search.
    """
    if not hits:
        return Packed((), 0, 0)
    vectors = embedder(OFFLINE).embed([hit.text for hit in hits], kind="doc")
    likeness = vectors @ vectors.T
    best = max(hit.score for hit in hits)
    relevance = [hit.score / best if best > 0 else 1.0 for hit in hits]
    size = [tokens_at_most(json.dumps(Passage(len(hits), hit).shown(), ensure_ascii=False)) + 2 for hit in hits]
    taken: list[int] = []
    room = max_tokens
    left = list(range(len(hits)))
    while left := [at for at in left if size[at] <= room]:
        marginal = [
            balance * relevance[at] - (1 - balance) * max((float(likeness[at, one]) for one in taken), default=0.0)
            for at in left
        ]
        chosen = left[max(range(len(left)), key=lambda place: (marginal[place], -left[place]))]
        taken.append(chosen)
        left.remove(chosen)
        room -= size[chosen]
    passages = tuple(Passage(number, hits[at]) for number, at in enumerate(taken, start=1))
    return Packed(passages, len(hits) - len(taken), max_tokens - room)
