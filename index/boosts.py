"""Ranking weights that the operator sees and changes: boosts of types, tags, groups of tags and zones.

score = relevance × type boost × the greatest boost among the record's tags (1 when it has none) × zone boost

Relevance is a cosine, clipped at 0 so that no weight turns a bad match into a good one, or what fusion makes of it.
Every factor is clamped to 0.5 … 2. A tag without a boost of its own has its group's; the group is what stands before
`:`, `/` or `=` in the tag (`Canvas:ValueProposition`, `DoubleLoop/Discover`, `Zone=NFX`). A zone tag says where on its
sheet something stands: its factor comes on top, and it takes no part in the greatest of the others unless it has a
boost of its own. Nothing here is a weight of a model.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import orjson

from index.errors import BoostsInvalid
from index.rank import is_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LEAST, GREATEST = 0.5, 2.0
"""No factor leaves this range: a stronger boost makes a list that the query has no say in."""
TEXT = "Text"
"""In type boosts: every type of the document's own text that has no entry of its own."""
PREFER_VISUAL: Mapping[str, float] = {"VisualCaption": 1.1, "VisualFact": 1.05}
"""What `--prefer-visual` sets."""
FILE_VERSION = 1

_GROUP = re.compile(r"[:/=]")

Origin = Literal["manual", "policy", "fitted"]


class Tagged(Protocol):
    """What weights are made from: one entry per row, as `View` gives it."""

    @property
    def type_codes(self) -> npt.NDArray[np.int16]:
        """Index into `type_names`, (rows,)."""
        ...

    @property
    def type_names(self) -> list[str]:
        """Record types by code."""
        ...

    @property
    def tag_offsets(self) -> npt.NDArray[np.int64]:
        """Row r's tags are `tag_codes[tag_offsets[r]:tag_offsets[r + 1]]`, (rows + 1,)."""
        ...

    @property
    def tag_codes(self) -> npt.NDArray[np.int32]:
        """Indices into `tag_names`."""
        ...

    @property
    def tag_names(self) -> list[str]:
        """Tags by code."""
        ...


@dataclass(frozen=True)
class Factors:
    """What the formula multiplies for one record, and whose boosts won: the "why" of its weight."""

    type: str
    type_boost: float
    tag: str | None
    """The tag with the greatest boost; None: the record has no tag that takes part."""
    tag_boost: float
    tag_from: Literal["tag", "group", "unlisted"] | None
    """Whether the winning tag has a boost of its own, its group's, or none (1)."""
    zone: str | None
    zone_boost: float

    @property
    def weight(self) -> float:
        """The product of the factors."""
        return self.type_boost * self.tag_boost * self.zone_boost

    def __str__(self) -> str:
        """The factors that are not 1: `type VisualFact ×1.05 · tag Canvas ×1.06`; `×1` when there is none."""
        named = (
            ("type", self.type, self.type_boost),
            ("tag", self.tag, self.tag_boost),
            ("zone", self.zone, self.zone_boost),
        )
        return " · ".join(f"{kind} {name} ×{boost:g}" for kind, name, boost in named if boost != 1.0) or "×1"


@dataclass(frozen=True)
class Boosts:
    """The factors by type, tag, group of tags and zone, and where they come from."""

    types: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, float] = field(default_factory=dict)
    groups: Mapping[str, float] = field(default_factory=dict)
    zones: Mapping[str, float] = field(default_factory=dict)
    """By zone tag, or by the group that all its tags are zones of."""
    origin: Origin = "manual"
    space: str | None = None
    """Fitted boosts hold for one space and one way of joining words and vectors; None: not said."""
    fusion: str | None = None
    fitted_on: str | None = None
    """SHA-256 of the queries they were fitted on."""
    queries: int | None = None
    """How many queries that were."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % confidence interval by name, as `type:VisualFact`."""
    lexical_share: float | None = None
    """Fitted weight of words beside vectors in convex fusion, 0..1; None: the search's own."""

    def __post_init__(self) -> None:
        """Refuse what is no factor. Raises BoostsInvalid."""
        if self.lexical_share is not None and not 0.0 <= self.lexical_share <= 1.0:
            raise BoostsInvalid(f"The share of words is {self.lexical_share}, but must be a number from 0 to 1.")
        for kind in ("types", "tags", "groups", "zones"):
            for name, boost in getattr(self, kind).items():
                if not math.isfinite(boost) or boost <= 0:
                    raise BoostsInvalid(f"The boost of {name!r} ({kind}) is {boost}, but must be a number above 0.")

    @staticmethod
    def neutral() -> Boosts:
        """Every factor 1."""
        return Boosts()

    @property
    def is_neutral(self) -> bool:
        """Whether every weight is 1 and the share of words is the search's own."""
        return self.lexical_share is None and all(
            clamped(boost) == 1.0
            for named in (self.types, self.tags, self.groups, self.zones)
            for boost in named.values()
        )

    def with_types(self, types: Mapping[str, float]) -> Boosts:
        """These boosts with some types' set anew; fitted boosts changed by hand are manual."""
        return replace(self, types={**self.types, **types}, origin="manual")

    def with_tags(self, tags: Mapping[str, float]) -> Boosts:
        """These boosts with some tags' set anew; a name without a separator stands for its whole group, too."""
        groups = {name: boost for name, boost in tags.items() if group_of(name) == name}
        return replace(self, tags={**self.tags, **tags}, groups={**self.groups, **groups}, origin="manual")

    def type_boost(self, record_type: str) -> float:
        """The factor of a type."""
        own = self.types.get(record_type)
        if own is None and is_text(record_type):
            own = self.types.get(TEXT)
        return 1.0 if own is None else clamped(own)

    def tag_boost(self, tag: str) -> float | None:
        """The factor of a tag; 1 when nothing is said of it, None for a zone tag of which only the zone is said."""
        boost = self.tags.get(tag, self.groups.get(group_of(tag)))
        if boost is None:
            return None if self.zone_boost(tag) is not None else 1.0
        return clamped(boost)

    def zone_boost(self, tag: str) -> float | None:
        """The factor of a zone tag; None for a tag that is no zone."""
        boost = self.zones.get(tag, self.zones.get(group_of(tag)))
        return None if boost is None else clamped(boost)

    def explain(self, record_type: str, tags: Iterable[str]) -> Factors:
        """The factors of a record; the first tag wins among equals."""
        tag, tag_boost, zone, zone_boost = None, 1.0, None, 1.0
        for name in tags:
            boost, place = self.tag_boost(name), self.zone_boost(name)
            if boost is not None and (tag is None or boost > tag_boost):
                tag, tag_boost = name, boost
            if place is not None and (zone is None or place > zone_boost):
                zone, zone_boost = name, place
        came_from: Literal["tag", "group", "unlisted"] | None = None
        if tag is not None:
            came_from = "tag" if tag in self.tags else "group" if group_of(tag) in self.groups else "unlisted"
        return Factors(record_type, self.type_boost(record_type), tag, tag_boost, came_from, zone, zone_boost)


