"""Tags of a record: those it came with, made canonical, and those that its words and its region's struct speak of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import orjson

from index.errors import IndexProblem
from index.tags.canonical import Canonicaliser
from index.tags.catalog import Catalog
from index.tags.matching import Matcher
from pipeline.core.records import Record

Origin = Literal["given", "label", "heading", "caption", "fact", "table", "text", "struct", "broader", "zone"]
"""Where a tag comes from: the record's own list, its region's label, the kind of text that names it, the region's
struct, a narrower tag, or a tag that lies in this zone."""

STEM_SCORE = 0.9
STRUCT_SCORE = 0.8
IMPLIED_SCORE = 0.9
"""What remains of a score for a tag that another one brings."""
_KIND_OF_TEXT: Mapping[str, Origin] = {
    "Title": "heading",
    "Header": "heading",
    "VisualCaption": "caption",
    "VisualFact": "fact",
    "Table": "table",
}


class BadStruct(IndexProblem):
    """A region's struct.json can't be read."""


@dataclass(frozen=True)
class Assigned:
    """A tag that a record gets, and why."""

    tag: str
    source: Origin
    score: float
    """1.0 given or word by word, less by stems, from the struct, or by way of another tag; in (0, 1]."""
    span: tuple[int, int] | None = None
    """Character range of the evidence in the record's text; None when it stands elsewhere."""
    evidence: str = ""
    """The words that say so, as they stand there."""


@dataclass(frozen=True)
class RecordTags:
    """All tags of one record."""

    assigned: tuple[Assigned, ...]
    """Each tag once, by its best evidence, in the order of the catalog."""
    raw_tags: tuple[str, ...] = ()
    """Tags that the record came with and that the catalog doesn't know."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Ids of the tags."""
        return tuple(one.tag for one in self.assigned)


class Tagger:
    """Gives records their tags by a catalog; the same record and catalog always give the same tags."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._canonical = Canonicaliser(catalog)
        self._matcher = Matcher(catalog)
        self._order = {tag.id: at for at, tag in enumerate(catalog.tags)}

    def tags_of(self, record: Record, struct: Mapping[str, Any] | None = None) -> RecordTags:
        """The tags of a record; `struct` is its region's struct.json, when there is one."""
        given = self._canonical.canonical_all(record.meta.tags)
        found = [Assigned(tag, "given", 1.0) for tag in given.tags]
        if record.meta.label is not None:
            told = self._canonical.canonical(record.meta.label)
            if told.tag is not None:
                found.append(Assigned(told.tag, "label", 1.0, evidence=record.meta.label))
        counts: Counter[str] = Counter()
        source = _KIND_OF_TEXT.get(record.meta.type, "text")
        for mention in self._matcher.mentions(record.text):
            score = 1.0 if mention.how == "phrase" else STEM_SCORE
            said = record.text[mention.start : mention.end]
            found.append(Assigned(mention.tag, source, score, (mention.start, mention.end), said))
            counts[mention.tag] += 1
        for text in _struct_texts(struct, whole=record.meta.type == "VisualCaption"):
            for mention in self._matcher.mentions(text):
                score = STRUCT_SCORE * (1.0 if mention.how == "phrase" else STEM_SCORE)
                said = text[mention.start : mention.end]
                found.append(Assigned(mention.tag, "struct", round(score, 4), evidence=said))
                counts[mention.tag] += 1
        best = self._one_of_single_groups(_best(found), counts)
        for one in list(best.values()):
            for tag, origin in self._implied(one.tag):
                if tag not in best:
                    best[tag] = Assigned(tag, origin, round(one.score * IMPLIED_SCORE, 4), one.span, one.evidence)
        return RecordTags(tuple(sorted(best.values(), key=lambda one: self._order[one.tag])), given.raw_tags)

    def _implied(self, tag_id: str) -> Iterator[tuple[str, Origin]]:
        for broader in self.catalog.broader_of(tag_id):
            current = self.catalog.current(broader)
            if current is not None:
                yield current, "broader"
        zone = self.catalog.tag_by_id[tag_id].zone
        current = None if zone is None else self.catalog.current(zone)
        if current is not None:
            yield current, "zone"

    def _one_of_single_groups(self, best: dict[str, Assigned], counts: Mapping[str, int]) -> dict[str, Assigned]:
        """Of a group that allows one tag a record, the tag said most often stays, beside what was given."""
        groups = self.catalog.group_by_id
        single: dict[str, list[Assigned]] = {}
        for one in best.values():
            group = self.catalog.tag_by_id[one.tag].group
            if not groups[group].multi:
                single.setdefault(group, []).append(one)
        dropped: set[str] = set()
        for rivals in single.values():
            rivals.sort(key=lambda one: (one.source != "given", -counts.get(one.tag, 0), -one.score, one.tag))
            dropped |= {one.tag for one in rivals[1:] if one.source != "given"}
        return {tag: one for tag, one in best.items() if tag not in dropped}


def read_struct(record: Record, folder: Path | None) -> Mapping[str, Any] | None:
    """The struct of a record's region, which lies beside its crop in the run's folder; None when there is none.

    Raises:
        BadStruct: it is there and can't be read.
    """
    if folder is None or not record.meta.crop:
        return None
    path = (folder / record.meta.crop).with_suffix(".struct.json")
    if not path.resolve().is_relative_to(folder.resolve()):
        return None
    try:
        modified_ns = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return _read(path, modified_ns)


@lru_cache(maxsize=256)
def _read(path: Path, _modified_ns: int) -> Mapping[str, Any]:
    try:
        struct = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise BadStruct(f"{path}: not a region's struct ({error}); fetch the run again with `spotter pull`.") from error
    if not isinstance(struct, dict):
        raise BadStruct(f"{path}: not a region's struct (no JSON object); fetch the run again with `spotter pull`.")
    return struct


def _struct_texts(struct: Mapping[str, Any] | None, *, whole: bool) -> Iterable[str]:
    """A struct's title, and for the caption that speaks of the whole region also its headings and labels."""
    if struct is None:
        return
    parts: list[Any] = [struct.get("title")]
    if whole:
        parts += [*(struct.get("headings") or ()), *(struct.get("labels") or ())]
        parts += [part.get("heading") for part in struct.get("sections") or () if isinstance(part, dict)]
    for part in parts:
        if isinstance(part, str) and part.strip():
            yield part


def _best(found: Iterable[Assigned]) -> dict[str, Assigned]:
    """Each tag by its best evidence; of equals, the first."""
    best: dict[str, Assigned] = {}
    for one in found:
        known = best.get(one.tag)
        if known is None or one.score > known.score:
            best[one.tag] = one
    return best
