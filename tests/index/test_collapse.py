"""The collapse that the gate exists for: facts in such numbers that text drowns, on pages of the examples."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pymupdf
import pytest
from typer.testing import CliRunner

from console.cli import app
from console.workspace import create_workspace
from index.gating import rebuild_gate
from index.layout import Layout
from index.rebuild import rebuild
from pipeline.core.records import read_records
from tests.index.index_world import RUN_1, RUN_2, ingest_runs, record, write_run
from tests.pipeline.driving import Bench

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"
PAGES = {"platform-architecture-playbook.pdf": (5,), "Карта экосистемы.pdf": (1, 3)}
QUESTIONS = {
    "who approves a change to the platform roadmap": "is approved by the Platform Council",
    "what may the chief architect approve alone between meetings": "the chief architect alone may approve",
    "how fast must owners of layers answer a proposal": "answer within five working days",
    "how much did the second region cost": "310,000 euros",
    "Какие слои включает Platform Value Stack?": "включает пять слоёв",
    "как часто обновляют карту экосистемы": "Мы обновляем её раз в полгода",
    "на какие три вопроса отвечает карта": "Карта отвечает на три вопроса",
    "что остановилось, когда лаборатория перестала выдавать сертификаты": "погасла одна стрелка",
    "Что такое Platform Architecture Canvas?": "это полотно на одном листе",
    "кто заполняет полотно и сколько это длится": "На всё уходит два часа",
    "когда полотно считается готовым": "Полотно готово, если",
    "что делать с полем, о котором никто не знает": "Пустое поле с именем полезнее",
}
"""Question to words that the chunk with its answer holds."""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    """Records of a few pages of the examples, as docparse makes them."""
    bench = Bench(tmp_path_factory.mktemp("parsed"), "docparse")
    (bench.root / "data").mkdir()
    for name, pages in PAGES.items():
        with pymupdf.open(EXAMPLES / name) as whole, pymupdf.open() as few:
            for page in pages:
                few.insert_pdf(whole, from_page=page - 1, to_page=page - 1)
            few.save(bench.root / "data" / name)
    bench.plan(workers=1)
    bench.run()
    return list(read_records(bench.run_dir / "records" / "docparse.ndjson"))


def folded(text):
    return " ".join(text.split())


def facts_about(chunks, copies=3):
    """Many facts that say again, in pieces, what the text says, as a vision model does that reads the same pages."""
    forms = ("diagram shows {}", "block {}", "arrow from {}")
    found = []
    for chunk in chunks:
        words = re.findall(r"\w[\w-]*", chunk.text)
        for first in range(0, len(words) - 5, 6):
            piece = " ".join(words[first : first + 6])
            found += [
                record(
                    f"{chunk.id}-{first}-{copy}", forms[copy].format(piece), "VisualFact",
                    source_file=chunk.meta.source_file, filename=chunk.meta.filename,
                    document_id=chunk.meta.document_id, page=chunk.meta.page, region_id=f"region-{first:04}-{copy}",
                )
                for copy in range(copies)
            ]  # fmt: skip
    return found


def say(workspace, *arguments):
    return CliRunner().invoke(app, ["-C", str(workspace), *map(str, arguments)])


def latest_report(workspace):
    return json.loads((workspace / "out" / "reports" / "latest.json").read_text("utf-8"))


def test_drowned_text_trips_the_gate_of_ingest_and_rebuild_and_the_report_says_why(parsed, tmp_path):
    create_workspace(tmp_path)
    chunks = [one for one in parsed if one.meta.type in ("NarrativeText", "Table")]
    answers = {
        query: [chunk.id for chunk in chunks if words in folded(chunk.text)] for query, words in QUESTIONS.items()
    }
    assert all(answers.values())
    lines = [json.dumps({"query": query, "positive_ids": found}) for query, found in answers.items()]
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "queries.jsonl").write_text("\n".join(lines), "utf-8")
    text_run = write_run(tmp_path, RUN_1, parsed)
    ingest_runs(tmp_path)
    assert say(tmp_path, "index", "report").exit_code == 0
    for mode in ("raw", "balanced"):
        saved = tmp_path / "eval" / f"{mode}.json"
        assert say(tmp_path, "index", "evaluate", "--mode", mode, "--baseline", saved, "--save-baseline").exit_code == 0
    baseline = tmp_path / "eval" / "baseline.json"
    baseline.write_bytes((tmp_path / "eval" / "raw.json").read_bytes())

    asked = {found for ids in answers.values() for found in ids}
    facts = facts_about([chunk for chunk in chunks if chunk.id in asked])
    assert len(facts) > 10 * len(chunks)
    visual_run = write_run(tmp_path, RUN_2, facts, producer="vlm")

    # A rebuild that would bring the facts in is refused; the index stays as it is.
    refused = rebuild(tmp_path, [text_run, visual_run], gate=rebuild_gate(tmp_path), mirror=False)
    assert not refused.switched
    assert "text R@5" in refused.verdict
    assert "VisualFact took their places" in refused.verdict
    told = latest_report(tmp_path)
    assert (told["event"], told["quality"]["gate"]["passed"]) == ("rebuild", False)
    assert Layout(tmp_path).current().number == 1

    # So does an ingest say it, at the end of the command.
    said = say(tmp_path, "ingest")
    assert said.exit_code == 1
    assert "gate FAILED: text R@5" in said.output
    told = latest_report(tmp_path)
    verdict = told["quality"]["gate"]
    assert verdict["before"] - verdict["after"] >= 0.4
    assert told["by_type"]["VisualFact"] - told["by_type_before"]["VisualFact"] >= len(facts) - 1
    assert told["text_share"] < 0.1
    change = told["quality"]["change"]
    assert change["strict"]["R@5"]["significant"]
    assert told["quality"]["text_share_at_5"] < 0.5 * change["text_share_at_5_before"]
    worst = change["fell"][0]
    assert (worst["kind"], worst["after"]) == ("text", 0.0)
    assert {shown["type"] for shown in worst["came_in"]} == {"VisualFact"}
    shown = (tmp_path / "out" / "reports" / "latest.md").read_text("utf-8")
    assert "Gate **failed**" in shown
    assert f"- {worst['query']} (text)" in shown
    assert f"now there: VisualFact, {worst['came_in'][0]['document']}" in shown

    # Asked as people search, with places kept for text, the same index passes, and a rebuild is switched in.
    baseline.write_bytes((tmp_path / "eval" / "balanced.json").read_bytes())
    said = say(tmp_path, "index", "evaluate")
    assert said.exit_code == 0, said.output
    assert "Gate **passed**" in said.output
    done = rebuild(tmp_path, [text_run, visual_run], gate=rebuild_gate(tmp_path), mirror=False)
    assert done.switched, done.verdict
    assert latest_report(tmp_path)["event"] == "rebuild"

    # The generation of before is there to compare with, and nothing differs.
    said = say(tmp_path, "index", "evaluate", "--against", "1", "--json")
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout.splitlines()[-1])
    assert told["change"]["before"]["generation"] != told["generation"]
    assert not any(change["significant"] for change in told["change"]["R@5_by"]["strict"].values())
    assert say(tmp_path, "index", "evaluate", "--against", "nothing").exit_code == 2


def test_visual_records_that_replace_the_text_are_told_by_the_lost_answers(parsed, tmp_path):
    create_workspace(tmp_path)
    page = [one for one in parsed if one.meta.page == 2 and one.meta.filename == "Карта экосистемы.pdf"]
    chunk = next(one for one in page if "На всё уходит два часа" in folded(one.text))
    (tmp_path / "eval").mkdir()
    line = json.dumps({"query": "сколько времени заполняют полотно", "positive_ids": [chunk.id]})
    (tmp_path / "eval" / "queries.jsonl").write_text(line)
    write_run(tmp_path, RUN_1, page)
    ingest_runs(tmp_path)
    assert say(tmp_path, "index", "evaluate", "--save-baseline").exit_code == 0
    # The same pipeline delivers the document anew, and only what is visual.
    write_run(tmp_path, RUN_2, [one for one in page if one.meta.type in ("VisualCaption", "VisualFact")])
    assert say(tmp_path, "ingest", "--no-evaluation").exit_code == 0
    said = say(tmp_path, "ingest", "--json")
    assert said.exit_code == 1
    quality = json.loads(said.stdout.splitlines()[-1])["quality"]
    assert chunk.id in quality["gate"]["reason"]
    assert latest_report(tmp_path)["documents_without_text"] == [chunk.meta.source_file]
