"""Decisions in the workspace: checked, kept, applied by every ingest, taken back; and the commands for all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from console.cli import app
from index.embed import OFFLINE, embedder
from index.ingest import IngestResult, ingest
from index.review.build import NotWritten
from index.review.decisions import NothingApplied, apply_patch, list_patches, undo_patch
from index.review.patch import BadPatch, read_patch
from index.review.regions import COCO_KEYS
from index.transfer import export_lines
from pipeline.core.records import RecordMeta
from pipeline.docparse.exports.coco import OWN_KEYS
from pipeline.docparse.labels import LABELS
from pipeline.docparse.page_files import read_regions
from tests.review.review_world import DOCUMENT, RUN, reviewed_run, write_page

LATER = "01k9z0000000000000000000b2"
Patch = dict[str, Any]


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A workspace with an indexed run of two pages."""
    reviewed_run(tmp_path, 2, 4)
    ingested(tmp_path)
    return tmp_path


def ingested(root: Path, *runs: str) -> IngestResult:
    folders = [root / "out" / "runs" / run for run in runs] or [root / "out" / "runs"]
    return ingest(folders, root, embedder(OFFLINE))


def regions(root: Path, page: int = 1) -> list[Any]:
    return read_regions(root / "out" / "runs" / RUN, f"artifacts/{DOCUMENT}/p{page:04d}")


def decision(region: Any, status: str, **changes: Any) -> Patch:
    was = {"label": region.label, "bbox_px": list(region.bbox_px)}
    place = {"run": RUN, "document": region.document, "page": region.page, "region": region.id}
    return {**place, "status": status, **was, "was": was, **changes}


def patch_file(root: Path, *decisions: Patch, made: str = "2026-11-21T12:00:00Z") -> Path:
    path = root / "downloaded.patch.json"
    path.write_bytes(orjson.dumps({"kind": "spotter-review", "version": 1, "made": made, "regions": decisions}))
    return path


def apply(root: Path, *decisions: Patch, made: str = "2026-11-21T12:00:00Z") -> Any:
    return apply_patch(patch_file(root, *decisions, made=made), root, root / "out" / "runs", LABELS)


def in_index(root: Path) -> dict[str, RecordMeta]:
    lines = (json.loads(line) for line in export_lines(root, "none"))
    return {line["meta"]["region_id"]: RecordMeta.model_validate(line["meta"]) for line in lines}


def test_a_patch_changes_what_it_names_and_nothing_else(world: Path) -> None:
    first, second, third, untouched = regions(world)
    before = in_index(world)
    x, y, width, height = second.bbox_px
    done = apply(
        world, decision(first, "rejected"), decision(third, "accepted"),
        decision(second, "corrected", label="table", bbox_px=[x + 5, y, width, height]),
    )  # fmt: skip
    assert (done.rejected, done.corrected, done.accepted, done.runs) == (1, 1, 1, (world / "out" / "runs" / RUN,))
    result = ingested(world)
    assert (result.reviewed_out, result.removed, result.updated, result.added, result.embedded) == (1, 1, 2, 0, 0)
    after = in_index(world)
    assert after.keys() == before.keys() - {first.id}
    changed = after[second.id]
    assert (changed.label, changed.tags, changed.bbox_px) == ("table", ["table"], (x + 5, y, width, height))
    extra = changed.model_extra or {}
    assert (extra["review"], extra["review_label_was"], extra["review_bbox_was_px"]) == (
        "corrected", second.label, list(second.bbox_px),
    )  # fmt: skip
    assert (after[third.id].model_extra or {})["review"] == "accepted"
    assert after[untouched.id] == before[untouched.id]
    assert ingested(world).unchanged == 7, "ingesting again changes nothing"


def test_a_decision_holds_for_a_later_run_that_finds_the_region_again(world: Path) -> None:
    first, second, *_ = regions(world)
    apply(world, decision(first, "rejected"))
    ingested(world)
    reviewed_run(world, 2, 4, LATER)
    ingested(world)
    assert first.id not in in_index(world)
    assert second.id in in_index(world)


def test_a_rejection_alone_on_its_page_of_a_run_that_failed_in_part_is_obeyed(tmp_path: Path) -> None:
    run = reviewed_run(tmp_path, 2, 1)
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(info | {"state": "incomplete"}))
    ingested(tmp_path)
    (only,) = regions(tmp_path, 2)
    apply(tmp_path, decision(only, "rejected"))
    ingested(tmp_path)
    assert list(in_index(tmp_path)) == [regions(tmp_path, 1)[0].id]


def test_later_decisions_have_the_last_word_and_open_takes_one_back(world: Path) -> None:
    first, second, *_ = regions(world)
    before = in_index(world)
    apply(world, decision(first, "rejected"), decision(second, "rejected"))
    apply(world, decision(first, "open"), decision(second, "accepted"), made="2026-11-21T13:00:00Z")
    ingested(world)
    after = in_index(world)
    assert after[first.id] == before[first.id]
    assert (after[second.id].model_extra or {})["review"] == "accepted"


