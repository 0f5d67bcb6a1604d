"""docs/TAGS.md: a catalog and its boosts as a page, made from the files that count, so that it can't say otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from index.tags.catalog import Catalog, Group, Tag
from index.tags.policy import Policy, explain, explain_group

_HEAD = """# Tags

<!-- Made by `spotter tags docs` from the tag catalog and the boost policy; change those, then make it again. -->

A tag says what a record is about. Its id is case-sensitive: `Group` or `Group/Name`. What is written otherwise finds
its tag by name, alias, spelling (case, ё, punctuation, `:` or `=` for `/`) or word stem; what is no tag's name is kept
as it was written, and `spotter tags lint` tells it. A workspace's `tags/catalog.json` takes this catalog's place, or
adds to it when it says `"extends": "default"`.
"""
_BOOSTS = """## Boosts

A boost moves a tagged record up in the ranking. It is no part of the catalog: the policy gives every tag an influence,
and this formula makes a boost of it (`spotter tags boosts --explain TAG` shows it with the numbers of one tag):

```
influence = the tag's own, else its group's, else the default  + plus  + what the phase in force adds to the group
boost     = {low:g} + ({high:g} − {low:g}) × (influence − {least:g}) / ({greatest:g} − {least:g})
            (zones: {zone_low:g} … {zone_high:g})
score     = relevance × type boost × the greatest boost among the record's tags × zone boost
```

The scale of influence is {scale}. Added: {plus}. Phases: {phases}; in force: {phase}.

A policy is written in Markdown or YAML (`index/tags/default_policy.md` is the default and shows every part) and lies in
`tags/policy.md`, `tags/policy.yaml` or `docs/weight policy GDINO+SAM2.md`. `spotter tags boosts --write` puts what it
says into `tags/boosts.json`, which the search reads.
"""


def tags_page(catalog: Catalog, policy: Policy) -> str:
    """The page as Markdown; the same catalog and policy always give the same text."""
    return "\n".join([_HEAD, _boosts(policy), *_groups(catalog, policy)])


def _boosts(policy: Policy) -> str:
    plus = ", ".join(f"{said.value:+g} {name}" for name, said in policy.plus.items())
    return _BOOSTS.format(
        low=policy.tag_range.lowest,
        high=policy.tag_range.highest,
        zone_low=policy.zone_range.lowest,
        zone_high=policy.zone_range.highest,
        least=policy.scale[-1],
        greatest=policy.scale[0],
        scale=", ".join(f"{step:g}" for step in policy.scale),
        plus=plus or "nothing",
        phases=", ".join(policy.phases) or "none",
        phase=policy.phase or "none",
    )


def _groups(catalog: Catalog, policy: Policy) -> Iterator[str]:
    yield f"## Groups\n\n{len(catalog.active)} tags in {len(catalog.groups)} groups.\n"
    yield "| group | tags | boost | what they say |\n|---|---|---|---|"
    for group in catalog.groups:
        told = explain_group(policy, catalog, group.id)
        zones = " Their boost is multiplied on top." if group.zones else ""
        single = "" if group.multi else " One a record."
        about = f"{group.about}{zones}{single}".strip()
        yield f"| {group.id} | {len(catalog.of_group(group.id))} | {told.boost:g} | {about} |"
    yield ""
    for group in catalog.groups:
        yield from _group(catalog, policy, group)
    gone = [tag for tag in catalog.tags if not tag.active]
    if gone:
        yield "## Deprecated\n\n| tag | replaced by |\n|---|---|"
        yield from (f"| {tag.id} | {tag.replaced_by or ''} |" for tag in gone)
        yield ""


def _group(catalog: Catalog, policy: Policy, group: Group) -> Iterator[str]:
    names = " · ".join(group.label.values())
    yield f"### {group.id}: {names}\n\n| tag | ru | en | also | boost |\n|---|---|---|---|---|"
    for tag in catalog.of_group(group.id):
        boost = explain(policy, catalog, tag.id).boost
        yield f"| `{tag.id}` | {tag.label.get('ru', '')} | {tag.label.get('en', '')} | {_also(tag)} | {boost:g} |"
    yield ""


def _also(tag: Tag) -> str:
    shown = [name for names in tag.alias.values() for name in names]
    parts = [*shown, *(f"not: {phrase}" for phrase in tag.exclude)]
    if tag.broader:
        parts.append(f"a kind of `{tag.broader}`")
    if tag.zone:
        parts.append(f"in `{tag.zone}`")
    return "; ".join(part.replace("|", "\\|") for part in parts)
