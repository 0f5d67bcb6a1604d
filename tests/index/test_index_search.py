from __future__ import annotations

import dataclasses
import itertools
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import search as search_module
from index.errors import EmbedderUnavailable, IndexEmpty
from index.search import Searcher
from tests.index.index_world import RUN_1, RUN_2, facts, ingest_runs, record, texts, write_run
from tests.processor import least_s

CORPUS = [
    record("layers", "Platform Value Stack включает четыре слоя: Engagement, Intelligence, Platform, Infrastructure. "
           "Слои описаны ниже.", tags=["Layer/Engagement"]),
    record("canvas", "Platform Architecture Canvas: канвас архитектуры платформы с блоками ценности", page=2),
    record("team", "Команда проекта собирается по вторникам, ёлку ставят в декабре", "ListItem", page=3),
    record("growth", "Growth loops compound when each customer invites further customers", document="growth", page=4),
    record("table", "Layer | Owner\nEngagement | Ivanova\nIntelligence | O'Brien", "Table", document="growth", page=5),
    record("box", "Block «Marketplace» feeds the Liquidity zone", "VisualFact", "map", region_id="region-0007",
           label="diagram", page=6, bbox_px=(10.5, 20, 300, 40), page_size_px=(1240, 1754),
           crop="artifacts/map/p0006/regions/region-0007.png", page_image="artifacts/map/p0006/page.png",
           detector="opencv", analyst="text-layer"),
]  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("Рабочая папка 'with' spaces #1?")
    write_run(folder, RUN_1, CORPUS)
    ingest_runs(folder)
    return folder


@pytest.fixture(scope="module")
def searcher(workspace):
    with Searcher(workspace) as opened:
        yield opened


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("слоёв", "layers"),
        ("слои value stack", "layers"),
        ("архитектурой платформ", "canvas"),
        ("Что такое Platform Architecture Canvas?", "canvas"),
        ("елка", "team"),
        ("ЁЛКОЙ", "team"),
        ("customers", "growth"),
        ("customer's invitation loop", "growth"),
        ("o'brien", "table"),
        ("marketplace liquidity", "box"),
    ],
)
def test_a_question_in_russian_or_english_finds_its_record_in_any_inflection(searcher, query, expected):
    assert searcher.search(query).hits[0].id == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [("архетиктура", "canvas"), ("custmoers", "growth"), ("infrastucture", "layers"), ("marketplcae", "box")],
)
def test_a_typo_still_finds_and_the_right_word_is_marked(searcher, query, expected):
    hit = searcher.search(query).hits[0]
    assert hit.id == expected
    assert hit.why.lexical_rank == 1
    assert hit.snippet.matches


def test_the_list_is_there_with_every_letter_typed(searcher):
    for length in range(2, len("Infrastructure") + 1):
        assert searcher.search("Infrastructure"[:length]).hits[0].id == "layers", length
    assert searcher.search("platform archit").hits[0].id == "canvas"
    assert texts(searcher.search("гро").hits) == []


def test_the_snippet_marks_the_words_as_they_are_written(searcher):
    shown = searcher.search("слоями").hits[0].snippet
    assert [shown.text[start:end] for start, end in shown.matches] == ["слоя", "Слои"]


def test_a_hit_carries_all_that_a_screen_needs(searcher, workspace):
    hit = searcher.search("Marketplace").hits[0]
    run_folder = workspace / "out" / "runs" / RUN_1
    assert (hit.id, hit.type, hit.is_text, hit.rank) == ("box", "VisualFact", False, 1)
    assert (hit.filename, hit.source_file, hit.source_path) == ("map.pdf", "data/map.pdf", workspace / "data/map.pdf")
    assert (hit.document_id, hit.page, hit.region_id, hit.label) == ("map-0a1b2c3d", 6, "region-0007", "diagram")
    assert (hit.bbox_px, hit.page_size_px) == ((10.5, 20, 300, 40), (1240, 1754))
    assert hit.crop_path == run_folder / "artifacts/map/p0006/regions/region-0007.png"
    assert hit.page_image_path == run_folder / "artifacts/map/p0006/page.png"
    assert (hit.run_id, hit.run_folder, hit.detector, hit.analyst) == (RUN_1, run_folder, "opencv", "text-layer")
    assert searcher.search("Infrastructure").hits[0].tags == ("Layer/Engagement",)


def test_every_hit_says_why(searcher):
    result = searcher.search("platform value")
    best = result.hits[0].why
    assert (best.lexical_rank, best.vector_rank, best.rank_before_quota, best.lifted) == (1, 1, 1, False)
    assert best.lexical_score is not None
    assert best.lexical_score > 0
    assert best.cosine is not None
    assert 0.15 < best.cosine <= 1
    assert best.fused == pytest.approx(1.0)
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)
    assert (result.label, result.lexical_only, result.records) == ("lexical", False, len(CORPUS))
    assert dataclasses.asdict(result)["space"] == "offline/hash3072-stem-char4/3072/v1"


def test_types_and_documents_narrow_the_list(searcher):
    assert texts(searcher.search("engagement", types=["Table"]).hits) == ["table"]
    assert texts(searcher.search("engagement", documents=["data/guide.pdf"]).hits) == ["layers"]
    assert texts(searcher.search("engagement", documents=["growth-0a1b2c3d", "map.pdf"]).hits) == ["table"]
    assert searcher.search("engagement", types=["Title"]).hits == ()
    assert len(searcher.search("engagement", k=1).hits) == 1


