"""From influence to boosts: the formula, the owner's scale, files of policies, and what is told of wrong ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from index.boosts import Boosts, read_boosts, write_boosts
from index.tags.boosting import FILE, boosts_by_policy, policy_of, write_policy_boosts
from index.tags.catalog_file import default_catalog
from index.tags.docs_page import tags_page
from index.tags.errors import BadPolicy, UnknownTag
from index.tags.policy import explain, explain_group, policy_boosts
from index.tags.policy_file import PLACES, default_policy, read_policy, workspace_policy

MARKDOWN = """# Наша политика

Text for readers.

## Шкала

- 1.0: всё
- 0.8
- 0.5
- 0.3
- 0.1

## Группы

| группа | влияние |
|---|---|
| Canvas | 1.0 |
| **Layer** | 0,8 |

## Теги

- `Pillar/Security`: 0.5 (потому что)

## Прибавки

- Sustainability: +0.1

## Фазы

### Discover
- Canvas: −0.5
- Market: +0.2

## История

- 2026: written
"""
YAML = """
scale: [1.0, 0.8, 0.5, 0.3, 0.1]
groups: {Canvas: 1.0, Layer: 0.8}
tags:
  Pillar/Security: 0.5
plus:
  Sustainability: +0.1
phases:
  Discover:
    Canvas: -0.5
    Market: +0.2
