from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from console.cli import app
from console.workspace import create_workspace
from index.build_qa import BadDrafts, UnknownDraft, accept, draft, read_drafts, reject
from index.evaluate import DanglingAnswers
from index.qa_templates import Passage, in_language, language_of, questions, spread
from index.queries import read_queries
from tests.index.index_world import RUN_1, RUN_2, ingest_runs, record, write_run
from tests.index.model_server import serving

BOARD = "Карта экосистемы"


def visual(record_id, text, kind="VisualFact", document="map", region="r1"):
    return record(record_id, text, kind, document, region_id=region, page=2)


RECORDS = [
    record("title", "Platform roadmap", "Title", page=5),
    record("chunk", "CHAPTER 4 Platform roadmap\n\nThe roadmap holds what the assessment calls for.", page=5),
    record("asks", "Когда полотно готово", "Title", page=6),
    record("готово", "Когда полотно готово\n\nПолотно готово, если его понимает человек со стороны.", page=6),
    record("table", "Layer | Owner | Mean\nEngagement | A. Lind | 4", "Table", page=5),
    visual("caption", f"diagram «Risks · Риски» under «{BOARD}»: Один склад на город", "VisualCaption"),
    visual("f1", "Лаборатория → Платформа (сертификаты)"),
    visual("f2", "Лаборатория → Кухня"),
    visual("f3", "Дежурный инженер · Кого спрашивает: Никого"),
    visual("f4", "Risks: One cold store per city", region="r2"),
    visual("f5", "Risks: Forecast fails on holidays", region="r2"),
    visual("plain", "canvas without text layer", "VisualCaption", region="r3"),
]


def passage(one):
    meta = one.meta
    return Passage(one.id, meta.type, one.text, meta.source_file, meta.page, meta.region_id)


def test_templates_ask_in_the_records_language_and_name_every_record_that_answers():
    asked = {one.query: one for one in questions([passage(one) for one in RECORDS])}
    assert {query: one.answers for query, one in asked.items()} == {
        "What does the document say about “Platform roadmap”?": ("chunk",),
        "Когда полотно готово?": ("готово",),
        "Which table gives “Layer”, “Owner”, “Mean”?": ("table",),
        "Что показано на схеме «Риски»?": ("caption",),
        "Куда ведёт стрелка от «Лаборатория»?": ("f1", "f2"),
        "Что указано для «Дежурный инженер» в графе «Кого спрашивает»?": ("f3",),
        "What is listed under “Risks”?": ("f4", "f5"),
    }
    assert {one.kind for one in asked.values()} == {"text", "visual"}
    assert (language_of("Версия 3 API"), language_of("API only")) == ("ru", "en")
    assert in_language("Risks / Риски", "en") == "Risks"


def test_a_heading_that_stands_in_many_places_and_a_question_of_two_places_ask_nothing():
    many = [record(f"t{at}", "Risks and costs", "Title", page=at) for at in range(3)]
    many += [record(f"c{at}", "Risks and costs of it", page=at) for at in range(3)]
    twice = [visual("a", "Costs: 41 %", document="one"), visual("b", "Costs: 9 %", document="two")]
    assert questions([passage(one) for one in [*many, *twice]]) == []


def test_questions_are_dealt_over_kinds_and_documents():
    made = questions([passage(one) for one in RECORDS])
    assert sorted(one.kind for one in spread(made, 4)) == ["text", "text", "visual", "visual"]
    assert len(spread(made, 100)) == len(made)


@pytest.fixture
def workspace(tmp_path):
    create_workspace(tmp_path)
    write_run(tmp_path, RUN_1, RECORDS)
    ingest_runs(tmp_path)
    return tmp_path


def say(workspace, *arguments):
    return CliRunner().invoke(app, ["-C", str(workspace), "index", "build-qa", *map(str, arguments)])


def test_drafts_wait_for_a_word_and_are_never_drafted_twice(workspace):
    assert "4 new drafts" in say(workspace, "--limit", "4").output
    assert draft(workspace, 100).new == 3
    assert draft(workspace, 100).new == 0
    drafts = read_drafts(workspace)
    assert drafts[0].id in say(workspace, "--list").output
    assert [one.id for one in reject(workspace, [drafts[0].id])] == [drafts[0].id]
    with pytest.raises(UnknownDraft, match=drafts[0].id):
        accept(workspace, [drafts[0].id])
    path = workspace / "eval" / "queries.jsonl"
    path.write_text('{"query": "my own", "positive_ids": ["chunk"]}')
    assert "2 accepted" in say(workspace, "--accept", f"{drafts[1].id},{drafts[2].id}").output
    assert say(workspace, "--accept", "all").exit_code == 0
    labelled = read_queries(path)
    assert [query.query for query in labelled] == ["my own", *(one.query for one in drafts[1:])]
    assert labelled[1].positive_ids == drafts[1].positive_ids
    kept = path.read_bytes()
    assert draft(workspace, 100).new == 0
    assert accept(workspace, ["all"]) == []
    assert path.read_bytes() == kept
    (workspace / "eval" / "drafts.jsonl").write_text('{"query": "x"}')
    with pytest.raises(BadDrafts, match="line 1"):
        read_drafts(workspace)


def test_a_draft_whose_answer_is_gone_is_refused_and_taken_away_by_the_next_drafting(workspace):
    draft(workspace, 100)
    write_run(workspace, RUN_2, [one for one in RECORDS if one.id != "table"])
    ingest_runs(workspace)
    with pytest.raises(DanglingAnswers, match="table of “Which table gives"):
        accept(workspace, ["all"])
    assert not (workspace / "eval" / "queries.jsonl").exists()
    assert draft(workspace, 100).removed == 1
    assert len(accept(workspace, ["all"])) == 6


def test_a_model_drafts_and_a_quote_that_stands_in_no_record_drops_its_question(tmp_path):
    long = "The chief architect alone may approve a change that moves one piece by no more than a quarter of a year."
    records = [
        record("approve", long, page=5),
        visual("where", "Laboratory: one for four cities, and the second has been sought since January by everybody"),
    ]

    def answer(body):
        shown = json.loads(body["messages"][-1]["content"])["records"]
        if shown[0]["type"] == "NarrativeText":
            real = {"question": "Who decides small delays?", "quote": "chief  architect alone may\napprove"}
            return {"questions": [real, {"question": "Invented?", "quote": "the board of directors approves"}]}
        return {"questions": [{"question": "What is scarce?", "quote": "one for four cities"}]}

    with serving(answer=answer) as server:
        workspace = server.workspace(tmp_path / "w")
        write_run(workspace, RUN_1, records)
        ingest_runs(workspace)
        said = say(workspace, "--model", "there/talker", "--json")
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout.splitlines()[-1])
    assert (told["new"], told["dropped"]) == (2, 1)
    assert told["usd"] > 0
    found = {one.query: one for one in read_drafts(workspace)}
    assert found["Who decides small delays?"].positive_ids == ("approve",)
    assert (found["What is scarce?"].positive_ids, found["What is scarce?"].kind) == (("where",), "visual")
    assert {one.drafted_by for one in found.values()} == {"there/talker"}
