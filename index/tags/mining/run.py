"""Mining an index: candidates, what they may be other names of, and the file in which people decide."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from index.progress import Progress, Report, silent
from index.tags.canonical import Canonicaliser, base_form, base_key
from index.tags.catalog import Catalog
from index.tags.corpus import IndexedRecord, opened, read_corpus
from index.tags.mining.candidates import Candidate, Limits, Mined, mine
from index.tags.mining.merging import MergeProposal, propose_merges
from index.tags.mining.ngrams import Passage, count_terms
from index.tags.mining.review_file import Evidence, Line, Proposal, merged, read_lines, write_lines
from index.words import folded_words

if TYPE_CHECKING:
    from index.embed import Embedder
    from index.tags.mining.asking import Asker

WEIGHTS: Mapping[str, float] = {"Title": 3.0, "Header": 2.0, "VisualCaption": 2.0, "VisualFact": 1.5}
"""How much a mention counts in records of a type; 1 in others."""
NEW_GROUP = "Topic"
"""The group of what has no word in common with any other."""
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_UNFIT = re.compile(r"[\s/:=,*]+")


@dataclass(frozen=True)
class MiningResult:
    """What mining found and wrote."""

    path: Path
    records: int
    documents: int
    lines: tuple[Line, ...]
    """The review file as it is now."""
    new: int
    """Lines that were not in it before."""
    known: Mapping[str, str]
    """Terms that are names of tags already."""
    left_out: Mapping[str, int]
    """Why terms were left out, and how many."""
    dropped_by_model: Mapping[str, int]
    """Why proposals of a model were left out, and how many."""

    @property
    def by_decision(self) -> dict[str, int]:
        """Lines by decision."""
        return dict(Counter(line.decision for line in self.lines))


def mine_index(
    workspace: Path,
    catalog: Catalog,
    path: Path,
    limits: Limits | None = None,
    embedder: Embedder | None = None,
    asker: Asker | None = None,
    report: Report = silent,
) -> MiningResult:
    """Mine the index in use and bring the review file up to date; decisions in it are kept.

    Args:
        workspace: the folder that holds `.spotter/`.
        catalog: what is known already.
        path: the review file.
        limits: what a term must be.
        embedder: makes vectors for merge proposals; without one only spelling and the texts propose.
        asker: asks a model, too; without one none is asked.
        report: told how far it is.

    Raises:
        IndexEmpty: there is no index.
        BadCandidates: the review file can't be used; nothing was written.
        IndexProblem: what `asker` raises.
    """
    before = read_lines(path)
    limits = limits or Limits()
    canonical = Canonicaliser(catalog)
    with opened(workspace) as db:
        passages = [passage_of(one) for one in read_corpus(db, workspace)]
    report(Progress("mining", f"Read {len(passages)} records", 1, 3, "steps"))
    found = mine(count_terms(passages, min(limits.min_documents, limits.min_records)), canonical, limits)
    report(Progress("mining", f"Found {len(found.candidates)} candidates", 2, 3, "steps"))
    merges = propose_merges(found.candidates, (one.text for one in passages), canonical, embedder)
    lines = lines_of(found, merges, catalog)
    dropped: Mapping[str, int] = {}
    if asker is not None:
        asked = asker.ask(passages, catalog, {line.key for line in lines}, report)
        lines = [*lines, *asked.lines]
        dropped = asked.dropped
    known_keys = {line.key for line in before}
    now = merged(before, lines)
    write_lines(path, now)
    report(Progress("mining", f"Wrote {path}", 3, 3, "steps"))
    return MiningResult(
        path=path,
        records=found.records,
        documents=found.documents,
        lines=tuple(now),
        new=sum(1 for line in now if line.key not in known_keys),
        known=found.known,
        left_out=found.left_out,
        dropped_by_model=dropped,
    )


def passage_of(one: IndexedRecord) -> Passage:
    """A record as a passage."""
    meta = one.record.meta
    place = "" if meta.page is None else str(meta.page)
    return Passage(one.record.id, one.record.text, one.document, place, WEIGHTS.get(meta.type, 1.0))


def lines_of(found: Mined, merges: Sequence[MergeProposal], catalog: Catalog) -> list[Line]:
    """The review file's lines of what was mined, all open."""
    groups = Groups(catalog)
    taken = set(catalog.tag_by_id)
    ids = {one.name: _free_id(groups.tag_id(one.name), taken) for one in found.candidates}
    proposals: dict[str, list[Proposal]] = {}
    for merge in merges:
        into = merge.other if merge.other_is_tag else ids[merge.other]
        proposals.setdefault(merge.name, []).append(Proposal(into=into, why=merge.why))
    return [_line(one, ids[one.name], proposals.get(one.name, ())) for one in found.candidates]


def _line(one: Candidate, tag_id: str, proposals: Iterable[Proposal]) -> Line:
    return Line(
        key=base_key(one.name),
        name=one.name,
        id=tag_id,
        label={language_of(one.name): one.name},
        score=one.score,
        z=one.z,
        npmi=one.npmi,
        ctfidf=one.ctfidf,
        documents=one.documents,
        records=one.records,
        evidence=tuple(Evidence(record=quote.record_id, quote=quote.text) for quote in one.quotes),
        proposals=tuple(proposals),
    )


class Groups:
    """Guesses a new tag's group: that of the longest name of a tag whose words are all among its own."""

    def __init__(self, catalog: Catalog) -> None:
        self._names = sorted(
            {
                (frozenset(base_form(word) for word in folded_words(name)), tag.group)
                for tag in catalog.active
                for name in tag.names
            },
            key=lambda pair: (-len(pair[0]), sorted(pair[0]), pair[1]),
        )

    def of(self, name: str) -> str:
        """The group; `NEW_GROUP` when no name tells."""
        words = frozenset(base_form(word) for word in folded_words(name))
        return next((group for known, group in self._names if known and known <= words), NEW_GROUP)

    def tag_id(self, name: str) -> str:
        """`Group/NameInCamelCase`."""
        return f"{self.of(name)}/{camel(name)}"


def camel(name: str) -> str:
    """A name as the last part of an id: `value stack` as `ValueStack`."""
    words = [word for word in _UNFIT.split(name) if word]
    return "".join(word[:1].upper() + word[1:] for word in words) or "Tag"


def language_of(name: str) -> Literal["ru", "en"]:
    """`ru` when a letter is Cyrillic."""
    return "ru" if _CYRILLIC.search(name) else "en"


def _free_id(wanted: str, taken: set[str]) -> str:
    """`wanted`, with a number behind it when another has it already."""
    tag_id, number = wanted, 2
    while tag_id in taken:
        tag_id, number = f"{wanted}{number}", number + 1
    taken.add(tag_id)
    return tag_id
