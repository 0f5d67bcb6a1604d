"""Tags in the index: given at ingest, given anew without embedding, and left alone where others gave them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from index.embed import OFFLINE, embedder
from index.errors import IndexEmpty
from index.ingest import ingest
from index.snapshot import TagClaim
from index.store import Store
from index.tags.apply import apply_tags
from index.tags.catalog_file import default_catalog, extended, write_catalog
from index.tags.corpus import find_record, opened, read_corpus, tagged
from index.tags.coverage import coverage, entropy, influence
from index.tags.errors import UnknownRecord
from index.tags.hook import workspace_hook
from index.tags.mining.run import mine_index
from index.tags.policy import policy_boosts
from index.tags.policy_file import default_policy
from index.transfer import export_file
from tests.index.index_world import RUN_1, in_chroma, record, write_run
from tests.index.tags.test_tag_catalog import tag

SPACE = embedder(OFFLINE)
RECORDS = [
    record("stack", "Platform Value Stack", "VisualCaption", "map", tags=["diagram", "Nobody's"], label="diagram",
           crop="artifacts/map/1/regions/region-0001.png", page=1),
    record("text", "Who approves a change decides about the roadmap.", page=1),
    record("plain", "Nothing in particular.", page=2),
    record("farm", "A city farm sells tomatoes.", page=2),
]  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = write_run(tmp_path, RUN_1, RECORDS)
    struct = folder / "artifacts" / "map" / "1" / "regions" / "region-0001.struct.json"
    struct.parent.mkdir(parents=True)
    struct.write_text(json.dumps({"title": "Ecosystem map", "labels": ["Data layer"]}), "utf-8")
    ingest([folder], tmp_path, SPACE, tagging=workspace_hook(tmp_path))
    return tmp_path


def rows(workspace: Path) -> dict[str, set[tuple[str, str]]]:
    with opened(workspace) as db:
        return {one.record.id: {(name, source) for name, source, _ in one.rows} for one in read_corpus(db, workspace)}


class NoEmbedder:
    """Embeds nothing: whoever asks it fails."""

    space = SPACE.space
    label, network, noise_cosine = "lexical", False, 0.0

    def embed(self, *_: object, **__: object) -> None:
        raise AssertionError("nothing is to be embedded")


def test_a_record_gets_its_tags_when_it_is_written(workspace: Path) -> None:
    assert rows(workspace) == {
        "stack": {
            ("Diagram", "record"), ("Nobody's", "record"), ("Diagram/ValueStack", "catalog"),
            ("Diagram/EcosystemMap", "catalog"), ("Layer/Data", "catalog"),
        },
        "text": {("Governance/ChangeApproval", "catalog"), ("Governance", "catalog"), ("Document/Roadmap", "catalog")},
        "plain": set(),
        "farm": {("Sustainability/LocalFood", "catalog")},
    }  # fmt: skip
    with opened(workspace) as db:
        assert (tagged(db).records, tagged(db).by_tag["Diagram"]) == (4, 1)
    assert in_chroma(workspace)["farm"][1]["tags"] == ["Sustainability/LocalFood"]
    assert "tags" not in in_chroma(workspace)["plain"][1]


def test_an_export_has_the_tags_that_a_record_came_with(workspace: Path, tmp_path: Path) -> None:
    export_file(workspace, tmp_path / "out.ndjson", "none")
    lines = {line["id"]: line for line in map(json.loads, (tmp_path / "out.ndjson").read_bytes().splitlines())}
    assert lines["stack"]["meta"]["tags"] == ["diagram", "Nobody's"]


def test_a_changed_catalog_reaches_the_index_without_embedding_and_a_dry_run_changes_nothing(workspace: Path) -> None:
    gone = default_catalog().tag_by_id["Sustainability/LocalFood"]
    more = [
        tag("Document/Tomatoes", label={"ru": "помидоры", "en": "tomatoes"}),
        tag("Document/Nobody", hidden=("Nobody's",), match=()),
        tag(gone.id, status="deprecated", replaced_by="Document/Tomatoes", label=dict(gone.label)),
    ]
    write_catalog(workspace / "tags" / "catalog.json", extended(default_catalog(), more), extends="default")
    changed = extended(default_catalog(), more)
    before = rows(workspace)
    told = apply_tags(workspace, changed, dry_run=True)
    assert rows(workspace) == before
    assert (told.records, told.changed, told.dry_run) == (4, 2, True)
    assert told.by_tag == {
        "Document/Nobody": (0, 1), "Document/Tomatoes": (0, 1), "Nobody's": (1, 0), "Sustainability/LocalFood": (1, 0),
    }  # fmt: skip
    done = apply_tags(workspace, changed)
    assert (done.by_tag, done.mirrored) == (told.by_tag, 2)
    assert ("Document/Nobody", "record") in rows(workspace)["stack"]
    assert in_chroma(workspace)["farm"][1]["tags"] == ["Document/Tomatoes"]
    again = apply_tags(workspace, changed)
    assert (again.changed, again.mirrored, again.by_tag) == (0, 0, {})
    unchanged = ingest([workspace / "out/runs"], workspace, NoEmbedder(), tagging=workspace_hook(workspace))  # type: ignore[arg-type]
    assert (unchanged.unchanged, unchanged.mirrored) == (4, 0)


def test_unknown_tags_are_kept_and_counted(workspace: Path) -> None:
    assert apply_tags(workspace, default_catalog(), dry_run=True).unknown == {"Nobody's": 1}


def test_what_another_source_says_is_left_alone(workspace: Path) -> None:
    with Store(workspace, SPACE.space, "a review") as store:
        store.retag({"plain": [TagClaim("Canvas", 1.0)]}, "review")
    done = apply_tags(workspace, default_catalog())
    assert (done.changed, done.after["Canvas"]) == (0, 1)
    assert rows(workspace)["plain"] == {("Canvas", "review")}


def test_an_index_that_is_not_there_is_told(tmp_path: Path) -> None:
    for ask in (
        lambda: apply_tags(tmp_path, default_catalog()),
        lambda: coverage(tmp_path, default_catalog()),
        lambda: mine_index(tmp_path, default_catalog(), tmp_path / "c.jsonl"),
    ):
        with pytest.raises(IndexEmpty):
            ask()
    assert not (tmp_path / ".spotter").exists()


def test_one_record_is_found_by_its_id(workspace: Path) -> None:
    assert find_record(workspace, "farm").tags == {"Sustainability/LocalFood"}
    with pytest.raises(UnknownRecord, match="no record 'nobody'"):
        find_record(workspace, "nobody")


def test_coverage_counts_records_tags_and_their_evenness(workspace: Path) -> None:
    told = coverage(workspace, default_catalog())
    assert (told.records, told.tagged_records, told.tagged_share) == (4, 3, 0.75)
    assert told.tags_per_record == (5 + 3 + 1) / 4
    assert told.by_type == {"NarrativeText": (3, 2), "VisualCaption": (1, 1)}
    assert told.unknown == ("Nobody's",)
    diagram = next(one for one in told.groups if one.group == "Diagram")
    assert (diagram.tags_used, diagram.records, diagram.entropy) == (3, 1, entropy([1, 1, 1]))
    assert entropy([5]) == entropy([]) == 0
    assert entropy([2, 2]) == 1


def test_influence_tells_what_boosts_move_and_neutral_ones_move_nothing(workspace: Path) -> None:
    strong = policy_boosts(default_policy(), default_catalog())
    strong = strong.with_tags({"Sustainability/LocalFood": 2.0})
    query = "approves particular farm"
    moved = influence(workspace, default_catalog(), strong, [query], "a test")
    assert (moved.queries, moved.changed, moved.first_changed, moved.overlap) == (1, 1, 1, 1.0)
    still = influence(workspace, default_catalog(), strong.neutral())
    assert (still.changed, still.tags, still.asked) == (0, (), "names of the most frequent tags")
    assert still.queries >= 6
