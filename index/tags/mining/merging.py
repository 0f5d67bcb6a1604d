"""Candidates that may be names of one thing, and tags that they may be another name of: proposed, never done.

Three signs: a text that puts two names side by side (an abbreviation in brackets, a translation in brackets or behind
`·` or `/`), the first letters of a phrase, and vectors whose mean cosine within a group is high (average link).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from index.tags.canonical import Canonicaliser, base_key
from index.tags.mining.candidates import Candidate
from index.words import folded_words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from index.embed import Embedder

MIN_COSINE = 0.88
"""Mean cosine between two groups of candidates from which they are proposed as one."""
_BESIDE = (
    re.compile(r"([^\s()][^().;:!?\n]{2,80}?)\s*\((?:англ\.\s*|eng\.\s*)?([^()]{2,60})\)"),
    re.compile(r"([^\s()·/.,;:!?\n][^()·/.,;:!?\n]{1,60}?)\s*[·/]\s*([^()·/.,;:!?\n]{2,60})"),
)
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")


@dataclass(frozen=True)
class MergeProposal:
    """Two names that may mean the same."""

    name: str
    """The candidate."""
    other: str
    """Another candidate's name, or a tag's id."""
    other_is_tag: bool
    why: str
    """The sign, in words."""


def propose_merges(
    candidates: Sequence[Candidate],
    texts: Iterable[str],
    canonical: Canonicaliser,
    embedder: Embedder | None = None,
) -> list[MergeProposal]:
    """Every proposal, each pair once, in the order of the candidates.

    Args:
        candidates: what was mined.
        texts: the corpus, in which names are looked for in brackets.
        canonical: knows the tags.
        embedder: makes the vectors; without one the third sign is not looked at.
    """
    by_key = {base_key(form): one for one in candidates for form in (one.name, *one.forms)}
    found = [
        *_near_tags(candidates, canonical),
        *_side_by_side(by_key, texts, canonical),
        *_initials(candidates),
        *(() if embedder is None else _close(candidates, embedder)),
    ]
    order = {one.name: at for at, one in enumerate(candidates)}
    seen: set[frozenset[str]] = set()
    kept = []
    for proposal in found:
        pair = frozenset((proposal.name, proposal.other))
        if len(pair) == 2 and pair not in seen:
            seen.add(pair)
            kept.append(proposal)
    return sorted(kept, key=lambda one: order[one.name])


def _near_tags(candidates: Sequence[Candidate], canonical: Canonicaliser) -> Iterable[MergeProposal]:
    for one in candidates:
        told = canonical.canonical(one.name)
        for tag in (told.tag,) if told.tag is not None else told.suggestions:
            why = "spelled nearly like one of its names" if told.tag is None else "the last part of its id"
            yield MergeProposal(one.name, tag, True, why)


def _side_by_side(
    by_key: Mapping[str, Candidate], texts: Iterable[str], canonical: Canonicaliser
) -> Iterable[MergeProposal]:
    """Pairs that a text itself puts side by side, of which one is an abbreviation or a translation."""
    for text in texts:
        for match in (match for beside in _BESIDE for match in beside.finditer(text)):
            inner = match.group(2).strip()
            words = match.group(1).split()
            names = [inner, *(" ".join(words[-size:]) for size in range(1, 5) if size <= len(words))]
            pairs = [(inner, name) for name in reversed(names[1:]) if _may_be_one(inner, name)]
            for first, second in pairs:
                here, there = by_key.get(base_key(first)), by_key.get(base_key(second))
                why = f"the text says {match.group(0).strip()!r}"
                if here is not None and there is not None:
                    yield MergeProposal(there.name, here.name, False, why)
                    break
                tag = canonical.canonical(second if there is None else first)
                known = here if there is None else there
                if known is not None and tag.tag is not None and tag.how != "end of id":
                    yield MergeProposal(known.name, tag.tag, True, why)
                    break


def _may_be_one(inner: str, name: str) -> bool:
    """Whether one is written in other letters than the other, or in capitals alone."""
    return bool(_CYRILLIC.search(inner)) != bool(_CYRILLIC.search(name)) or inner.isupper() != name.isupper()


def _initials(candidates: Sequence[Candidate]) -> Iterable[MergeProposal]:
    short = {one.name.casefold(): one for one in candidates if one.name.isupper() and len(one.name) >= 2}
    for one in candidates:
        words = folded_words(one.name)
        found = short.get("".join(word[0] for word in words)) if len(words) > 1 else None
        if found is not None:
            yield MergeProposal(one.name, found.name, False, "its first letters")


def _close(candidates: Sequence[Candidate], embedder: Embedder) -> Iterable[MergeProposal]:
    """Each member of a group beside the group's best candidate."""
    if len(candidates) < 2:
        return
    vectors = embedder.embed([one.name for one in candidates], kind="doc")
    cosines = vectors @ vectors.T
    for group in average_link(cosines, MIN_COSINE):
        first = candidates[group[0]]
        for at in group[1:]:
            why = f"cosine {float(cosines[group[0], at]):.2f} ({embedder.space.id})"
            yield MergeProposal(candidates[at].name, first.name, False, why)


def average_link(likeness: npt.NDArray[np.float32], least: float) -> list[list[int]]:
    """Groups of two members or more whose mean likeness stays at `least` or above, by agglomeration.

    Args:
        likeness: (n, n), symmetric.
        least: where joining ends.

    Returns:
        Groups of indices, each in order, the group with the smallest index first.
    """
    import numpy as np

    n = len(likeness)
    sums = likeness.astype(np.float64)
    np.fill_diagonal(sums, -np.inf)
    sizes = np.ones(n)
    members: list[list[int]] = [[at] for at in range(n)]
    while True:
        mean = sums / np.outer(sizes, sizes)
        a, b = divmod(int(np.argmax(mean)), n)
        if n < 2 or not mean[a, b] >= least:
            return sorted(sorted(group) for group in members if len(group) > 1)
        a, b = min(a, b), max(a, b)
        sums[a] += sums[b]
        sums[:, a] += sums[:, b]
        sums[a, a] = -np.inf
        sums[b], sums[:, b] = -np.inf, -np.inf
        sizes[a] += sizes[b]
        members[a] += members[b]
        members[b] = []
