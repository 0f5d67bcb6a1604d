"""The tag catalog: groups and tags with Russian and English names, after SKOS.

A tag's id is `Group` or `Group/Name` and case-sensitive. Its label is what people read (SKOS prefLabel, one for a
language), aliases are other names for the same (altLabel), `hidden` holds misspellings and abbreviations that are
understood and never shown (hiddenLabel), `broader` names the tag that this one is a kind of. How far a tag moves a
ranking is no business of the catalog: `index/tags/policy.py` and `index/boosts.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from index.tags.errors import UnknownTag

LANGUAGES = ("ru", "en")
Match = Literal["phrase", "stem"]
Status = Literal["active", "deprecated"]
Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Group:
    """Tags of one kind."""

    id: str
    label: Mapping[str, str]
    about: str = ""
    """One English sentence: what the tags of the group say of a record."""
    multi: bool = True
    """Whether a record may have several inferred tags of this group; if not, the one with most evidence is kept."""
    zones: bool = False
    """Whether these tags are zones, whose boost is multiplied on top instead of competing to be the greatest."""


@dataclass(frozen=True)
class Tag:
    """One tag."""

    id: str
    group: str
    label: Mapping[str, str]
    """Language to name."""
    alias: Names = field(default_factory=dict)
    """Language to further names."""
    hidden: tuple[str, ...] = ()
    broader: str | None = None
    zone: str | None = None
    """The zone's tag that a record with this one has, too."""
    match: tuple[Match, ...] = ("phrase", "stem")
    """How its names are found in a record's text: word by word, by stems, or, when empty, not at all."""
    exclude: tuple[str, ...] = ()
    """Phrases that hold one of its names and mean something else; `not` in the file."""
    status: Status = "active"
    since: int = 1
    """Version of the catalog that brought it."""
    replaced_by: str | None = None

    @property
    def active(self) -> bool:
        """Whether records may have it."""
        return self.status == "active"

    @property
    def names(self) -> tuple[str, ...]:
        """Labels, aliases and hidden names, each once."""
        shown = [self.label[lang] for lang in LANGUAGES if lang in self.label]
        other = [name for lang in LANGUAGES for name in self.alias.get(lang, ())]
        return tuple(dict.fromkeys([*shown, *other, *self.hidden]))


@dataclass(frozen=True)
class Catalog:
    """Groups and tags, in the order of their file."""

    version: int
    groups: tuple[Group, ...]
    tags: tuple[Tag, ...]
    origin: str = "default"
    """Where it was read: `default`, a path, or both."""

    @cached_property
    def group_by_id(self) -> Mapping[str, Group]:
        """Groups by id."""
        return {group.id: group for group in self.groups}

    @cached_property
    def tag_by_id(self) -> Mapping[str, Tag]:
        """Tags by id."""
        return {tag.id: tag for tag in self.tags}

    @property
    def active(self) -> tuple[Tag, ...]:
        """Tags that records may have."""
        return tuple(tag for tag in self.tags if tag.active)

    def of_group(self, group: str) -> tuple[Tag, ...]:
        """The active tags of a group."""
        return tuple(tag for tag in self.tags if tag.active and tag.group == group)

    def current(self, tag_id: str) -> str | None:
        """The active tag that this id stands for today, over `replaced_by`; None when there is none."""
        seen: set[str] = set()
        tag = self.tag_by_id.get(tag_id)
        while tag is not None and not tag.active:
            if tag.replaced_by is None or tag.replaced_by in seen:
                return None
            seen.add(tag.replaced_by)
            tag = self.tag_by_id.get(tag.replaced_by)
        return None if tag is None else tag.id

    def broader_of(self, tag_id: str) -> tuple[str, ...]:
        """The tags that this one is a kind of, nearest first; a cycle is walked once."""
        found: list[str] = []
        tag = self.tag_by_id.get(tag_id)
        while tag is not None and tag.broader is not None and tag.broader not in (*found, tag_id):
            found.append(tag.broader)
            tag = self.tag_by_id.get(tag.broader)
        return tuple(found)

    def tag(self, tag_id: str) -> Tag:
        """The tag of this id. Raises UnknownTag, which names near ones."""
        found = self.tag_by_id.get(tag_id)
        if found is not None:
            return found
        from index.tags.canonical import Canonicaliser

        told = Canonicaliser(self).canonical(tag_id)
        near = told.suggestions if told.tag is None else (told.tag,)
        hint = f"did you mean {', '.join(near)}?" if near else "`spotter tags list` shows all"
        raise UnknownTag(f"There is no tag {tag_id!r} in the catalog ({self.origin}): {hint}")
