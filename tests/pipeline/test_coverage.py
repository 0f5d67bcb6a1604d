"""The report tells per document what was found, and nothing found cannot be overlooked."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.core.report import DocumentCoverage, RunReport
from pipeline.docparse.coverage import count_regions, table
from pipeline.docparse.labels import LABELS
from tests.pipeline.described import FRAME, ITEMS, PLAN, described_run, item


def test_regions_are_counted_per_document_and_zeros_stand_out(tmp_path: Path) -> None:
    described_run(tmp_path / "run")
    bad = item(FRAME.model_copy(update={"path": "data/bad.png"}), "bad-00000000", 1)
    documents = count_regions(tmp_path / "run", [*ITEMS, bad], ITEMS)
    assert [(one.source, one.pages, one.described, one.with_regions, one.regions, one.masks) for one in documents] == [
        (PLAN.path, 2, 2, 1, 6, 4), (FRAME.path, 1, 1, 1, 1, 0), ("data/bad.png", 1, 0, 0, 0, 0),
    ]  # fmt: skip
    assert documents[0].labels == {
        "diagram": 1, "canvas": 0, "table": 1, "legend": 0, "node": 2, "arrow": 1, "textbox": 1,
    }  # fmt: skip
    told = table(documents)
    assert told.rows[-1] == ("all documents", 4, 3, 2, 7, 4, 1, 0, 1, 1, 2, 1, 1)
    assert told.head[-7:] == LABELS
    covered = DocumentCoverage("bad", "data/bad.png", 1, {"rendered": 1, "detected": 0})
    report = RunReport("r", "docparse@2", "", "incomplete", "", "page", 1, [covered], [], {}, [told])
    lines = report.to_markdown().decode().splitlines()
    assert "| data/bad.png | 1 | 1 | **0** |" in lines, "no stage that took nothing through is overlooked"
    assert "| data/bad.png | 1 | **0** | **0** | **0** | **0** |" + " **0** |" * len(LABELS) in lines
    page = report.to_html().decode()
    assert page.count("<td class=zero>0</td>") == 1 + sum(cell == 0 for row in told.rows for cell in row)
    assert json.loads(report.to_json())["tables"][0]["rows"][0][0] == PLAN.path
