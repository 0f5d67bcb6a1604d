"""What is wrong with a catalog, alone and against what an index holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from index.tags.canonical import base_key, folded_key
from index.tags.catalog import LANGUAGES, Catalog

MIN_ACTIVE_TAGS = 200
LARGE_CORPUS_RECORDS = 2_000
"""From so many records on, fewer active tags than `MIN_ACTIVE_TAGS` are told."""
MAX_SHARE = 0.30
"""A tag on more records than this tells none from another."""
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    severity: Severity
    """An error makes a name or tag ambiguous or dead; `spotter tags lint` then ends with 1."""
    code: str
    tag: str
    """The tag, group or written name it is about; empty when it is about the whole."""
    text: str
    """One sentence: what, and how to mend it."""


@dataclass(frozen=True)
class Tagged:
    """How often an index's records have which tags."""

    records: int
    by_tag: Mapping[str, int]
    """Records by tag, tags that the catalog doesn't know included."""


def lint(catalog: Catalog, tagged: Tagged | None = None) -> list[Finding]:
    """Everything that is wrong with a catalog, errors first; what `tagged` is given for is looked at, too."""
    found = [
        *_references(catalog),
        *_cycles(catalog),
        *_names(catalog),
        *_entries(catalog),
        *(_corpus(catalog, tagged) if tagged is not None else ()),
    ]
    rank = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda one: rank[one.severity])


def _references(catalog: Catalog) -> Iterator[Finding]:
    ids = catalog.tag_by_id
    for tag in catalog.tags:
        for what, target in (("broader", tag.broader), ("zone", tag.zone), ("replaced_by", tag.replaced_by)):
            if target is not None and target not in ids:
                yield Finding("error", "unknown tag", tag.id, f"{tag.id}: {what} names {target!r}, which is no tag.")
        if tag.zone is not None and tag.zone in ids and not catalog.group_by_id[ids[tag.zone].group].zones:
            yield Finding(
                "error", "no zone", tag.id, f"{tag.id}: zone names {tag.zone!r}, whose group has not zones: true."
            )
        if tag.replaced_by is not None and tag.active:
            yield Finding(
                "error", "replaced but active", tag.id,
                f"{tag.id} is replaced by {tag.replaced_by!r} and still active; set its status to deprecated.",
            )  # fmt: skip
        if not tag.active and catalog.current(tag.id) is None:
            yield Finding(
                "warning", "dead end", tag.id,
                f"{tag.id} is deprecated and nothing takes its place; records that have it keep it as a raw tag.",
            )  # fmt: skip


def _cycles(catalog: Catalog) -> Iterator[Finding]:
    told: set[frozenset[str]] = set()
    for what in ("broader", "replaced_by"):
        for tag in catalog.tags:
            walked: list[str] = []
            at: str | None = tag.id
            while at is not None and at in catalog.tag_by_id and at not in walked:
                walked.append(at)
                at = getattr(catalog.tag_by_id[at], what)
            if at is None or at not in walked:
                continue
            ring = walked[walked.index(at) :]
            if frozenset(ring) not in told:
                told.add(frozenset(ring))
                way = " → ".join([*ring, ring[0]])
                yield Finding("error", "cycle", ring[0], f"{what} runs in a circle: {way}; take one of them out.")


def _names(catalog: Catalog) -> Iterator[Finding]:
    """Names that two active tags share: word by word an error, by base forms a warning."""
    owners: dict[str, dict[str, str]] = {}
    stems: dict[str, set[str]] = {}
    for tag in catalog.active:
        for name in tag.names:
            if not folded_key(name):
                yield Finding("error", "empty name", tag.id, f"{tag.id}: the name {name!r} has no letter or digit.")
                continue
            owners.setdefault(folded_key(name), {}).setdefault(tag.id, name)
            stems.setdefault(base_key(name), set()).add(tag.id)
    shared = {key for key, owner in owners.items() if len(owner) > 1}
    for key in sorted(shared):
        who = list(owners[key])
        name = owners[key][who[0]]
        yield Finding(
            "error", "duplicate name", who[0],
            f"the name {name!r} belongs to {', '.join(who)}; a record that says it gets none of them by that name.",
        )  # fmt: skip
    covered = {frozenset(owners[key]) for key in shared}
    for key, tags in sorted(stems.items()):
        if len(tags) > 1 and frozenset(tags) not in covered:
            yield Finding(
                "warning", "same forms", min(tags),
                f"names of {', '.join(sorted(tags))} differ only by endings ({key!r}).",
            )  # fmt: skip
    by_case: dict[str, list[str]] = {}
    for tag in catalog.tags:
        by_case.setdefault(tag.id.casefold(), []).append(tag.id)
    for ids in by_case.values():
        if len(ids) > 1:
            yield Finding("warning", "same but for case", ids[0], f"ids that differ only by case: {', '.join(ids)}.")


def _entries(catalog: Catalog) -> Iterator[Finding]:
    used = {tag.group for tag in catalog.active}
    for group in catalog.groups:
        if group.id not in used:
            yield Finding("warning", "empty group", group.id, f"the group {group.id} has no active tag.")
    for lang in LANGUAGES:
        missing = [tag.id for tag in catalog.active if lang not in tag.label]
        if missing:
            yield Finding("note", "label missing", missing[0], f"{_so_many(missing)} no label in {lang}.")
    for tag in catalog.active:
        keys = [base_key(name) for name in tag.names]
        for phrase in tag.exclude:
            inside = f" {base_key(phrase)} "
            if not any(f" {key} " in inside for key in keys):
                yield Finding(
                    "warning", "idle exclusion", tag.id,
                    f"{tag.id}: not: {phrase!r} holds none of its names, so it excludes nothing.",
                )  # fmt: skip


def _corpus(catalog: Catalog, tagged: Tagged) -> Iterator[Finding]:
    for name, count in sorted(tagged.by_tag.items()):
        if name not in catalog.tag_by_id:
            yield Finding(
                "warning", "orphan", name,
                f"{count} records have {name!r}, which is no tag of the catalog; add it, or give it as an alias.",
            )  # fmt: skip
        elif tagged.records and count > MAX_SHARE * tagged.records:
            share = count / tagged.records
            yield Finding(
                "note", "everywhere", name, f"{share:.0%} of all records have {name}; it tells none from another."
            )
    silent = [tag.id for tag in catalog.active if not tagged.by_tag.get(tag.id)]
    if silent and tagged.records:
        yield Finding("note", "no hits", "", f"{_so_many(silent)} no record.")
    if tagged.records >= LARGE_CORPUS_RECORDS and len(catalog.active) < MIN_ACTIVE_TAGS:
        yield Finding(
            "warning", "few tags", "",
            f"{len(catalog.active)} active tags for {tagged.records} records; below {MIN_ACTIVE_TAGS} much stays "
            "untold: `spotter tags mine` proposes more.",
        )  # fmt: skip


def _so_many(tags: Sequence[str]) -> str:
    """`2 tags have (A, B)`; of many, the first."""
    more = f" and {len(tags) - 8} more" if len(tags) > 8 else ""
    noun, verb = ("tag", "has") if len(tags) == 1 else ("tags", "have")
    return f"{len(tags)} {noun} ({', '.join(tags[:8])}{more}) {verb}"
