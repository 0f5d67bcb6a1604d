"""`spotter index build|rebuild|migrate|generations|use|gc|doctor|stats|mirror|import`, as an operator types them."""

from __future__ import annotations

import json

import orjson
import pytest
from typer.testing import CliRunner

from console.cli import app
from console.workspace import create_workspace
from index.comparison import Verdict
from index.layout import Layout
from index.stats import stats
from tests.index.index_world import RUN_1, in_chroma, record, write_run

pytestmark = pytest.mark.xdist_group("index commands")

OFFLINE_SLUG = "offline-hash3072-stem-char4-3072-v1"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """One workspace on its way through all commands; the tests follow one another."""
    here, _ = create_workspace(tmp_path_factory.mktemp("index commands"))
    write_run(here.root, RUN_1, [record(f"r{at}", f"Запись {at} about layer{at}") for at in range(4)])
    return here.root


def spotter(workspace, *arguments, code=0):
    done = CliRunner().invoke(app, ["-C", str(workspace), "index", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def test_build_makes_an_index_once(workspace):
    assert f"4 records in {OFFLINE_SLUG}" in spotter(workspace, "build")
    assert "there is an index already" in spotter(workspace, "build", code=2)
    assert len(in_chroma(workspace)) == 4
    said = spotter(workspace, "stats")
    assert f"4 records, 4 of them text (offline/hash3072-stem-char4/3072/v1, {OFFLINE_SLUG})" in said
    assert "Chroma: " in said


def test_an_import_is_in_the_index_at_once_and_in_chroma_when_told(workspace):
    file = workspace / "given.ndjson"
    file.write_bytes(orjson.dumps({"id": "i", "text": "imported", "meta": {"type": "Table"}}) + b"\n")
    assert "1 added" in spotter(workspace, "import", file, "--later")
    assert stats(workspace).waiting_for_chroma == 1
    assert "1 wait to be written there: spotter index mirror" in spotter(workspace, "stats")
    assert "1 record written; 5 in " in spotter(workspace, "mirror")
    assert stats(workspace).waiting_for_chroma == 0
    assert len(in_chroma(workspace)) == 5


def test_a_rebuild_without_paths_keeps_everything_and_tells_the_way_back(workspace):
    said = spotter(workspace, "rebuild")
    assert f"5 records in {OFFLINE_SLUG}.g2" in said
    assert "5 vectors taken over, 0 embedded" in said
    assert f"is in use; the old one is kept: spotter index use {OFFLINE_SLUG}" in said


def test_a_refused_rebuild_says_why_and_ends_with_one(workspace, monkeypatch):
    verdict = Verdict(False, "Text R@5 fell from .359 to .038.")
    monkeypatch.setattr("index.gating.rebuild_gate", lambda *_: lambda candidate: verdict)
    said = spotter(workspace, "rebuild", code=1)
    assert "Text R@5 fell from .359 to .038." in said
    assert f"refused: {OFFLINE_SLUG}.g2 stays in use, the new index was removed" in said
    assert "refused" not in spotter(workspace, "generations")
    assert json.loads(spotter(workspace, "rebuild", "--no-gate", "--json").splitlines()[-1])["switched"] is True


def test_a_rebuild_that_loses_a_labelled_record_is_refused_by_the_gate(workspace):
    (workspace / "eval").mkdir(exist_ok=True)
    query = {"query": "imported", "positive_ids": ["i"]}
    (workspace / "eval" / "queries.jsonl").write_bytes(orjson.dumps(query) + b"\n")
    used = Layout(workspace).current()
    said = spotter(workspace, "rebuild", workspace / "out" / "runs", "--keep-refused", code=1)
    assert "not in it: 1 record of the old index (i)" in said
    assert f"refused: {used.name} stays in use" in said
    assert Layout(workspace).current() == used
    assert ": refused, 4 records" in spotter(workspace, "generations")


def test_use_goes_back_and_gc_names_what_dies_and_asks(workspace):
    assert f"in use: {OFFLINE_SLUG}: in use, 5 records" in spotter(workspace, "use", "1")
    said = spotter(workspace, "gc", code=2)
    assert f"dies: {OFFLINE_SLUG}.g2: complete, 5 records" in said
    assert f"dies: {OFFLINE_SLUG}.g3: complete, 5 records" in said
    assert f"dies: {OFFLINE_SLUG}.g4: refused, 4 records" in said
    assert "Delete 3 generations" in said
    assert len(list(Layout(workspace).generations())) == 4
    assert "freed" in spotter(workspace, "gc", "--yes")
    assert "nothing to delete" in spotter(workspace, "gc", "--yes")
    assert [one["name"] for one in json.loads(spotter(workspace, "generations", "--json"))] == [OFFLINE_SLUG]


def test_migrate_estimates_first(workspace):
    assert "costs nothing" in spotter(workspace, "migrate", "--embedder", "offline/hash3072-stem-char4", "--estimate")
    assert "no embedder named 'no/such'" in spotter(workspace, "migrate", "--embedder", "no/such", "--yes", code=1)


def test_doctor_finds_and_mends_by_name(workspace):
    Layout(workspace).pointer.write_bytes(b"rubbish")
    said = spotter(workspace, "doctor", code=1)
    assert "FAIL generation in use" in said
    assert "index doctor --repair" in said
    said = spotter(workspace, "doctor", "--repair")
    assert f"mended: {OFFLINE_SLUG} is in use again" in said
    assert "ok   chroma finds its records" in said


def test_an_address_that_is_none_is_refused(workspace):
    assert "no address of a Chroma server" in spotter(workspace, "mirror", "--to", "localhost:8000", code=1)
