"""The catalog: what Spotter brings, what a workspace says instead, and what is told of a wrong one."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from index.tags.catalog import Catalog, Group, Tag
from index.tags.catalog_file import catalog_bytes, default_catalog, read_catalog, workspace_catalog, write_catalog
from index.tags.docs_page import tags_page
from index.tags.errors import BadCatalog, UnknownTag
from index.tags.lint import Tagged, lint
from index.tags.policy_file import default_policy

REPOSITORY = Path(__file__).parents[3]


def tag(tag_id: str, **more: Any) -> Tag:
    name = tag_id.rpartition("/")[2]
    return Tag(**{"id": tag_id, "group": tag_id.partition("/")[0], "label": {"ru": f"ру {name}", "en": name}} | more)


def catalog(*tags: Tag, groups: tuple[str, ...] = (), zones: tuple[str, ...] = ()) -> Catalog:
    ids = dict.fromkeys([*groups, *(one.group for one in tags)])
    return Catalog(1, tuple(Group(one, {"en": one}, zones=one in zones) for one in ids), tags)


def codes(told: Catalog, tagged: Tagged | None = None) -> dict[str, str]:
    return {finding.code: finding.text for finding in lint(told, tagged)}


def written(folder: Path, data: Any) -> Path:
    path = folder / "tags" / "catalog.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


def test_the_default_has_the_owners_vocabulary_in_both_languages_and_nothing_wrong() -> None:
    told = default_catalog()
    assert len(told.groups) >= 24
    assert len(told.active) >= 200
    assert {
        "Canvas", "Assessment", "Diagram", "Table", "Layer/Engagement", "Layer/Intelligence",
        "Pillar/OperationalExcellence", "Pillar/Security", "DoubleLoop/Discover", "Level/Platform(L3)",
        "Portfolio/MarketExpansion", "Zone/Monetization", "Zone/NFX", "Zone/Liquidity",
    } <= told.tag_by_id.keys()  # fmt: skip
    assert all({"ru", "en"} <= one.label.keys() for one in (*told.tags, *told.groups))
    assert lint(told) == []


def test_the_default_is_written_as_spotter_writes_a_catalog() -> None:
    shipped = resources.files("index.tags").joinpath("default_catalog.json").read_bytes()
    assert catalog_bytes(default_catalog()) == shipped


def test_the_page_about_tags_says_what_catalog_and_policy_say() -> None:
    page = (REPOSITORY / "docs" / "TAGS.md").read_text("utf-8")
    assert page == tags_page(default_catalog(), default_policy())
    assert all(f"`{one.id}`" in page for one in default_catalog().active)


def test_without_a_file_of_its_own_a_workspace_has_the_default(tmp_path: Path) -> None:
    assert workspace_catalog(tmp_path) is default_catalog()


def test_a_workspaces_file_takes_the_defaults_place(tmp_path: Path) -> None:
    write_catalog(tmp_path / "tags" / "catalog.json", catalog(tag("Own/Thing", hidden=("tng",), exclude=("no thing",))))
    told = workspace_catalog(tmp_path)
    assert [one.id for one in told.tags] == ["Own/Thing"]
    assert (told.tags[0].hidden, told.tags[0].exclude) == (("tng",), ("no thing",))


def test_or_adds_to_it_and_replaces_tags_of_the_same_id_whole(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "version": 7, "extends": "default", "groups": [{"id": "Own", "label": {"en": "Own"}}],
            "tags": [
                {"id": "Own/Thing", "group": "Own", "label": {"en": "Thing"}},
                {"id": "Canvas", "group": "Canvas", "label": {"en": "Sheet"}},
            ],
        },
    )  # fmt: skip
    told = read_catalog(path)
    assert told.version == 7
    assert len(told.tags) == len(default_catalog().tags) + 1
    assert told.tag_by_id["Canvas"].label == {"en": "Sheet"}
    write_catalog(path, told, extends="default")
    assert len(json.loads(path.read_bytes())["tags"]) == 2
    again = read_catalog(path)
    assert (again.groups, again.tags) == (told.groups, told.tags)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not JSON"),
        ({"version": 1, "tags": [{"id": "A/B", "group": "A", "label": {"en": "b"}}]}, "the tag 'A/B' is of the group"),
        ({"version": 1, "groups": [{"id": "A", "label": {}}], "tags": [{"id": "A/B", "group": "A", "label": {}}]},
         "tag 'A/B', label"),
        ({"version": 1, "groups": [{"id": "A", "label": {}}] * 2}, "the group 'A' comes twice"),
        ({"version": 1, "groups": [{"id": "A", "label": {}}],
          "tags": [{"id": "X/B", "group": "A", "label": {"en": "b"}}]}, "must be named 'A' or 'A/…'"),
        ({"version": 1, "tags": [{"id": "A/B", "group": "A", "label": {"en": "b"}, "weight": 2}]}, "'A/B', weight"),
        ({"version": 1, "tags": [{"id": "A B", "group": "A", "label": {"en": "b"}}]}, "tag 'A B', id"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_by_file_and_entry(tmp_path: Path, data: Any, said: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(BadCatalog) as wrong:
        workspace_catalog(tmp_path)
    assert str(path) in str(wrong.value)
    assert said in str(wrong.value)


def test_ids_are_case_sensitive_and_an_unknown_one_names_near_ones() -> None:
    told = catalog(tag("Layer/Data"), tag("Layer/data", label={"en": "data in small letters"}))
    assert told.tag("Layer/data").id == "Layer/data"
    with pytest.raises(UnknownTag, match="did you mean Pillar/OperationalExcellence"):
        default_catalog().tag("pillar:operational excellence")


def test_a_deprecated_tag_leads_to_what_takes_its_place() -> None:
    told = catalog(
        tag("A/Old", status="deprecated", replaced_by="A/Older"),
        tag("A/Older", status="deprecated", replaced_by="A/New"),
        tag("A/New"),
        tag("A/Gone", status="deprecated"),
    )
    assert told.current("A/Old") == "A/New"
    assert told.current("A/Gone") is None
    assert "nothing takes its place" in codes(told)["dead end"]


def test_lint_finds_names_that_two_tags_share() -> None:
    told = catalog(tag("A/One", alias={"en": ("Value-Prop",)}), tag("B/Two", hidden=("value prop",)))
    assert codes(told)["duplicate name"].startswith("the name 'Value-Prop' belongs to A/One, B/Two")
    forms = catalog(tag("A/One", alias={"ru": ("слой данных",)}), tag("B/Two", alias={"ru": ("слои данных",)}))
    assert "differ only by endings" in codes(forms)["same forms"]


@pytest.mark.parametrize(
    ("told", "code", "said"),
    [
        (catalog(tag("A/X", broader="A/Y"), tag("A/Y", broader="A/X")), "cycle", "A/X → A/Y → A/X"),
        (catalog(tag("A/X", broader="A/Z")), "unknown tag", "broader names 'A/Z'"),
        (catalog(tag("A/X", zone="A/Y"), tag("A/Y")), "no zone", "has not zones: true"),
        (catalog(tag("A/X", replaced_by="A/Y"), tag("A/Y")), "replaced but active", "set its status"),
        (catalog(tag("A/X"), groups=("B",)), "empty group", "the group B has no active tag"),
        (catalog(tag("A/X", label={"en": "x"})), "label missing", "1 tag (A/X) has no label in ru"),
        (catalog(tag("A/X", exclude=("net value",))), "idle exclusion", "excludes nothing"),
        (catalog(tag("A/X", hidden=("—",))), "empty name", "no letter or digit"),
        (catalog(tag("A/x"), tag("A/X")), "same but for case", "A/x, A/X"),
    ],
)
def test_lint_finds_what_is_wrong_inside_a_catalog(told: Catalog, code: str, said: str) -> None:
    assert said in codes(told)[code]


def test_lint_against_an_index_tells_orphans_silent_tags_and_tags_that_are_everywhere() -> None:
    told = catalog(tag("A/X"), tag("A/Y"), tag("A/Z"))
    found = codes(told, Tagged(3_000, {"A/X": 2_000, "A/Y": 5, "nobody's": 4}))
    assert found["orphan"].startswith('4 records have "nobody\'s"')
    assert found["everywhere"].startswith("67% of all records have A/X")
    assert "1 tag (A/Z) has no record" in found["no hits"]
    assert "3 active tags for 3000 records" in found["few tags"]
    assert "few tags" not in codes(told, Tagged(100, {"A/X": 5}))
