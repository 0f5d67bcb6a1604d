from __future__ import annotations

import json

import pytest

from console.operations.index_quality import after_ingest
from console.workspace import create_workspace
from index.contents import contents
from index.gating import NO_BASELINE, check, rebuild_gate
from index.layout import Layout
from index.reports import report_event
from tests.index.index_world import RUN_1, RUN_2, facts, ingest_runs, record, write_run

COUNTS = {"read": 4, "added": 4, "seconds": 0.123456, "space": "s", "rejected": [], "spent": None}


@pytest.fixture
def workspace(tmp_path):
    create_workspace(tmp_path)
    text = [record("t1", "Слой данных хранит события", document="guide", tags=["Layer/Data"], page=2)]
    run = write_run(tmp_path, RUN_1, [*text, *facts(3, "arrow")])
    listed = [("data/guide.pdf", 5), ("data/map.pdf", 7), ("data/empty.pdf", 9)]
    documents = [{"group": name, "source": name, "items": pages, "through": {}} for name, pages in listed]
    (run / "report.json").write_text(json.dumps({"documents": documents}))
    ingest_runs(tmp_path)
    return tmp_path


def latest(workspace):
    return json.loads((workspace / "out" / "reports" / "latest.json").read_text("utf-8"))


def test_what_is_missing_is_the_first_thing_a_report_says(workspace):
    told = after_ingest(workspace, COUNTS)
    said = latest(workspace)
    assert (said["documents_without_records"], said["documents_without_text"]) == (["data/empty.pdf"], ["data/map.pdf"])
    assert (said["records"], said["text_share"], said["by_type"]["VisualCaption"]) == (4, 0.25, 0)
    by_name = {one["document"]: one for one in said["documents"]}
    assert by_name["data/guide.pdf"]["language"] == "ru"
    assert (by_name["data/guide.pdf"]["pages_with_records"], by_name["data/guide.pdf"]["pages_known"]) == (1, 5)
    assert (by_name["data/empty.pdf"]["records"], by_name["data/empty.pdf"]["language"]) == (0, None)
    assert said["by_tag"]["Layer/Data"] == 1
    assert (told["gate"], said["told"]["seconds"]) == (None, 0.12)
    text = (workspace / "out" / "reports" / "latest.md").read_text("utf-8")
    assert text.index("data/empty.pdf") < text.index("## Records by type")
    assert "| data/empty.pdf |  | 0 of 9 | **0** |" in text


def test_each_event_has_its_files_and_tells_what_changed_since_the_last(workspace):
    first = report_event(workspace, "ingest")
    assert first.markdown is not None
    write_run(workspace, RUN_2, facts(5, "arrow"))
    ingest_runs(workspace)
    second = report_event(workspace, "ingest")
    third = report_event(workspace, "evaluation")
    assert len({first.json, second.json, third.json}) == 3
    said = json.loads(second.json.read_text())
    assert (said["by_type_before"]["VisualFact"], said["by_type"]["VisualFact"]) == (3, 5)
    assert second.markdown.read_bytes().startswith(b"# Index after an ingest")
    before = len(list((workspace / "out" / "reports").iterdir()))
    report_event(workspace, "ingest", keep=False)
    assert len(list((workspace / "out" / "reports").iterdir())) == before


def test_a_report_that_cannot_be_written_is_told_and_hurts_nothing(workspace):
    (workspace / "out" / "reports").write_text("in the way")
    told = after_ingest(workspace, COUNTS)
    assert told["report"] is None
    assert "no report was written" in told["note"]
    (workspace / "out" / "reports").unlink()
    (workspace / "out" / "runs" / RUN_1 / "report.json").write_text("{")
    assert "no report was written" in after_ingest(workspace, COUNTS)["note"]


def test_a_run_without_a_report_is_known_by_its_list(workspace):
    run = workspace / "out" / "runs" / RUN_1
    (run / "report.json").unlink()
    lines = [{"source": {"path": "data/late.pdf"}, "page": page} for page in (1, 2)]
    (run / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (late,) = (one for one in contents(workspace).documents if one.document == "data/late.pdf")
    assert (late.records, late.pages_known) == (0, 2)


def test_the_gate_says_why_it_asked_nothing_and_fails_a_candidate_that_cannot_be_asked(workspace):
    assert "build-qa" in check(workspace).note
    candidate = Layout(workspace).current()
    assert candidate is not None
    assert rebuild_gate(workspace)(candidate).passed
    (workspace / "eval").mkdir()
    queries = workspace / "eval" / "queries.jsonl"
    queries.write_text('{"query": "слой данных", "positive_ids": ["t1"]}')
    assert check(workspace).note == NO_BASELINE
    verdict = rebuild_gate(workspace)(candidate)
    assert (verdict.passed, verdict.after) == (True, 1.0)
    queries.write_text('{"query": "слой данных", "positive_ids": ["gone"]}')
    assert "gone" in rebuild_gate(workspace)(candidate).reason
    assert latest(workspace)["refused"] is True
    queries.write_text("{")
    assert not rebuild_gate(workspace)(candidate).passed
