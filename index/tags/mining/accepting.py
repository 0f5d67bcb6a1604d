"""Folding people's decisions, or a list of groups and tags that a person wrote, into a workspace's catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from index.tags.catalog import Catalog, Group, Tag
from index.tags.catalog_file import FILE, extended, workspace_catalog, write_catalog
from index.tags.errors import BadCandidates
from index.tags.lint import lint
from index.tags.mining.portfolio import read_portfolio
from index.tags.mining.review_file import Line, read_lines
from index.tags.mining.run import NEW_GROUP, camel, language_of

_GROUP_NAMES = {NEW_GROUP: {"ru": "Темы", "en": "Topics"}}


@dataclass(frozen=True)
class Accepted:
    """What became of the decisions."""

    path: Path
    """The workspace's catalog."""
    version: int
    added: tuple[str, ...]
    """New tags."""
    merged: tuple[tuple[str, str], ...]
    """New names of tags: name, tag."""
    already: int
    """Decisions that the catalog held before."""
    rejected: int
    open: int
    warnings: tuple[str, ...]
    """What `spotter tags lint` says of the new catalog and did not say of the old."""


def accept(workspace: Path, path: Path) -> Accepted:
    """Fold a review file (`.jsonl`) or a portfolio (`.md`) into `tags/catalog.json`; once more changes nothing.

    What the catalog has already stays as it is there.

    Raises:
        BadCandidates, BadPortfolio: the file can't be used, or the catalog would be wrong; nothing was written.
        BadCatalog: the workspace's catalog can't be used.
    """
    base = workspace_catalog(workspace)
    if not path.exists():
        raise BadCandidates(f"{path} does not exist; `spotter tags mine` writes one.")
    if path.suffix == ".md":
        groups, tags = read_portfolio(path)
        lines: list[Line] = []
        fresh = [tag for tag in tags if tag.id not in base.tag_by_id]
        new_groups = [group for group in groups if group.id not in base.group_by_id]
        now, already = extended(base, fresh, new_groups), len(tags) - len(fresh)
        merged: list[tuple[str, str]] = []
    else:
        lines = read_lines(path)
        fresh, already = _new_tags(base, lines, path)
        now = extended(base, fresh, _new_groups(base, fresh))
        now, merged, known = _with_names(now, lines, path)
        already += known
    changed = bool(fresh or merged)
    if changed:
        now = replace(now, version=base.version + 1)
        now = extended(now, [replace(now.tag_by_id[tag.id], since=now.version) for tag in fresh])
    before = {finding.text for finding in lint(base)}
    findings = [finding for finding in lint(now) if finding.text not in before]
    wrong = next((finding for finding in findings if finding.severity == "error"), None)
    if wrong is not None:
        raise BadCandidates(f"{path}: the catalog would be wrong: {wrong.text} Nothing was written.")
    target = workspace / FILE
    if changed:
        write_catalog(
            target, now, extends=None if target.exists() and not base.origin.startswith("default") else "default"
        )
    return Accepted(
        path=target,
        version=now.version,
        added=tuple(tag.id for tag in fresh),
        merged=tuple(merged),
        already=already,
        rejected=sum(line.decision == "reject" for line in lines),
        open=sum(line.decision == "open" for line in lines),
        warnings=tuple(finding.text for finding in findings),
    )


def tag_id_of(line: Line) -> str:
    """The id of the tag that an accepted line becomes; a new name gives a new id in the same group."""
    if line.decision == "rename" and line.rename is not None:
        return f"{line.id.partition('/')[0]}/{camel(line.rename)}"
    return line.id


def _new_tags(base: Catalog, lines: Sequence[Line], path: Path) -> tuple[list[Tag], int]:
    """The tags of accepted lines, and how many the catalog has already."""
    found: dict[str, Tag] = {}
    already = 0
    for line in lines:
        if line.decision not in ("accept", "rename"):
            continue
        tag_id = tag_id_of(line)
        if tag_id in base.tag_by_id:
            already += 1
            continue
        if tag_id in found:
            raise BadCandidates(f"{path}: two lines become the tag {tag_id!r}; change the id of one of them.")
        label = {str(lang): name for lang, name in line.label.items()}
        alias = {str(lang): names for lang, names in line.alias.items() if names}
        if line.decision == "rename" and line.rename is not None:
            lang = language_of(line.rename)
            old = label.get(lang, line.name)
            label[lang] = line.rename.strip()
            if old != label[lang]:
                alias[lang] = (*alias.get(lang, ()), old)
        found[tag_id] = Tag(tag_id, tag_id.partition("/")[0], label, alias)
    return list(found.values()), already


def _new_groups(base: Catalog, tags: Sequence[Tag]) -> list[Group]:
    wanted = dict.fromkeys(tag.group for tag in tags)
    return [
        Group(group, _GROUP_NAMES.get(group, {language_of(group): group}))
        for group in wanted
        if group not in base.group_by_id
    ]


def _with_names(catalog: Catalog, lines: Sequence[Line], path: Path) -> tuple[Catalog, list[tuple[str, str]], int]:
    """The catalog with merged lines as further names, those that are new, and how many were there already."""
    by_line = {line.id: tag_id_of(line) for line in lines if line.decision in ("accept", "rename")}
    changed: dict[str, Tag] = {}
    merged: list[tuple[str, str]] = []
    already = 0
    for line in lines:
        if line.decision != "merge" or line.into is None:
            continue
        target = by_line.get(line.into, line.into)
        tag = changed.get(target) or catalog.tag_by_id.get(target)
        if tag is None:
            raise BadCandidates(
                f"{path}: {line.name!r} is to be merged into {line.into!r}, which is no tag and no accepted line."
            )
        if line.name in tag.names:
            already += 1
            continue
        lang = language_of(line.name)
        changed[target] = replace(tag, alias={**tag.alias, lang: (*tag.alias.get(lang, ()), line.name)})
        merged.append((line.name, target))
    return extended(catalog, changed.values()), merged, already