def test_applying_twice_is_once_and_undoing_brings_all_of_it_back(world: Path) -> None:
    first, *_ = regions(world)
    before = in_index(world)
    assert not apply(world, decision(first, "rejected")).already
    assert apply(world, decision(first, "rejected")).already
    assert len(list_patches(world)) == 1
    ingested(world)
    assert first.id not in in_index(world)
    done = undo_patch(None, world, world / "out" / "runs")
    ingested(world, *(folder.name for folder in done.runs))
    assert in_index(world) == before
    assert (world / "reviews" / "undone" / done.name).is_file()
    with pytest.raises(NothingApplied, match="spotter review apply"):
        undo_patch(None, world, world / "out" / "runs")


def test_runs_are_never_written_to(world: Path) -> None:
    run = world / "out" / "runs" / RUN
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    first, *_ = regions(world)
    apply(world, decision(first, "rejected"))
    ingested(world)
    write_page(world)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"region": "0123456789abcdef"}, "is in no run here"),
        ({"label": "Schaubild"}, "label 'Schaubild', which means nothing here"),
        ({"status": "corrected", "bbox_px": [500.0, 800.0, 100.0, 100.0]}, "leaves its page"),
        ({"was": {"label": "node", "bbox_px": [1.0, 1.0, 2.0, 2.0]}}, "not as the run has it"),
        ({"bbox_px": [1.0, 1.0, 0.0, 2.0]}, "regions.0.bbox_px"),
        ({"status": "approved"}, "regions.0.status"),
        ({"page": 0}, "regions.0.page"),
        ({"more": 1}, "regions.0.more"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused_as_a_whole(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    reviewed_run(tmp_path, 1, 2)
    first, second = regions(tmp_path)
    with pytest.raises(BadPatch, match=sentence):
        apply(tmp_path, {**decision(first, "accepted"), **change}, decision(second, "rejected"))
    assert not list((tmp_path / "reviews").glob("*.json"))


def test_what_is_no_patch_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    for data, sentence in ((b"{", "the file"), (b'{"images": []}', "kind"), (b"\xff", "the file")):
        path.write_bytes(data)
        with pytest.raises(BadPatch, match=sentence):
            read_patch(path)
    with pytest.raises(BadPatch, match="cannot be read"):
        read_patch(tmp_path / "none.json")
    reviewed_run(tmp_path, 1, 1)
    with pytest.raises(BadPatch, match="decides twice"):
        apply(tmp_path, decision(regions(tmp_path)[0], "accepted"), decision(regions(tmp_path)[0], "rejected"))


def test_a_damaged_decision_stops_the_ingest_and_is_named(world: Path) -> None:
    (world / "reviews").mkdir()
    (world / "reviews" / "0001-0123456789ab.json").write_text("{")
    with pytest.raises(BadPatch, match=r"0001-0123456789ab\.json"):
        ingested(world)


def test_a_newer_run_decides_what_a_page_shows_and_a_folder_is_written_whole(world: Path) -> None:
    later = reviewed_run(world, 1, 3, LATER)
    info = json.loads((later / "run.json").read_text())
    (later / "run.json").write_text(json.dumps(info | {"created_at": 2.0}))
    result = write_page(world, "review", folder=True)
    assert (result.pages, result.regions) == (2, 3 + 4)
    first = {path: path.read_bytes() for path in (world / "review").rglob("*") if path.is_file()}
    write_page(world, "review", folder=True)
    assert {path: path.read_bytes() for path in (world / "review").rglob("*") if path.is_file()} == first
    assert not [path for path in world.iterdir() if path.name.startswith(".review")]
    with pytest.raises(NotWritten, match="no folder of a review"):
        write_page(world, "out", folder=True)
    with pytest.raises(NotWritten, match="--folder"):
        write_page(world, "review")


def test_coco_carries_every_key_that_given_reads_back() -> None:
    assert set(OWN_KEYS) <= set(COCO_KEYS)


@pytest.mark.slow
def test_the_commands_write_apply_list_and_undo(tmp_path: Path) -> None:
    (tmp_path / "spotter.toml").write_text("")
    reviewed_run(tmp_path, 1, 2)
    first, second = regions(tmp_path)
    page = spotter_here(tmp_path, "review", "--inline", "--json")
    assert page["path"] == str(tmp_path / "eval" / "visual_review.html")
    assert (page["documents"], page["pages"], page["regions"], page["folder"]) == (1, 1, 2, False)
    patch = patch_file(tmp_path, decision(first, "rejected"), decision(second, "accepted"))
    applied = spotter(tmp_path, "review", "apply", str(patch), "--json")
    assert (applied["rejected"], applied["accepted"], applied["ingest"]["reviewed_out"]) == (1, 1, 1)
    assert list(in_index(tmp_path)) == [second.id]
    (listed,) = spotter_here(tmp_path, "review", "list", "--json")
    assert (listed["name"], listed["regions"]) == (applied["name"], 2)
    assert spotter_here(tmp_path, "review", "undo", "--json")["ingest"]["added"] == 1
    assert set(in_index(tmp_path)) == {first.id, second.id}


def spotter_here(root: Path, *words: str) -> Any:
    """In this process, which has what it takes loaded."""
    done = CliRunner().invoke(app, ["-C", str(root), *words])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def spotter(root: Path, *words: str) -> Any:
    command = [sys.executable, "-m", "console", "-C", str(root), *words]
    repository = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=repository)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