def clamped(boost: float) -> float:
    """A factor inside the range that every factor keeps to."""
    return min(max(boost, LEAST), GREATEST)


def group_of(tag: str) -> str:
    """The part of a tag before its first `:`, `/` or `=`; a tag without one is its own group."""
    return _GROUP.split(tag, maxsplit=1)[0]


def weights_of(view: Tagged, boosts: Boosts) -> npt.NDArray[np.float32]:
    """The weight of every row, (rows,) float32: the same products that `Boosts.explain` shows for one record."""
    import numpy as np

    by_type = np.array([boosts.type_boost(name) for name in view.type_names] or [1.0], dtype=np.float32)
    weights: npt.NDArray[np.float32] = by_type[view.type_codes]
    if not len(view.tag_codes) or not (boosts.tags or boosts.groups or boosts.zones):
        return weights
    tagged = np.flatnonzero(np.diff(view.tag_offsets))
    starts = view.tag_offsets[tagged]
    absent = np.float32(0)
    for boost_of in (boosts.tag_boost, boosts.zone_boost):
        factors = (boost_of(name) for name in view.tag_names)
        by_tag = np.array([absent if factor is None else factor for factor in factors], dtype=np.float32)
        if np.all((by_tag == absent) | (by_tag == 1)):
            continue
        greatest = np.maximum.reduceat(by_tag[view.tag_codes], starts)
        greatest[greatest == absent] = 1
        weights[tagged] *= greatest
    return weights


def parse_overrides(text: str) -> dict[str, float]:
    """Boosts in the form of `TAG_WEIGHTS` and `--type-weights`: `Canvas=1.06,Zone=NFX=1.03`. Raises BoostsInvalid.

    The number stands after the last `=`, since a tag may hold one.
    """
    boosts: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = part.rpartition("=")
        try:
            boosts[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise BoostsInvalid(f"{part!r} is no boost; write NAME=NUMBER, several with commas: Canvas=1.06,Layer=1.05")
    return boosts


def read_boosts(path: Path) -> Boosts:
    """The boosts of a file as `write_boosts` makes it; neutral when there is none. Raises BoostsInvalid."""
    try:
        raw = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return Boosts.neutral()
    except orjson.JSONDecodeError as error:
        raise BoostsInvalid(f"{path} is no JSON ({error}); mend it or delete it, then every boost is 1.") from error
    try:
        return _parsed(raw)
    except (BoostsInvalid, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BoostsInvalid(f"{path}: {error}; mend it or delete it, then every boost is 1.") from error


def write_boosts(path: Path, boosts: Boosts) -> None:
    """Keep boosts in a file, replaced whole."""
    document = {
        "version": FILE_VERSION,
        "origin": boosts.origin,
        "space": boosts.space,
        "fusion": boosts.fusion,
        "fitted_on": boosts.fitted_on,
        "queries": boosts.queries,
        "lexical_share": boosts.lexical_share,
        "types": dict(boosts.types),
        "groups": dict(boosts.groups),
        "tags": dict(boosts.tags),
        "zones": dict(boosts.zones),
        "intervals": {name: list(interval) for name, interval in boosts.intervals.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as out:
        out.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def _parsed(raw: Any) -> Boosts:
    if not isinstance(raw, dict) or raw.get("version") != FILE_VERSION:
        raise BoostsInvalid(f"not a file of boosts of version {FILE_VERSION}")
    unknown = sorted(raw.keys() - {*_PROVENANCE, *_KINDS})
    if unknown:
        raise BoostsInvalid(f"unknown field {unknown[0]!r}")
    if raw.get("origin", "manual") not in ("manual", "policy", "fitted"):
        raise BoostsInvalid(f"origin {raw['origin']!r} is none of manual, policy, fitted")
    factors = {kind: {str(name): float(boost) for name, boost in raw.get(kind, {}).items()} for kind in _KINDS}
    return Boosts(
        **factors,
        origin=raw.get("origin", "manual"),
        space=raw.get("space"),
        fusion=raw.get("fusion"),
        fitted_on=raw.get("fitted_on"),
        queries=raw.get("queries"),
        intervals={name: (float(low), float(high)) for name, (low, high) in raw.get("intervals", {}).items()},
        lexical_share=None if raw.get("lexical_share") is None else float(raw["lexical_share"]),
    )


_KINDS = ("types", "groups", "tags", "zones")
_PROVENANCE = ("version", "origin", "space", "fusion", "fitted_on", "queries", "intervals", "lexical_share")