@pytest.mark.parametrize(
    "query",
    ["", " ", "a", "я", '"', "*", "''", '"""', "NEAR", "NEAR(a b)", "a AND", "OR", "NOT x", "-x", "^", "words:",
     "{stems}", "a\x00b", "(", "слои\"*", "\ud800", "x" * 5000, "слово " * 500, "🙂", "%", "\n", "stems : \"a\" -"],
)  # fmt: skip
def test_odd_queries_are_only_text(searcher, query):
    result = searcher.search(query)
    assert result.query == query
    assert len(result.hits) <= 20


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(), st.text(alphabet="абслоиvalue \"'*^-+:(){}NEARORAND.\\", max_size=40)))
def test_no_query_ever_raises(searcher, query):
    for hit in searcher.search(query).hits:
        assert hit.why.fused > 0


def test_a_query_without_words_finds_nothing_and_says_so(searcher):
    result = searcher.search(' "*" ')
    assert (result.hits, result.total, result.lexical_only, result.label) == ((), 0, True, None)
    assert "no word" in result.note


def test_twenty_times_as_many_facts_do_not_drown_the_text(tmp_path):
    text = [
        record("t1", "The value stack of the platform is described in four layers, each with its owner and its budget"),
        record("t2", "Budget and owners: who pays for the layers of the value stack and who is asked first", page=2),
    ]
    write_run(tmp_path, RUN_1, [*text, *facts(40, "value stack layers")])
    ingest_runs(tmp_path)
    with Searcher(tmp_path) as searcher:
        hits = searcher.search("value stack layers").hits
    assert sum(hit.is_text for hit in hits[:5]) >= 2
    assert sum(not hit.is_text for hit in hits[:5]) == 3
    lifted = [hit for hit in hits if hit.is_text and hit.why.lifted]
    assert all(hit.why.rank_before_quota > hit.rank for hit in lifted)
    assert lifted


def test_text_is_a_candidate_even_behind_hundreds_of_better_facts(tmp_path):
    filler = " ".join(f"слово{at}" for at in range(150))
    write_run(tmp_path, RUN_1, [record("deep", f"{filler} marketplace {filler}"), *facts(450, "marketplace")])
    ingest_runs(tmp_path)
    with Searcher(tmp_path) as searcher:
        assert "deep" in texts(searcher.search("marketplace").hits[:5])


def test_an_open_searcher_sees_what_another_process_writes(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "first words"), record("b", "second words")])
    ingest_runs(tmp_path)
    with Searcher(tmp_path) as searcher:
        before = searcher.search("words")
        assert (before.records, len(before.hits)) == (2, 2)
        write_run(tmp_path, RUN_2, [record("a", "first words"), record("c", "third words, новое")])
        ingest_runs(tmp_path)
        after = searcher.search("words")
        assert sorted(texts(after.hits)) == ["a", "c"]
        assert after.revision > before.revision
        assert searcher.search("новых").hits[0].id == "c"
        assert searcher.search("words").revision == after.revision


def test_a_searcher_made_in_one_thread_answers_in_others(workspace):
    with Searcher(workspace) as searcher:
        answers: list[str] = []

        def ask() -> None:
            for _ in range(20):
                answers.append(searcher.search("слоёв").hits[0].id)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == ["layers"] * 60


def test_no_index_and_an_empty_index_name_the_command_that_fills_it(tmp_path):
    with pytest.raises(IndexEmpty, match="python -m index ingest --workspace"):
        Searcher(tmp_path)
    write_run(tmp_path, RUN_1, [record("blank", " ")])
    ingest_runs(tmp_path)
    with pytest.raises(IndexEmpty, match="holds no records"):
        Searcher(tmp_path)


def test_without_the_spaces_embedder_words_alone_are_searched_and_it_is_said(workspace, monkeypatch):
    def unavailable(space_id: str, workspace: Path) -> None:
        raise EmbedderUnavailable(f"{space_id} needs OPENAI_API_KEY")

    monkeypatch.setattr(search_module, "embedder_for_space", unavailable)
    with Searcher(workspace) as searcher:
        result = searcher.search("слоёв")
    assert result.hits[0].id == "layers"
    assert result.lexical_only
    assert result.label is None
    assert "OPENAI_API_KEY" in result.note


def test_paths_that_leave_their_folder_are_not_followed(tmp_path):
    write_run(tmp_path, RUN_1, [record("a", "text", crop="../../../etc/passwd", page_image="/etc/passwd")])
    ingest_runs(tmp_path)
    with Searcher(tmp_path) as searcher:
        hit = searcher.search("text").hits[0]
    assert (hit.crop_path, hit.page_image_path) == (None, None)


def test_opening_and_a_keystroke_are_quick(workspace):
    Searcher(workspace).close()
    assert least_s(lambda: Searcher(workspace).close(), 0.05) < 0.05
    with Searcher(workspace) as searcher:
        searcher.search("warm")
        fresh = itertools.count()

        def type_it() -> None:
            words = f"{next(fresh)} architecture platform"  # nothing of an earlier try helps
            for length in range(1, 21):
                searcher.search(words[:length])

        assert least_s(type_it, 20 * 0.05) < 20 * 0.05
