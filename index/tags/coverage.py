"""How well an index is tagged, and what its boosts do to rankings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from index.tags.catalog import Catalog
from index.tags.corpus import frequencies, opened, read_corpus

if TYPE_CHECKING:
    from index.boosts import Boosts

TOP = 10
OWN_QUERIES = 50
"""So many tags' names are asked for when nobody says what to ask."""


@dataclass(frozen=True)
class GroupCoverage:
    """One group of the catalog in an index."""

    group: str
    tags: int
    """Active tags."""
    tags_used: int
    records: int
    """Records with a tag of the group."""
    entropy: float
    """Bits of the distribution of records over its tags: 0 when one tag has all, greatest when all have alike."""
    greatest_entropy: float


@dataclass(frozen=True)
class Coverage:
    """How an index is tagged."""

    records: int
    tagged_records: int
    tags_per_record: float
    by_tag: Mapping[str, int]
    """Records by tag, most frequent first; also tags that the catalog doesn't know."""
    by_type: Mapping[str, tuple[int, int]]
    """Record type to records, and those with a tag."""
    groups: tuple[GroupCoverage, ...]
    unknown: tuple[str, ...]
    """Tags that the catalog doesn't know."""

    @property
    def tagged_share(self) -> float:
        """Of all records, from 0 to 1."""
        return self.tagged_records / self.records if self.records else 0.0


def coverage(workspace: Path, catalog: Catalog) -> Coverage:
    """Count the tags of the index in use. Raises IndexEmpty."""
    by_tag: Counter[str] = Counter()
    by_group: dict[str, Counter[str]] = {group.id: Counter() for group in catalog.groups}
    in_group: Counter[str] = Counter()
    types: dict[str, list[int]] = {}
    records = tagged = 0
    with opened(workspace) as db:
        for one in read_corpus(db, workspace):
            records += 1
            tagged += bool(one.tags)
            counts = types.setdefault(one.record.meta.type, [0, 0])
            counts[0] += 1
            counts[1] += bool(one.tags)
            by_tag.update(one.tags)
            groups = set()
            for name in one.tags:
                tag = catalog.tag_by_id.get(name)
                if tag is not None:
                    by_group[tag.group][name] += 1
                    groups.add(tag.group)
            in_group.update(groups)
    return Coverage(
        records=records,
        tagged_records=tagged,
        tags_per_record=round(by_tag.total() / records, 4) if records else 0.0,
        by_tag=frequencies(by_tag),
        by_type={kind: (total, with_tag) for kind, (total, with_tag) in sorted(types.items())},
        groups=tuple(
            GroupCoverage(
                group=group.id,
                tags=len(catalog.of_group(group.id)),
                tags_used=len(by_group[group.id]),
                records=in_group[group.id],
                entropy=entropy(list(by_group[group.id].values())),
                greatest_entropy=round(math.log2(max(len(catalog.of_group(group.id)), 1)), 4),
            )
            for group in catalog.groups
        ),
        unknown=tuple(sorted(tag for tag in by_tag if tag not in catalog.tag_by_id)),
    )


def entropy(counts: Sequence[int]) -> float:
    """Shannon's entropy of a distribution, in bits."""
    total = sum(counts)
    return round(sum(-count / total * math.log2(count / total) for count in counts if count), 4) + 0.0


@dataclass(frozen=True)
class TagInfluence:
    """What boosts do to one tag's records."""

    tag: str
    boost: float
    before: int
    """How often a record with it is among the first ten, over all queries, when every boost is 1."""
    after: int


@dataclass(frozen=True)
class Influence:
    """What boosts do to rankings."""

    queries: int
    asked: str
    """Where the queries come from."""
    changed: int
    """Queries whose first ten are other records, or in another order."""
    overlap: float
    """Mean share of the first ten that stays among them."""
    first_changed: int
    """Queries that another record now answers first."""
    tags: tuple[TagInfluence, ...]
    """Tags whose records come up more or less often; the greatest change first."""


def influence(
    workspace: Path, catalog: Catalog, boosts: Boosts, queries: Sequence[str] = (), asked: str = ""
) -> Influence:
    """Ask every query with all boosts 1 and with these, and compare the first ten.

    Args:
        workspace: the folder that holds `.spotter/`.
        catalog: the tags, whose names are asked for when there are no queries: those on most records.
        boosts: what is to be looked at.
        queries: what to ask.
        asked: where they come from, for the report.

    Raises:
        IndexEmpty: there is no index.
    """
    from index.boosts import Boosts as AnyBoosts
    from index.search import Searcher

    if not queries:
        counts = coverage(workspace, catalog).by_tag
        known = [catalog.tag_by_id[tag] for tag in counts if tag in catalog.tag_by_id][:OWN_QUERIES]
        queries = [name for tag in known for name in dict.fromkeys(tag.label.values())]
        asked = "names of the most frequent tags"
    changed = first = 0
    overlap = 0.0
    seen: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    with Searcher(workspace) as searcher:
        for query in queries:
            lists = [searcher.search(query, TOP, boosts=one).hits for one in (AnyBoosts.neutral(), boosts)]
            before, after = ([hit.id for hit in hits] for hits in lists)
            changed += before != after
            first += before[:1] != after[:1]
            overlap += len(set(before) & set(after)) / len(before) if before else 1.0
            for counter, hits in zip(seen, lists, strict=True):
                counter.update(tag for hit in hits for tag in hit.tags)
    moved = [
        TagInfluence(tag, boosts.explain("", [tag]).weight, seen[0][tag], seen[1][tag])
        for tag in {*seen[0], *seen[1]}
        if seen[0][tag] != seen[1][tag]
    ]
    moved.sort(key=lambda one: (-abs(one.after - one.before), one.tag))
    return Influence(
        len(queries), asked, changed, round(overlap / len(queries), 4) if queries else 1.0, first, tuple(moved)
    )


def markdown(told: Coverage, boosts: Boosts, moved: Influence | None) -> str:
    """Coverage and influence as a report."""
    lines = [
        "# Tags of the index",
        "",
        f"{told.records} records, {told.tagged_records} with a tag ({told.tagged_share:.1%}); "
        f"{told.tags_per_record:.2f} tags a record.",
        "",
        "| type | records | with a tag |\n|---|---|---|",
        *(f"| {kind} | {total} | {tagged / total:.0%} |" for kind, (total, tagged) in told.by_type.items()),
        "",
        "| group | tags used | records | entropy, bits |\n|---|---|---|---|",
        *(
            f"| {one.group} | {one.tags_used} of {one.tags} | {one.records} | "
            f"{one.entropy:.2f} of {one.greatest_entropy:.2f} |"
            for one in told.groups
        ),
        "",
        f"| tag | records | boost ({boosts.origin}) |\n|---|---|---|",
        *(f"| `{tag}` | {count} | {boosts.explain('', [tag]).weight:g} |" for tag, count in told.by_tag.items()),
    ]
    if told.unknown:
        lines += ["", f"Not in the catalog: {', '.join(told.unknown)}."]
    if moved is not None:
        lines += [
            "",
            "## What the boosts do to rankings",
            "",
            f"{moved.queries} queries ({moved.asked}): the first ten change for {moved.changed}, the first for "
            f"{moved.first_changed}; {moved.overlap:.1%} of the first ten stay among them.",
            "",
            "| tag | boost | in the first ten before | after |\n|---|---|---|---|",
            *(f"| `{one.tag}` | {one.boost:g} | {one.before} | {one.after} |" for one in moved.tags),
        ]
    return "\n".join(lines) + "\n"
