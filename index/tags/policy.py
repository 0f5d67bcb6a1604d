"""From what the operator thinks of a tag's influence to its boost in the ranking, by one formula that is always shown.

    influence = the tag's own, else its group's, else the policy's default   (a step of the scale: 1.0 0.8 0.5 0.3 0.1)
                + what the policy adds to the tag and to its group            ("+0.1 Sustainability")
                + what the phase in force adds to the group                   (the phases of the double loop)
                kept between the scale's least and greatest step
    boost     = lowest + (highest − lowest) × (influence − least) / (greatest − least)

Lowest and highest are the policy's own, 1.04 and 1.10 by default for tags and 1.02 and 1.05 for zones: strong boosts
hurt an index in which facts outnumber text. How boosts enter a score: `index/boosts.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from index.boosts import Boosts
from index.tags.catalog import Catalog
from index.tags.errors import BadPolicy


@dataclass(frozen=True)
class Said:
    """A number of a policy, and where it stands."""

    value: float
    line: int
    """0: the file says nothing, and the default policy's number stands for it."""


@dataclass(frozen=True)
class Range:
    """What the least and the greatest influence become."""

    lowest: float
    highest: float


@dataclass(frozen=True)
class Policy:
    """The operator's word on influence."""

    origin: str
    """`default` or the file's path."""
    scale: tuple[float, ...]
    """The steps of influence, greatest first."""
    default: Said
    """Influence of a group of which nothing is said."""
    groups: Mapping[str, Said] = field(default_factory=dict)
    tags: Mapping[str, Said] = field(default_factory=dict)
    plus: Mapping[str, Said] = field(default_factory=dict)
    """Added to the influence of a tag, or of all tags of a group."""
    phases: Mapping[str, Mapping[str, Said]] = field(default_factory=dict)
    """Phase to group to what is added while the phase is in force."""
    phase: str | None = None
    """The phase in force."""
    tag_range: Range = Range(1.04, 1.10)
    zone_range: Range = Range(1.02, 1.05)
    unread: tuple[str, ...] = ()
    """Sections of the file that are no part of a policy, with their lines."""

    def in_phase(self, phase: str | None) -> Policy:
        """The policy with another phase in force. Raises BadPolicy when it knows none of this name."""
        if phase is not None and phase not in self.phases:
            known = ", ".join(self.phases) or "none"
            raise BadPolicy(f"{self.origin}: there is no phase {phase!r}; the policy's phases are: {known}.")
        return replace(self, phase=phase)


@dataclass(frozen=True)
class Explanation:
    """How one tag, or one group for tags that the catalog doesn't know yet, comes to its boost."""

    name: str
    kind: Literal["tag", "zone", "group"]
    base: float
    base_from: str
    """Whose word the base is, with the line: `group Canvas, line 20`."""
    added: tuple[tuple[str, float], ...]
    """What was added, and why."""
    influence: float
    boost: float
    formula: str
    """The whole calculation on one line."""


def explain(policy: Policy, catalog: Catalog, tag_id: str) -> Explanation:
    """How a tag comes to its boost. Raises UnknownTag."""
    tag = catalog.tag(tag_id)
    kind: Literal["tag", "zone"] = "zone" if catalog.group_by_id[tag.group].zones else "tag"
    return _explained(policy, tag.id, tag.group, kind)


def explain_group(policy: Policy, catalog: Catalog, group: str) -> Explanation:
    """How a group comes to the boost of those of its tags that have none of their own."""
    return _explained(policy, group, group, "zone" if catalog.group_by_id[group].zones else "group")


def policy_boosts(policy: Policy, catalog: Catalog, types: Mapping[str, float] | None = None) -> Boosts:
    """A boost for every active tag and every group; those of types are handed in, a policy says nothing of them.

    Raises:
        BadPolicy: it speaks of a group or tag that the catalog hasn't, or names no range.
    """
    check(policy, catalog)
    told = [explain(policy, catalog, tag.id) for tag in catalog.active]
    groups = [explain_group(policy, catalog, group.id) for group in catalog.groups]
    return Boosts(
        types=dict(types or {}),
        tags={one.name: one.boost for one in told if one.kind == "tag"},
        groups={one.name: one.boost for one in groups if one.kind == "group"},
        zones={one.name: one.boost for one in (*groups, *told) if one.kind == "zone"},
        origin="policy",
    )


def check(policy: Policy, catalog: Catalog) -> None:
    """Hold a policy against a catalog; only the default one may speak of what the catalog hasn't. Raises BadPolicy."""
    if policy.origin == "default":
        return
    named = [
        *(("group", name, said) for name, said in policy.groups.items()),
        *(("tag", name, said) for name, said in policy.tags.items()),
        *(("group or tag", name, said) for name, said in policy.plus.items()),
        *(("group", name, said) for part in policy.phases.values() for name, said in part.items()),
    ]
    for kind, name, said in named:
        known = (catalog.group_by_id, catalog.tag_by_id)
        if not any(
            name in table for table in (known[:1] if kind == "group" else known[1:] if kind == "tag" else known)
        ):
            raise BadPolicy(
                f"{policy.origin}, line {said.line}: the catalog ({catalog.origin}) has no {kind} {name!r}; "
                "mend the name (`spotter tags list` shows all) or add it to tags/catalog.json."
            )


def _explained(policy: Policy, name: str, group: str, kind: Literal["tag", "zone", "group"]) -> Explanation:
    base, base_from = _base(policy, name, group)
    added = [
        (f"plus for {who}, line {policy.plus[who].line}", policy.plus[who].value)
        for who in dict.fromkeys((name, group))
        if who in policy.plus
    ]
    if policy.phase is not None and group in policy.phases[policy.phase]:
        said = policy.phases[policy.phase][group]
        added.append((f"phase {policy.phase} for {group}, line {said.line}", said.value))
    greatest, least = policy.scale[0], policy.scale[-1]
    total = base.value + sum(amount for _, amount in added)
    influence = round(min(max(total, least), greatest), 4)
    span = policy.zone_range if kind == "zone" else policy.tag_range
    boost = round(span.lowest + (span.highest - span.lowest) * (influence - least) / (greatest - least), 4)
    sum_of = " ".join([f"{base.value:g} ({base_from})", *(f"{amount:+g} ({why})" for why, amount in added)])
    kept = f", kept within {least:g} … {greatest:g}" if round(total, 4) != influence else ""
    formula = (
        f"influence {sum_of} = {influence:g}{kept}; boost {span.lowest:g} + ({span.highest:g} − {span.lowest:g}) × "
        f"({influence:g} − {least:g}) / ({greatest:g} − {least:g}) = {boost:g}"
    )
    return Explanation(name, kind, base.value, base_from, tuple(added), influence, boost, formula)


def _base(policy: Policy, name: str, group: str) -> tuple[Said, str]:
    if name in policy.tags:
        return policy.tags[name], f"tag {name}, line {policy.tags[name].line}"
    if group in policy.groups:
        return policy.groups[group], f"group {group}, line {policy.groups[group].line}"
    return policy.default, f"default, line {policy.default.line}" if policy.default.line else "Spotter's default"
