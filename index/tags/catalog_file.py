"""The catalog as a file: JSON, one group or tag a line, the same bytes for the same catalog.

Spotter brings a catalog (`default_catalog.json`, told in docs/TAGS.md). A workspace's `tags/catalog.json` takes its
place, or adds to it when it says `"extends": "default"`: tags and groups of the same id are then replaced whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from index.tags.catalog import Catalog, Group, Match, Status, Tag
from index.tags.errors import BadCatalog

FILE = Path("tags") / "catalog.json"
"""A workspace's own catalog."""


def default_catalog() -> Catalog:
    """The catalog that Spotter brings."""
    return _default()


@lru_cache(maxsize=1)
def _default() -> Catalog:
    raw = resources.files("index.tags").joinpath("default_catalog.json").read_bytes()
    return _parse(raw, "index/tags/default_catalog.json", "default")


def workspace_catalog(workspace: Path) -> Catalog:
    """The catalog that counts in a workspace: its `tags/catalog.json`, else the default. Raises BadCatalog."""
    path = workspace / FILE
    return read_catalog(path) if path.exists() else default_catalog()


def read_catalog(path: Path) -> Catalog:
    """A catalog's file, with the default under it when it says so.

    Raises:
        BadCatalog: it can't be read, an entry is malformed, an id comes twice, or it names a group that isn't there.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadCatalog(f"{path}: can't be read ({error.strerror}).") from error
    return _parse(raw, str(path), str(path))


def write_catalog(path: Path, catalog: Catalog, *, extends: Literal["default"] | None = None) -> None:
    """Write a catalog's file, one group or tag a line, atomically; with `extends`, only what differs from the default.

    Raises:
        BadCatalog: the folder can't be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as out:
            out.write(catalog_bytes(catalog, extends=extends))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        raise BadCatalog(f"{path}: can't be written ({error.strerror}).") from error


def catalog_bytes(catalog: Catalog, *, extends: Literal["default"] | None = None) -> bytes:
    """A catalog as its file's bytes; the same catalog always gives the same."""
    groups, tags = catalog.groups, catalog.tags
    if extends is not None:
        base = default_catalog()
        groups = tuple(group for group in groups if base.group_by_id.get(group.id) != group)
        tags = tuple(tag for tag in tags if base.tag_by_id.get(tag.id) != tag)
    head = [f'"version": {catalog.version}'] + (['"extends": "default"'] if extends else [])
    parts = [
        *head,
        '"groups": [\n' + _lines(_group_value(group) for group in groups) + "]",
        '"tags": [\n' + _lines(_tag_value(tag) for tag in tags) + "]",
    ]
    return ("{" + ",\n ".join(parts) + "}\n").encode()


def extended(base: Catalog, tags: Iterable[Tag], groups: Iterable[Group] = ()) -> Catalog:
    """`base` with these in place of those of the same id; new ones come last."""
    own_groups = {group.id: group for group in groups}
    own_tags = {tag.id: tag for tag in tags}
    return replace(
        base,
        groups=(*(own_groups.pop(group.id, group) for group in base.groups), *own_groups.values()),
        tags=(*(own_tags.pop(tag.id, tag) for tag in base.tags), *own_tags.values()),
    )


def _lines(values: Iterable[dict[str, Any]]) -> str:
    return "".join(f"  {orjson.dumps(value).decode()},\n" for value in values).removesuffix(",\n") + "\n"


def _group_value(group: Group) -> dict[str, Any]:
    value = {"id": group.id, "label": group.label, "about": group.about, "multi": group.multi, "zones": group.zones}
    plain = Group(group.id, group.label)
    return {key: it for key, it in value.items() if key in ("id", "label") or it != getattr(plain, key)}


def _tag_value(tag: Tag) -> dict[str, Any]:
    plain = Tag(tag.id, tag.group, tag.label)
    value = {"id": tag.id, "group": tag.group, "label": tag.label}
    for key in ("alias", "hidden", "broader", "zone", "match", "exclude", "status", "since", "replaced_by"):
        if getattr(tag, key) != getattr(plain, key):
            value["not" if key == "exclude" else key] = getattr(tag, key)
    return value


_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
_Id = Annotated[str, StringConstraints(pattern=r"^[^\s/:=,*]+([/:][^\s/:=,*]+)*$", max_length=120)]
_Language = Literal["ru", "en"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _GroupEntry(_Strict):
    id: Annotated[str, StringConstraints(pattern=r"^[^\s/:=,*]+$", max_length=60)]
    label: dict[_Language, _Name]
    about: str = ""
    multi: bool = True
    zones: bool = False


class _TagEntry(_Strict):
    id: _Id
    group: str
    label: dict[_Language, _Name] = Field(min_length=1)
    alias: dict[_Language, tuple[_Name, ...]] = {}
    hidden: tuple[_Name, ...] = ()
    broader: str | None = None
    zone: str | None = None
    match: tuple[Match, ...] = ("phrase", "stem")
    exclude: tuple[_Name, ...] = Field(default=(), alias="not")
    status: Status = "active"
    since: int = 1
    replaced_by: str | None = None


class _File(_Strict):
    version: int
    extends: Literal["default"] | None = None
    groups: list[_GroupEntry] = []
    tags: list[_TagEntry] = []


def _parse(raw: bytes, place: str, origin: str) -> Catalog:
    try:
        data = orjson.loads(raw)
        file = _File.model_validate(data)
    except orjson.JSONDecodeError as error:
        raise BadCatalog(f"{place}: not JSON ({error}).") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadCatalog(f"{place}: {_entry(data, first['loc'])}: {first['msg']}.") from error
    groups = [Group(**entry.model_dump()) for entry in file.groups]
    tags = [Tag(**entry.model_dump()) for entry in file.tags]
    for kind, ids in (("group", [group.id for group in groups]), ("tag", [tag.id for tag in tags])):
        twice = next((name for at, name in enumerate(ids) if name in ids[:at]), None)
        if twice is not None:
            raise BadCatalog(f"{place}: the {kind} {twice!r} comes twice; ids are unique.")
    catalog = Catalog(file.version, tuple(groups), tuple(tags), origin)
    if file.extends == "default":
        catalog = replace(extended(default_catalog(), tags, groups), version=file.version, origin=f"default + {origin}")
    for tag in catalog.tags:
        if tag.group not in catalog.group_by_id:
            raise BadCatalog(
                f"{place}: the tag {tag.id!r} is of the group {tag.group!r}, which the file does not list under groups."
            )
        if tag.id != tag.group and not tag.id.startswith((f"{tag.group}/", f"{tag.group}:")):
            raise BadCatalog(
                f"{place}: the tag {tag.id!r} must be named {tag.group!r} or {tag.group + '/…'!r}, after its group."
            )
    return catalog


def _entry(data: Any, loc: tuple[int | str, ...]) -> str:
    """Where in the file an error is, by the entry's id when it has one."""
    where = ".".join(str(part) for part in loc)
    if len(loc) >= 2 and isinstance(data, dict) and isinstance(loc[1], int):
        entry = data[str(loc[0])][loc[1]]
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            return f"{str(loc[0]).removesuffix('s')} {entry['id']!r}, {'.'.join(map(str, loc[2:])) or 'entry'}"
    return where or "the file"
