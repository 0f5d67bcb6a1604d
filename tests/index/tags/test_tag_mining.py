"""Mining: what is proposed from a corpus, what people decide, and what becomes of it."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.chat import chat_model
from index.embed import OFFLINE, embedder
from index.ingest import ingest
from index.spending import Purse
from index.tags.canonical import Canonicaliser
from index.tags.catalog_file import default_catalog, workspace_catalog
from index.tags.errors import BadCandidates, BadPortfolio
from index.tags.lint import lint
from index.tags.mining.accepting import accept
from index.tags.mining.asking import Asker
from index.tags.mining.candidates import Limits, mine
from index.tags.mining.merging import average_link, propose_merges
from index.tags.mining.ngrams import Passage, count_terms
from index.tags.mining.review_file import FILE, read_lines
from index.tags.mining.run import mine_index
from tests.index.index_world import RUN_1, record, write_run
from tests.index.model_server import serving

CANONICAL = Canonicaliser(default_catalog())
SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ra", "su", "ta", "ve", "xi", "zo")


def word(number: int) -> str:
    return "".join(SYLLABLES[number // 15**at % 15] for at in range(3))


def corpus(documents: int = 12, own: int = 22, seed: int = 1) -> list[Passage]:
    """Documents that each speak of `own` terms of two words, among words that all of them use."""
    draw = random.Random(seed)
    common = [word(n) for n in range(40)]
    found = []
    for document in range(documents):
        terms = [f"{word(100 + 60 * document + 2 * n)} {word(101 + 60 * document + 2 * n)}" for n in range(own)]
        for page in range(30):
            spoken = draw.sample(terms, 6)
            text = ". ".join(" ".join([*draw.sample(common, 4), term, *draw.sample(common, 3)]) for term in spoken)
            found.append(Passage(f"{document}-{page}", text, f"doc {document}", str(page)))
    return found


def test_a_corpus_that_speaks_of_more_than_two_hundred_things_gives_as_many_candidates() -> None:
    passages = corpus()
    told = mine(count_terms(passages, 3), CANONICAL, Limits(limit=1_000))
    phrases = {one.name for one in told.candidates if len(one.term) == 2}
    wanted = {
        f"{word(100 + 60 * document + 2 * n)} {word(101 + 60 * document + 2 * n)}"
        for document in range(12)
        for n in range(22)
    }
    assert len(phrases & wanted) >= 200
    assert len(phrases & wanted) >= 0.9 * len(wanted)
    assert len(phrases - wanted) <= 0.05 * len(phrases)
    assert not {word(n) for n in range(40)} & {one.name for one in told.candidates}
    assert mine(count_terms(passages, 3), CANONICAL, Limits(limit=1_000)) == told


def test_scores_are_those_of_the_papers() -> None:
    texts = ["red fox runs", "red fox sleeps", "red fox sleeps", "blue whale swims", "blue whale swims", "red whale"]
    passages = [Passage(str(at), text, "ab"[at > 2], "1") for at, text in enumerate(texts)]
    limits = Limits(1, 1, 1.0, -1.0, -99.0, 2.0, 99)
    told = {one.name: one for one in mine(count_terms(passages, 1), CANONICAL, limits).candidates}
    fox = told["red fox"]
    assert fox.npmi == pytest.approx(math.log((3 / 17) / (4 / 17 * 3 / 17)) / -math.log(3 / 17), abs=1e-4)
    strength, words, rest = 0.1 * 17, 9, 8
    prior = strength * 3 / 17
    inside = (3 + prior) / (words + strength - 3 - prior)
    outside = (0 + prior) / (rest + strength - 0 - prior)
    z = (math.log(inside) - math.log(outside)) / math.sqrt(1 / (3 + prior) + 1 / prior)
    assert (fox.z, fox.part) == (pytest.approx(z, abs=1e-4), "a")
    assert fox.ctfidf == pytest.approx(3 / 9 * math.log(1 + 8.5 / 3), abs=1e-6)
    assert (fox.mentions, fox.records, fox.documents) == (3, 3, 1)
    assert fox.quotes[0].record_id == "0"
    assert fox.quotes[0].text == "red fox"


@pytest.mark.parametrize(
    ("texts", "missing", "reason"),
    [
        (["alpha tested once"], "alpha", "is too rare"),
        (["alpha gamma"] * 9, "alpha gamma", "is nearly everywhere"),
        ([f"the roadmap w{n}" for n in range(5)] + [f"x{n}" for n in range(30)], "roadmap", "is a tag's name already"),
        (["alpha beta"] * 5 + [f"y{n}" for n in range(30)], "alpha", "stands inside a longer term"),
    ],
)
def test_what_is_left_out_is_counted_by_its_reason(texts: list[str], missing: str, reason: str) -> None:
    passages = [Passage(str(at), text, str(at % 2), "1") for at, text in enumerate(texts)]
    told = mine(count_terms(passages, 1), CANONICAL, Limits(min_z=-99))
    assert missing not in {one.name for one in told.candidates}
    assert told.left_out[reason] >= 1


def test_terms_cross_no_comma_begin_with_no_stop_word_and_a_single_verb_is_none() -> None:
    passages = [Passage(str(at), "Of the value, stack of the platforms opened", "d", str(at)) for at in range(6)]
    terms = count_terms(passages, 1).terms
    assert ("value",) in terms
    assert ("value", "stack") not in terms
    assert ("of", "the", "value") not in terms
    assert ("stack", "of", "the", "platform") in terms
    assert ("opened",) not in terms


def test_a_term_is_of_one_language_but_for_capitals() -> None:
    text = "Engagement вовлечение · обмен, API шлюз"
    terms = count_terms([Passage(str(at), text, "d", str(at)) for at in range(3)], 1).terms
    assert [term for term in terms if len(term) > 1] == [("api", "шлюз")]


def test_a_mention_in_a_heading_counts_more() -> None:
    def scored(weight: float) -> float:
        passages = [Passage(str(at), "alpha beta", "a", "1", weight) for at in range(6)]
        passages += [Passage(f"b{at}", f"gamma word{at}", "b", "1") for at in range(30)]
        return mine(count_terms(passages, 1), CANONICAL, Limits(min_z=-9)).candidates[0].score

    assert scored(3.0) == pytest.approx(3 * scored(1.0), rel=1e-3)


def candidates(*names: str) -> Any:
    passages = [Passage(f"{at}-{n}", name, name, str(n)) for at, name in enumerate(names) for n in range(6)]
    return mine(
        count_terms(passages, 1), CANONICAL, Limits(max_share=1.0, min_npmi=-1, min_z=-99, max_inside=2)
    ).candidates


def test_merges_are_proposed_by_brackets_initials_and_spelling() -> None:
    mined = candidates("quantum flow rate", "QFR", "карта потоков", "stream chart", "Operational excelence")
    texts = [
        "We measure the stream chart (карта потоков) every day.", "Дорожная карта / stream chart",
        "QFR (Operational excelence)", "stream chart (quantum flow rate)",
    ]  # fmt: skip
    told = {(one.name, one.other): one.why for one in propose_merges(mined, texts, CANONICAL)}
    assert told["quantum flow rate", "QFR"] == "its first letters"
    assert "stream chart (карта потоков)" in told["stream chart", "карта потоков"]
    assert "Дорожная карта / stream chart" in told["stream chart", "Document/Roadmap"]
    assert ("QFR", "Operational excelence") in told
    assert not {("stream chart", "quantum flow rate"), ("quantum flow rate", "stream chart")} & told.keys()
    assert ("Operational excelence", "Pillar/OperationalExcellence") in told


def test_vectors_propose_merges_by_average_link() -> None:
    likeness = np.array([[1, 0.9, 0.9, 0], [0.9, 1, 0.8, 0], [0.9, 0.8, 1, 0.2], [0, 0, 0.2, 1]], dtype=np.float32)
    assert average_link(likeness, 0.84) == [[0, 1, 2]]
    assert average_link(likeness, 0.86) == [[0, 1]]
    assert average_link(likeness, 0.95) == []
    close = propose_merges(
        candidates("ключевой показатель роста", "показатель роста ключевой"), [], CANONICAL, embedder(OFFLINE)
    )
    assert any(one.why.startswith("cosine 1.00") for one in close)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("mined")
    records = [
        record(one.id, one.text, document=one.document, page=int(one.place) + 1) for one in corpus(3, 8)
    ]  # fmt: skip
    ingest([write_run(workspace, RUN_1, records)], workspace, embedder(OFFLINE), mirror=False)
    return workspace


def test_decisions_are_kept_when_a_corpus_is_mined_again_and_folded_into_the_catalog(indexed: Path) -> None:
    path = indexed / FILE
    first = mine_index(indexed, default_catalog(), path, Limits(limit=20))
    assert (first.by_decision, first.new) == ({"open": 20}, 20)
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    lines[0] |= {"decision": "accept", "label": {"ru": "Первое", "en": "First"}}
    lines[1] |= {"decision": "rename", "rename": "Second thing"}
    lines[2] |= {"decision": "merge", "into": "Canvas"}
    lines[3] |= {"decision": "merge", "into": lines[0]["id"]}
    lines[4] |= {"decision": "reject"}
    gone = lines[0] | {"key": "gone", "name": "gone", "id": "Topic/Gone", "decision": "reject"}
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in [*lines, gone]), "utf-8")
    again = mine_index(indexed, default_catalog(), path, Limits(limit=20))
    assert again.by_decision == {"accept": 1, "rename": 1, "merge": 2, "reject": 2, "open": 15}
    assert again.new == 0
    assert read_lines(path)[0].label == {"ru": "Первое", "en": "First"}
    assert read_lines(path)[-1].key == "gone"
    done = accept(indexed, path)
    assert done.added == (lines[0]["id"], "Topic/SecondThing")
    assert done.merged == ((lines[2]["name"], "Canvas"), (lines[3]["name"], lines[0]["id"]))
    assert (done.version, done.rejected, done.open) == (2, 2, 15)
    now = workspace_catalog(indexed)
    assert now.tag("Topic/SecondThing").names == ("Second thing", lines[1]["name"])
    assert (now.tag(lines[0]["id"]).since, now.group_by_id["Topic"].label["ru"]) == (2, "Темы")
    assert lines[2]["name"] in now.tag("Canvas").names
    assert not [finding for finding in lint(now) if finding.severity == "error"]
    written = (indexed / "tags" / "catalog.json").read_bytes()
    twice = accept(indexed, path)
    assert (twice.added, twice.merged, twice.already, twice.version) == ((), (), 4, 2)
    assert (indexed / "tags" / "catalog.json").read_bytes() == written
    assert mine_index(indexed, now, indexed / "other.jsonl").known[lines[2]["name"]] == "Canvas"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decision": "perhaps"}, "line 2: decision"),
        ({"decision": "merge"}, "line 2: line: the decision is merge: say into which tag"),
        ({"decision": "rename"}, "the decision is rename: say the new name"),
        ({"decision": "merge", "into": "Nothing/Here"}, "which is no tag and no accepted line"),
        ({"decision": "accept", "id": "no group"}, "line 2: id"),
        ({"decision": "accept", "id": "Topic/A", "label": {"en": "Canvas"}}, "the catalog would be wrong"),
        ({"decision": "accept", "id": "Topic/First"}, "two lines become the tag 'Topic/First'"),
        ({"weight": 3}, "line 2: weight"),
    ],
)
def test_a_decision_that_cannot_be_is_told_and_nothing_is_written(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = tmp_path / "candidates.jsonl"
    first = {"key": "first", "name": "first", "id": "Topic/First", "label": {"en": "first"}, "decision": "accept"}
    second = {"key": "second", "name": "second", "id": "Topic/Second", "label": {"en": "second"}, "decision": "open"}
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second | change)}\n", "utf-8")
    with pytest.raises(BadCandidates) as wrong:
        accept(tmp_path, path)
    assert str(path) in str(wrong.value)
    assert said in str(wrong.value)
    assert not (tmp_path / "tags").exists()


PORTFOLIO = """# Portfolio of tags

