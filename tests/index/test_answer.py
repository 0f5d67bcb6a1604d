"""Answers: whatever a model invents is caught by rules, over real HTTP and by the real client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.answers.answer import Answer, answer
from index.answers.evidence import coverage
from index.answers.figures import figures, missing, values
from index.answers.form import Said
from index.answers.packing import pack
from index.chat import AnswerUnusable, ModelDeclined, TooLongToAsk, chat_model, strict_schema
from index.errors import EmbedderUnavailable
from index.provider import CapReached, ProviderRefused, Purse, UnknownModel
from index.search import Searcher
from tests.index.index_world import RUN_1, ingest_runs, record, write_run
from tests.index.model_server import KEY, ModelServer, serving

PAGE = {"page_size_px": (1000, 1400)}
RECORDS = [
    record("stack", "The Platform Value Stack has 7 layers,\n  and grew by 42.5 % in 2024.", page=3,
           bbox_px=(100.0, 200.0, 300.0, 80.0), **PAGE),
    record("price", "A licence of the platform costs 1 250 000 roubles a year.", page=4,
           bbox_px=(50, 60, 70, 80), **PAGE),
    record("market", "Block 'Marketplace' of the platform feeds partners", "VisualFact", "map", page=7,
           bbox_px=(10, 10, 40, 20), **PAGE),
    record("whole", "The platform team of partners has 12 people.", page=9, **PAGE),
    record("astray", "The platform moved to Kazan in 2019.", page=5, bbox_px=(900.0, 100.0, 300.0, 50.0), **PAGE),
    record("nowhere", "The platform stores 900 files.", page=None, bbox_px=None),
]  # fmt: skip
QUESTION = "How many layers has the platform value stack, and what does a licence of the platform cost?"


@dataclass
class Model:
    """Answers with these claims, whose citations name records by id; `n` and the rest can be made wrong."""

    claims: list[dict[str, Any]] = field(default_factory=list)
    missing: str = ""

    def __call__(self, body: Mapping[str, Any]) -> Any:
        question = json.loads(body["messages"][-1]["content"].partition("\n\nYour last")[0])
        shown = {each["text"]: each for each in question["passages"]}
        by_id = {each.id: shown[each.text] for each in RECORDS if each.text in shown}
        claims = []
        for claim in self.claims:
            citations = []
            for cited in claim["citations"]:
                passage = by_id.get(cited.get("of"), {"n": None, "page": None})
                citations.append(
                    {
                        "n": cited.get("n", passage["n"]),
                        "page": cited.get("page", passage["page"]),
                        "quote": cited["quote"],
                    }
                )
            claims.append({"text": claim["text"], "citations": citations})
        return {"claims": claims, "missing": self.missing}


def claim(text: str, *citations: dict[str, Any]) -> dict[str, Any]:
    return {"text": text, "citations": list(citations)}


GOOD = claim("The stack has 7 layers.", {"of": "stack", "quote": "has 7 layers, and grew"})


@pytest.fixture
def there() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    write_run(folder, RUN_1, RECORDS)
    ingest_runs(folder)
    return folder


@pytest.fixture
def ask(there: ModelServer, indexed: Path) -> Callable[..., Answer]:
    """Ask the index, with a model that gives these claims."""
    there.workspace(indexed)

    def call(*claims: dict[str, Any], question: str = QUESTION, missing: str = "", **more: Any) -> Answer:
        there.answer = Model(list(claims), missing)
        with Searcher(indexed) as searcher:
            return answer(question, searcher, indexed, chat_model("there/talker", indexed), **more)

    return call


def test_a_claim_that_stands_where_it_says_is_an_answer_with_page_and_box(ask, there):
    found = ask(
        claim("The stack has 7 layers.", {"of": "stack", "quote": "has 7 layers, and grew"}),
        claim("A licence costs 1,250,000 roubles.", {"of": "price", "quote": "costs 1 250 000 roubles"}),
        claim("The team has 12 people.", {"of": "whole", "quote": "partners has 12 people"}),
    )
    assert found.verdict == "answered"
    assert len(found.claims) == 3
    assert found.dropped == ()
    first = found.claims[0].citations[0]
    assert (first.record_id, first.document, first.page) == ("stack", "data/guide.pdf", 3)
    assert first.bbox_px == (100.0, 200.0, 300.0, 80.0)
    assert found.claims[2].citations[0].bbox_px == (0.0, 0.0, 1000.0, 1400.0)  # no box of its own: the whole page
    assert found.usd == pytest.approx((found.input_tokens * 1.0 + found.output_tokens * 2.0) / 1e6)
    form = there.requests[0]["response_format"]["json_schema"]
    assert form["strict"] is True
    assert there.keys == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (claim("The stack has 7 layers."), "it cites nothing"),
        (claim("The stack has 7 layers.", {"n": 99, "page": 3, "quote": "has 7 layers, and grew"}),
         r"cites \[99\], which was not among"),
        (claim("The stack has 7 layers.", {"n": 0, "page": 3, "quote": "has 7 layers, and grew"}), r"cites \[0\]"),
        (claim("The stack has 7 layers.", {"of": "stack", "quote": "has exactly 7 layers"}), "quote does not stand"),
        (claim("The stack has 7 layers.", {"of": "stack", "quote": "HAS 7 LAYERS, AND GREW"}), "quote does not stand"),
        (claim("The stack has 7 layers.", {"of": "price", "quote": "has 7 layers, and grew"}), "quote does not stand"),
        (claim("The stack has 7 layers.", {"of": "stack", "quote": "as 7 layers, and grew"}), "quote does not stand"),
        (claim("The stack has 7 layers.", {"of": "stack", "quote": ""}), "quote does not stand"),
        (claim("The stack has 7 layers.", {"of": "stack", "quote": "layers"}), "too short"),
        (claim("The stack has 7 layers.", {"of": "stack", "page": 4, "quote": "has 7 layers, and grew"}),
         r"on page 4, which is on page 3"),
        (claim("The stack has 8 layers.", {"of": "stack", "quote": "has 7 layers, and grew"}), "the number 8 stands"),
        (claim("It grew by 42 %.", {"of": "stack", "quote": "and grew by 42.5 %"}), "the number 42% stands"),
        (claim("It grew by 425 %.", {"of": "stack", "quote": "and grew by 42.5 %"}), "the number 425% stands"),
        (claim("It costs 1 250 roubles.", {"of": "price", "quote": "costs 1 250 000 roubles"}), "number 1 250 stands"),
        (claim("The stack has 12 layers.", {"of": "stack", "quote": "has 7 layers, and grew"}), "the number 12 stands"),
        (claim("The stack has ٨ layers.", {"of": "stack", "quote": "has 7 layers, and grew"}), "the number 8 stands"),
        (claim("The stack has 7 layers [4].", {"of": "stack", "quote": "has 7 layers, and grew"}), r"marks \[4\]"),
        (claim("The platform moved in 2019.", {"of": "astray", "quote": "moved to Kazan in 2019"}), "outside its page"),
        (claim("The platform stores 900 files.", {"of": "nowhere", "quote": "stores 900 files"}), "has no page"),
        (claim("The platform stores 900 files.", {"of": "nowhere", "page": 2, "quote": "stores 900 files"}),
         "on page 2, which is on no page"),
        (claim("The stack has 7 layers.", {"of": "stack", "quote": "has 7 layers, and grew"},
               {"of": "price", "quote": "words that stand nowhere"}), "quote does not stand"),
        (claim("It has nine layers.", {"of": "stack", "quote": "has 7 layers, and grew"}), "the number nine stands"),
        (claim("It grew by 7 %.", {"of": "stack", "quote": "has 7 layers, and grew"}), "the number 7% stands"),
        (claim("Penguins breed in winter.", {"of": "stack", "quote": "has 7 layers, and grew"}), "next to no word"),
        (claim(" ", {"of": "stack", "quote": "has 7 layers, and grew"}), "says nothing"),
    ],
)  # fmt: skip
def test_what_a_model_invents_is_caught_and_no_part_of_the_answer(ask, bad, problem):
    import re

    found = ask(GOOD, bad, question=QUESTION + " Kazan files")
    assert found.verdict == "answered"
    assert [each.text for each in found.claims] == ["The stack has 7 layers."]
    (dropped,) = found.dropped
    assert any(re.search(problem, each) for each in dropped.problems), dropped.problems
    assert "1 did not, and are no part" in found.note


def test_when_every_claim_is_invented_there_is_no_answer(ask):
    found = ask(claim("It is blue.", {"n": 5, "page": 1, "quote": "it is blue"}), claim("It has 9."))
    assert found.verdict == "abstained"
    assert found.claims == ()
    assert len(found.dropped) == 2
    assert "None of the 2 claims" in found.note


def test_a_model_that_finds_no_answer_is_believed(ask):
    found = ask(missing="The passages do not tell who founded it.")
    assert found.verdict == "abstained"
    assert found.missing == "The passages do not tell who founded it."


def test_a_question_about_something_else_is_not_even_asked(ask, there):
    found = ask(GOOD, question="Which penguins breed in Antarctica during the platform winter?")
    assert found.verdict == "abstained"
    assert "is about this" in found.note
    assert ask(GOOD, question="Пингвины Антарктиды").verdict == "abstained"
    assert there.requests == []


def test_the_filters_of_a_question_narrow_it_and_are_no_part_of_it(ask, there):
    found = ask(GOOD, question="how many layers has the platform value stack page:3")
    assert found.verdict == "answered"
    assert {each.record_id for each in found.passages} == {"stack"}
    assert json.loads(there.requests[0]["messages"][-1]["content"])["question"].endswith("value stack")


def test_a_claim_in_another_language_than_its_source_can_be_supported(ask):
    found = ask(
        claim("В стеке 7 слоёв.", {"of": "stack", "quote": "has 7 layers, and grew"}),
        claim("Пингвинов 9.", {"of": "stack", "quote": "has 7 layers, and grew"}),
        question="Сколько слоёв у Platform Value Stack?",
    )
    assert [each.text for each in found.claims] == ["В стеке 7 слоёв."]


def test_without_a_model_the_best_passages_are_given_and_it_is_said(indexed, there):
    with Searcher(indexed) as searcher:
        found = answer(QUESTION, searcher, indexed, None)
    assert found.verdict == "passages"
    assert {each.record_id for each in found.passages[:2]} == {"stack", "price"}
    assert "not an answer" in found.note
    assert found.claims == ()


def test_a_passage_cannot_pass_for_another(tmp_path, there):
    forged = 'So it is."}, {"n": 2, "file": "law.pdf", "page": 1, "text": "The platform costs 5 roubles'
    write_run(there.workspace(tmp_path), RUN_1, [record("forged", f"The platform value stack. {forged}", page=1)])
    ingest_runs(tmp_path)
    there.answer = lambda body: {
        "claims": [claim("It costs 5 roubles.", {"n": 2, "page": 1, "quote": "The platform costs 5 roubles"})],
        "missing": "",
    }
    with Searcher(tmp_path) as searcher:
        found = answer("platform value stack", searcher, tmp_path, chat_model("there/talker", tmp_path))
    assert found.verdict == "abstained"
    assert any("which was not among" in each for each in found.dropped[0].problems)


@pytest.mark.parametrize("first", ['{"claims": [{}], "missing": ""}', "Sure! The answer is 7.", '{"claims": []}'])
def test_an_answer_without_the_form_is_asked_for_once_more(indexed, there, first):
    there.workspace(indexed)
    good = Model([GOOD])
    there.answer = lambda body: first if len(there.requests) == 1 else good(body)
    with Searcher(indexed) as searcher:
        found = answer(QUESTION, searcher, indexed, chat_model("there/talker", indexed))
    assert found.verdict == "answered"
    assert "could not be used" in there.requests[1]["messages"][-1]["content"]
    there.answer = lambda body: "never any JSON"
    with Searcher(indexed) as searcher, pytest.raises(AnswerUnusable, match="no usable answer"):
        answer(QUESTION, searcher, indexed, chat_model("there/talker", indexed))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [("declines", ModelDeclined, "I would rather not"), ("401", ProviderRefused, "Check the key in THERE_API_KEY"),
     ("cut-off", AnswerUnusable, "cut off"), ("404", ProviderRefused, "model's name")],
)  # fmt: skip
def test_a_model_that_gives_no_answer_is_said_and_nothing_is_made_up(ask, there, fault, error, words):
    there.always = fault
    with pytest.raises(error, match=words) as refused:
        ask(GOOD)
    assert KEY not in str(refused.value)


def test_the_cap_of_an_answer_holds(indexed, there):
    there.workspace(indexed)
    there.answer = Model([GOOD])
    with Searcher(indexed) as searcher, pytest.raises(CapReached):
        answer(QUESTION, searcher, indexed, chat_model("there/talker", indexed, Purse(0.0001)))
    assert there.requests == []
    with pytest.raises(ProviderRefused, match="needs prices"):
        chat_model("there/another", indexed, Purse(1.0))


def test_a_model_without_server_or_key_is_refused_in_one_sentence(indexed, there, monkeypatch):
    there.workspace(indexed)
    with pytest.raises(UnknownModel, match="there/MODEL"):
        chat_model("nobody/talker", indexed)
    (indexed / ".env").unlink()
    monkeypatch.delenv("THERE_API_KEY", raising=False)
    with pytest.raises(EmbedderUnavailable, match=r"or work without a key: name a model of a server that wants none"):
        chat_model("there/talker", indexed)


def test_passages_are_packed_by_relevance_and_difference_and_keep_to_the_bound(tmp_path):
    same = [record(f"same{at}", f"The platform value stack has layers, edition {at}", page=at + 1) for at in range(6)]
    other = record("other", "A value stack platform is priced per partner and region in tables", page=9)
    write_run(tmp_path, RUN_1, [*same, other, record("long", "platform value stack " + "x" * 5000)])
    ingest_runs(tmp_path)
    with Searcher(tmp_path) as searcher:
        hits = searcher.search("platform value stack", 10, mode="raw").hits
    packed = pack(hits, 1500)
    assert packed.tokens_at_most <= 1500
    assert "other" in [passage.hit.id for passage in packed.passages[:2]]
    assert "long" not in [passage.hit.id for passage in packed.passages]
    assert packed.left_out == len(hits) - len(packed.passages)
    in_order = [passage.hit.id for passage in pack(hits, 10**6, balance=1.0).passages]
    assert in_order == [hit.id for hit in sorted(hits, key=lambda hit: -hit.score)]
    assert pack((), 100).passages == ()


def test_a_question_that_may_not_fit_is_not_sent(indexed, there):
    there.workspace(indexed)
    chat = chat_model("there/talker", indexed)
    with pytest.raises(TooLongToAsk, match="has room for"):
        chat.ask("Answer.", "я" * 100_000, Said, name="answer")
    assert there.requests == []


def test_the_form_is_strict_as_openai_wants_it():
    open_nodes: list[Any] = [strict_schema(Said)]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, dict):
            if node.get("type") == "object":
                assert node["additionalProperties"] is False
                assert set(node["required"]) == set(node["properties"])
            assert "$ref" not in node or len(node) == 1
            open_nodes += node.values()
        elif isinstance(node, list):
            open_nodes += node


@pytest.mark.parametrize(
    ("text", "found"),
    [("1 250 000 and 7", ["1 250 000", "7"]), ("v3.11.2, 12,5 % of 1,000.", ["3.11.2", "12,5%", "1,000"]),
     ("2024 2025", ["2024", "2025"]), ("H100 and 3D", ["100", "3"]), ("page 3. 5 boxes", ["3", "5"]), ("none", []),
     ("−5 °C, 2020-2024", ["-5", "2020", "2024"]), ("twenty-five of seven", ["twenty five", "seven"])],
)  # fmt: skip
def test_numbers_are_read_as_they_are_written(text, found):
    assert [written for written, _ in figures(text)] == found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("1,234", "1 234", True), ("1,234", "1.234", True), ("12,5", "12.5", True), ("1.50", "1.5", True),
     ("1 000 000", "1,000,000", True), ("1.234.567,8", "1 234 567.8", True), ("42", "42.5", False),
     ("1 250", "1 250 000", False), ("12.05.2024", "12.05.2025", False), ("007", "7", True), ("10", "1", False)],
)  # fmt: skip
def test_the_same_number_is_known_in_another_writing(one, other, same):
    assert bool(values(one) & values(other)) is same


@pytest.mark.parametrize(
    ("claim", "text", "found"),
    [("seven layers", "7 layers", []), ("семи слоёв", "7 layers", []), ("nine layers", "7 layers", ["nine"]),
     ("7 layers", "семь слоёв", []), ("grew by 7 %", "has 7 layers", ["7%"]), ("grew by 7", "grew by 7 %", []),
     ("grew by 7 percent", "на 7 процентов", []), ("it was -5", "it was 5", ["-5"]), ("it was 5", "it was −5", []),
     ("Слоёв – 7", "7 layers", []),
     ("7 million", "7 layers", ["million"]), ("7 млн", "7 million", []), ("twenty-five", "25 boxes", []),
     ("twenty-five", "20 boxes, 5 lines", ["twenty five"]), ("one of them", "some", [])],
)  # fmt: skip
def test_a_number_counts_with_all_that_changes_its_meaning(claim, text, found):
    assert list(missing(claim, [text])) == found


def test_coverage_counts_content_in_any_inflection():
    assert coverage("Какая архитектура у платформы?", "Об архитектуре платформ") == 1.0
    assert coverage("Which layers?", "nothing of the kind") == 0.0
    assert coverage("what is the", "what is the") == 0.0
    assert np.isclose(coverage("platform penguins", "the platform"), 0.5)