"""


def written(folder: Path, text: str, name: str = "policy.md") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_the_scale_runs_from_the_lowest_to_the_highest_boost() -> None:
    told, policy = default_catalog(), default_policy()
    assert policy.scale == (1.0, 0.8, 0.5, 0.3, 0.1)
    by_influence = {
        explain(policy, told, one.id).influence: explain(policy, told, one.id).boost
        for one in told.active
        if one.group not in ("Zone", "Sustainability")
    }
    assert by_influence[0.1] == 1.04
    assert by_influence[1.0] == 1.10
    assert by_influence[0.8] == pytest.approx(1.04 + 0.06 * 0.7 / 0.9, abs=5e-5)
    assert sorted(by_influence.values()) == [by_influence[at] for at in sorted(by_influence)]


def test_every_tag_has_a_boost_and_zones_have_theirs_apart() -> None:
    boosts = policy_boosts(default_policy(), default_catalog(), {"VisualFact": 1.05})
    zones = {one.id for one in default_catalog().active if one.group == "Zone"}
    assert boosts.tags.keys() == {one.id for one in default_catalog().active} - zones
    assert boosts.zones.keys() == zones | {"Zone"}
    assert boosts.groups.keys() == set(default_catalog().group_by_id) - {"Zone"}
    assert all(1.04 <= factor <= 1.10 for factor in (*boosts.tags.values(), *boosts.groups.values()))
    assert all(1.02 <= factor <= 1.05 for factor in boosts.zones.values())
    assert (boosts.origin, boosts.types) == ("policy", {"VisualFact": 1.05})


def test_sustainability_gets_a_tenth_more_than_its_group() -> None:
    told, policy = default_catalog(), default_policy()
    here = explain(policy, told, "Pillar/Sustainability")
    assert here.influence == pytest.approx(explain(policy, told, "Pillar/Security").influence + 0.1)
    assert [amount for _, amount in explain(policy, told, "Sustainability/Energy").added] == [0.1]


def test_a_phase_moves_the_boosts_of_groups() -> None:
    told = default_catalog()
    quiet, discovering = default_policy(), default_policy().in_phase("Discover")
    changed = {
        group.id for group in told.groups
        if explain_group(quiet, told, group.id).boost != explain_group(discovering, told, group.id).boost
    }  # fmt: skip
    assert changed == {"Market", "Role", "Portfolio", "Technology"}
    assert explain(discovering, told, "Market/Demand").boost > explain(quiet, told, "Market/Demand").boost
    with pytest.raises(BadPolicy, match="no phase 'Dream'; the policy's phases are: Discover, Define"):
        quiet.in_phase("Dream")


def test_an_explanation_can_be_calculated_again() -> None:
    told = explain(default_policy().in_phase("Define"), default_catalog(), "Canvas/PlatformArchitecture")
    assert told.added == (("phase Define for Canvas, line 85", 0.2),)
    assert "kept within 0.1 … 1" in told.formula
    boost = re.search(r"boost (.*) = ([\d.]+)$", told.formula)
    assert boost is not None
    assert eval(boost[1].replace("×", "*").replace("−", "-")) == pytest.approx(float(boost[2]), abs=1e-4)
    with pytest.raises(UnknownTag):
        explain(default_policy(), default_catalog(), "canvas")


def test_markdown_and_yaml_say_the_same(tmp_path: Path) -> None:
    told = default_catalog()
    marked, plain = read_policy(written(tmp_path, MARKDOWN)), read_policy(written(tmp_path, YAML, "policy.yaml"))
    assert marked.unread == ("История (line 34)",)
    for phase in (None, "Discover"):
        first, second = policy_boosts(marked.in_phase(phase), told), policy_boosts(plain.in_phase(phase), told)
        assert (first.tags, first.groups, first.zones) == (second.tags, second.groups, second.zones)
    assert explain(marked, told, "Pillar/Security").base_from == "tag Pillar/Security, line 22"
    assert explain(plain, told, "Layer/Data").base_from == "group Layer, line 3"
    assert explain(marked, told, "Role/Partner").base_from == "Spotter's default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("## Groups\n\n- Canvas: high\n", "line 3: Canvas: 'high' is no number"),
        ("## Groups\n\n- Canvas: 0.7\n", "line 3: Canvas: 0.7 is no step of the scale (1, 0.8, 0.5, 0.3, 0.1)"),
        ("## Groups\n\n- Canvas zero\n", "line 3: 'Canvas zero' is no statement"),
        ("## Groups\n\n| a | b |\n|---|---|\n| Canvas |\n", "line 5: a row has two cells or more"),
        ("## Groups\n\n| a | b |\n|---|---|\n| Canvas | much |\n", "line 5: Canvas: 'much' is no number"),
        ("## Groups\n\n- Canvass: 0.8\n", "line 3: the catalog (default) has no group 'Canvass'"),
        ("## Tags\n\n- Layer: 0.8\n", "line 3: the catalog (default) has no tag 'Layer'"),
        ("## Phases\n\n- Canvas: 0.1\n", "line 3: name the phase above 'Canvas'"),
        ("## Boost\n\n- highest: 3\n", "line 3: a boost is from 0.5 to 2, not 3"),
        ("## Boost\n\n- higher: 1.1\n", "line 3: 'higher' is none of lowest, highest"),
        ("## Boost\n\n- lowest: 1.2\n", "line 3: the lowest boost 1.2 is above the highest"),
        ("## Groups\n\n- Canvas: 0.8\n- Canvas: 0.5\n", "line 4: 'Canvas' stands in line 3 already"),
        ("## Scale\n\n- 1.0\n", "line 3: a scale has two steps"),
        ("## Phase\n\n- Discover\n", "there is no phase 'Discover'"),
        ("Just words.\n", "it says nothing of a boost policy"),
    ],
)
def test_a_wrong_policy_is_told_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadPolicy) as wrong:
        policy_boosts(read_policy(path), default_catalog())
    assert str(wrong.value).startswith(str(path))
    assert said in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("groups:\n  Canvas: [1]\n", "line 2: expected `name: value` pairs"),
        ("groups: {Canvas: 0.7}\n", "line 1: Canvas: 0.7 is no step"),
        ("weights:\n  Canvas: 1\n", "line 1: 'weights' is no part of a policy"),
        ("groups:\n\tCanvas: 1\n", "line 2: not YAML"),
    ],
)
def test_a_wrong_yaml_policy_too(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadPolicy, match=re.escape(said)):
        read_policy(written(tmp_path, text, "policy.yaml"))


def test_the_owners_own_file_counts_where_it_lies_and_two_are_one_too_many(tmp_path: Path) -> None:
    assert workspace_policy(tmp_path) is default_policy()
    for place in PLACES[1:]:
        (tmp_path / place).parent.mkdir(exist_ok=True)
    owner = tmp_path / "docs" / "weight policy GDINO+SAM2.md"
    owner.write_text(MARKDOWN, "utf-8")
    assert workspace_policy(tmp_path).origin == str(owner)
    (tmp_path / "tags" / "policy.yaml").write_text(YAML, "utf-8")
    with pytest.raises(BadPolicy, match=r"several boost policies \(tags/policy.yaml, docs/weight policy"):
        workspace_policy(tmp_path)
    assert policy_of(tmp_path, owner, "Discover").phase == "Discover"


def test_boosts_are_written_with_their_provenance_and_fitted_ones_are_not_lost_by_accident(tmp_path: Path) -> None:
    write_boosts(
        tmp_path / FILE, Boosts(types={"VisualFact": 1.02}, tags={"Canvas": 1.3}, origin="fitted", queries=320)
    )
    told = boosts_by_policy(tmp_path, default_catalog(), default_policy())
    assert told.changed["Canvas"] == (1.3, told.wanted.tags["Canvas"])
    with pytest.raises(BadPolicy, match="fitted to 320 queries; add --replace-fitted"):
        write_policy_boosts(tmp_path, told)
    assert read_boosts(tmp_path / FILE).tags == {"Canvas": 1.3}
    write_policy_boosts(tmp_path, told, replace_fitted=True)
    now = read_boosts(tmp_path / FILE)
    assert (now.origin, now.types, now.tags) == ("policy", {"VisualFact": 1.02}, told.wanted.tags)
    assert json.loads((tmp_path / FILE).read_bytes())["origin"] == "policy"
    assert boosts_by_policy(tmp_path, default_catalog(), default_policy()).changed == {}


def test_what_moves_a_ranking_is_never_called_a_weight() -> None:
    said = tags_page(default_catalog(), default_policy()).replace("weight policy GDINO+SAM2.md", "")
    assert "weight" not in said.lower()