Text for readers.

## Layer
- Engagement: Другое / Another
- Edge computing: Граничный слой / Edge layer (периферийный слой; fog layer)

## Culture: Культура / Culture
* Rituals
"""


def test_the_owners_list_of_groups_and_tags_is_folded_in_too(tmp_path: Path) -> None:
    path = tmp_path / "semantic portfolio of tags.md"
    path.write_text(PORTFOLIO, "utf-8")
    done = accept(tmp_path, path)
    assert (done.added, done.already) == (("Layer/EdgeComputing", "Culture/Rituals"), 1)
    now = workspace_catalog(tmp_path)
    assert now.tag("Layer/EdgeComputing").alias == {"ru": ("периферийный слой",), "en": ("fog layer",)}
    assert now.tag("Layer/Engagement") == default_catalog().tag("Layer/Engagement")
    assert now.group_by_id["Culture"].label == {"ru": "Культура", "en": "Culture"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- Lonely\n", "line 1: 'Lonely' stands below no group"),
        ("## A\n- X\n- X\n", "line 3: the tag 'A/X' is listed twice"),
        ("## A\n- X: one / two\n", "line 2: two labels in one language"),
        ("## A\n- : one\n", "line 2: ': one' has no name"),
        ("# Nothing\n", "it lists no tag"),
    ],
)
def test_a_wrong_list_is_told_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tags.md"
    path.write_text(text, "utf-8")
    with pytest.raises(BadPortfolio, match=said):
        accept(tmp_path, path)


def test_a_models_proposals_count_only_with_words_that_stand_on_the_page(tmp_path: Path) -> None:
    passages = [
        Passage("a1", "Harbour  fees are paid\nby ship owners.", "a", "1"), Passage("a2", "More text", "a", "2"),
        Passage("b1", "Harbour fees again; the roadmap too.", "b", "1"),
    ]  # fmt: skip

    def answer(body: Any) -> dict[str, Any]:
        page = json.loads(body["messages"][-1]["content"])
        assert "Canvas: Полотно, Canvas" in page["known_tags"]
        new = {"tag": "Harbour fees", "group": "Monetization"}
        return {
            "tags": [
                new | {"quote": "Harbour fees are paid by ship"},
                new | {"quote": "Harbour fees again"},
                new | {"quote": "harbour fees are free"},
                {"tag": "Roadmap", "group": "Document", "quote": "the roadmap too"},
                {"tag": "Ship owners", "group": "Nowhere", "quote": "ship owners"},
                {"tag": "mined one", "group": "Topic", "quote": "More text"},
                {"tag": "Empty", "group": "Topic", "quote": " — "},
            ]
        }

    with serving(answer=answer) as server:
        chat = chat_model("there/talker", server.workspace(tmp_path), Purse(1.0))
        told = Asker(chat).ask(passages, default_catalog(), {"mined one"})
    assert len(server.requests) == told.pages == 3
    (line,) = told.lines
    assert (line.name, line.id, line.origin) == ("Harbour fees", "Monetization/HarbourFees", "there/talker")
    assert (line.documents, line.records, line.decision) == (2, 2, "open")
    assert {one.record for one in line.evidence} == {"a1", "b1"}
    assert told.dropped["its quote does not stand on the page"] >= 6
    assert told.dropped["is a tag already"] == 1
    assert told.dropped["was mined already"] == 1
    assert told.dropped["too few pages propose it"] == 1
