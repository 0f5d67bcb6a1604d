"""`spotter search` as an operator types it: how the list is shared, why a hit stands there, what is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.workspace import create_workspace
from index.boosts import Boosts, write_boosts
from index.embed import OFFLINE, embedder
from index.ingest import ingest
from tests.index.index_world import RUN_1, record, write_run

RECORDS = [
    record("t1", "The platform has four layers", tags=["Layer/Data"]),
    record("t2", "Layers of the platform and their owners", page=2),
    record("f1", "Block “Platform” above block “Layers”", "VisualFact", region_id="r1", page=3, tags=["Canvas:Value"]),
    record("f2", "Block “Platform” above block “Layers”.", "VisualFact", region_id="r2", page=3),
    record("c1", "Platform, a caption of layers", "VisualCaption", region_id="r1", page=4),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here, _ = create_workspace(tmp_path_factory.mktemp("searched"))
    ingest([write_run(here.root, RUN_1, RECORDS)], here.root, embedder(OFFLINE), mirror=False)
    return here.root


def spotter(root: Path, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["-C", str(root), "search", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return done.output


def found(root: Path, *arguments: str) -> list[str]:
    return [hit["id"] for hit in json.loads(spotter(root, *arguments, "--json"))["hits"]]


def test_a_mode_says_what_stands_first(root: Path) -> None:
    query = ("platform", "layers", "type:VisualFact", "type:NarrativeText")
    assert found(root, *query, "--mode", "visual")[0].startswith("f")
    assert found(root, *query, "--mode", "text")[0].startswith("t")
    assert set(found(root, *query, "--mode", "raw")) == {"t1", "t2", "f1", "f2"}
    assert len(found(root, *query)) == 3
    assert "+1 similar" in spotter(root, *query)
    assert "· visual" in spotter(root, *query, "--mode", "visual")


def test_options_and_the_query_narrow_alike(root: Path) -> None:
    assert found(root, "platform", "--page", "4") == found(root, "platform", "page:4") == ["c1"]
    assert found(root, "platform", "--type", "VisualCaption") == found(root, "platform type:VisualCaption") == ["c1"]
    assert "No type here is named “Foto”" in spotter(root, "platform", "type:Foto ", code=1)


def test_every_factor_is_told_on_request(root: Path) -> None:
    said = spotter(root, "platform", "--why", "--prefer-visual", "type:VisualFact")
    assert "words: rank 1" in said
    assert "× 1.05 (type VisualFact)" in said
    assert "boosts: manual, 2 types" in said
    assert "rank 1 by relevance" in said
    assert "words:" not in spotter(root, "platform", "type:VisualFact")


def test_boosts_come_from_a_file_and_from_the_line_typed(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "boosts.json"
    write_boosts(file, Boosts(tags={"Canvas:Value": 2.0}))
    query = ("platform layers type:VisualFact", "--mode", "raw")
    plain = json.loads(spotter(root, *query, "--json"))["hits"]
    assert plain[0]["score"] == pytest.approx(plain[1]["score"])
    boosted = json.loads(spotter(root, *query, "--boosts", str(file), "--type-weights", "VisualFact=1.1", "--json"))
    assert boosted["hits"][0]["id"] == "f1"
    assert boosted["hits"][0]["score"] == pytest.approx(2.2 * plain[0]["score"])
    assert (boosted["hits"][0]["why"]["tag"], boosted["hits"][0]["why"]["tag_boost"]) == ("Canvas:Value", 2.0)
    assert "write NAME=NUMBER" in spotter(root, "platform", "--type-weights", "VisualFact", code=1)
    assert "There is no file" in spotter(root, "platform", "--boosts", str(tmp_path / "none.json"), code=2)


def test_what_matched_is_counted_on_request(root: Path) -> None:
    said = spotter(root, "platform", "--facets", "--words-only")
    assert "VisualFact 2" in said
    assert "guide.pdf 5" in said
    assert "Canvas:Value 1" in said
    assert "words only" in said


def test_hits_are_gathered_by_page_on_request(root: Path) -> None:
    query = ("platform layers", "--mode", "raw", "--cards")
    made = json.loads(spotter(root, *query, "--json"))["cards"]
    assert {(card["page"], *sorted(card["hits"])) for card in made} == {
        (1, "t1"),
        (2, "t2"),
        (3, "f1", "f2"),
        (4, "c1"),
    }
    assert "guide.pdf p3" in spotter(root, *query)


def test_a_generation_is_asked_by_name(root: Path) -> None:
    name = json.loads(spotter(root, "platform", "--json"))["generation"]
    assert found(root, "platform", "--generation", name) == found(root, "platform")
    assert "nothing" in spotter(root, "platform", "--generation", "nothing", code=1)
