"""How a list comes about: joined exactly, weighted, repeats collapsed, text kept in sight, narrowed, explained."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from index import ranking
from index.boosts import Boosts, write_boosts
from index.cards import cards
from index.embed import OFFLINE, embedder
from index.errors import BoostsInvalid, IndexProblem, UnknownGeneration
from index.ingest import ingest
from index.near_duplicates import collapsed
from index.rank import default_fusion
from index.scan import Scan
from index.search import MODES, Searcher
from tests.index.index_world import RUN_1, RUN_2, record, texts, write_run

ROWS, DIM, WANTED = 600, 48, 20

FIRST_RUN = [
    record("t1", "Platform value is described in four layers, each with an owner", tags=["Layer/Data"]),
    record("t2", "The owner of a layer decides about its budget, which is reviewed every spring", page=2),
    record("f1", "Block “Marketplace” feeds the liquidity zone of the platform", "VisualFact", region_id="r1", page=3,
           tags=["Canvas:Value", "Zone=NFX"]),
    record("f2", "Block “Marketplace” feeds the liquidity zone of the platforms", "VisualFact", region_id="r2", page=3),
    record("f3", "Block “Marketplace” feeds the liquidity zone of the platform", "VisualFact", region_id="r3", page=4),
    record("f4", "Arrow from platform to partners", "VisualFact", region_id="r4", page=3, tags=["Canvas:Cost"]),
    record("c1", "A canvas of the platform with its partners", "VisualCaption", region_id="r4", page=3),
]  # fmt: skip
SECOND_RUN = [
    record("g1", "Marketplace liquidity: how a platform grows", "Title", document="growth"),
    record("g2", "Block “Marketplace” feeds the liquidity zone of the platform", "NarrativeText", "growth", page=7),
    record("g3", "Block “Marketplace” feeds the liquidity zone of the platform.", "VisualFact", "growth", page=7),
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranked")
    runs = [write_run(folder, RUN_1, FIRST_RUN), write_run(folder, RUN_2, SECOND_RUN)]
    ingest(runs, folder, embedder(OFFLINE), mirror=False)
    return folder


@pytest.fixture(scope="module")
def searcher(workspace):
    with Searcher(workspace) as opened:
        yield opened


@pytest.mark.parametrize("engine", ["float32", "int8"])
def test_the_joined_and_weighted_list_is_the_one_that_trying_every_record_finds(monkeypatch, engine):
    monkeypatch.setattr(ranking, "CANDIDATES", WANTED)
    chance = np.random.default_rng(3)
    for _ in range(60):
        matrix = chance.standard_normal((ROWS, DIM)) + 2 * chance.standard_normal((6, DIM))[chance.integers(0, 6, ROWS)]
        matrix = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
        vector = matrix[chance.integers(ROWS)]
        alive = chance.random(ROWS) < 0.95
        mask = alive & (chance.random(ROWS) < 0.9)
        is_text = chance.random(ROWS) < 0.3
        lexical = np.where(chance.random(ROWS) < 0.5, chance.gamma(2, 3, ROWS), 0.0)
        weights = chance.uniform(0.5, 2, ROWS).astype(np.float32)
        share, noise = float(chance.random()), 0.1
        view = SimpleNamespace(alive=alive, is_text=is_text, matrix=matrix, quantised=quantised_or_none(matrix, engine))
        view.scan = Scan(view)
        found = ranking.candidates(
            view, lexical, vector, mask, weights,
            fusion="convex", lexical_share=share, noise_cosine=noise, wanted=WANTED,
        )  # fmt: skip
        cosines = np.vecdot(matrix, vector).astype(np.float64)
        cosines[cosines <= np.float32(noise)] = 0
        greatest = max(
            cosines[sorted(rows, key=lambda row: (-np.float32(cosines[row]) * weights[row], row))[:WANTED]].max()
            for rows in (np.flatnonzero(mask & is_text), np.flatnonzero(mask & ~is_text))
        )
        relevance = share * lexical / lexical[mask].max() + (1 - share) * cosines / greatest
        scores = relevance * weights
        for kind in (is_text, ~is_text):
            best = sorted(np.flatnonzero(mask & kind & (relevance > 0)), key=lambda row: (-scores[row], row))[:WANTED]
            ours = [row for row in found.rows.tolist() if kind[row]][:WANTED]
            np.testing.assert_allclose(scores[ours], scores[best], rtol=1e-9)
            assert ours == best or len(set(np.round(scores[best], 12))) < len(best)


def joined(lexical, cosines, fusion="convex"):
    """The ranking of rows with these scores by words and these cosines, as (row, relevance)."""
    rows = len(lexical)
    matrix = np.zeros((rows, rows + 1), dtype=np.float32)
    matrix[:, 0] = cosines
    matrix[np.arange(rows), np.arange(rows) + 1] = np.sqrt(1 - np.square(cosines))
    everywhere = np.ones(rows, dtype=np.bool_)
    view = SimpleNamespace(alive=everywhere, is_text=everywhere, matrix=matrix, quantised=None)
    view.scan = Scan(view)
    found = ranking.candidates(
        view, np.array(lexical, dtype=np.float64), np.eye(rows + 1, dtype=np.float32)[0], everywhere, None,
        fusion=fusion, lexical_share=0.7, noise_cosine=0.1, wanted=rows,
    )  # fmt: skip
    return list(zip(found.rows.tolist(), found.relevance.round(6).tolist(), strict=True))


def test_a_row_found_by_both_sides_beats_rows_found_by_one():
    assert joined([10.0, 9.0, 0.0], [0.0, 0.8, 0.9]) == [(1, 0.896667), (0, 0.7), (2, 0.3)]
    assert [row for row, _ in joined([10.0, 9.0, 0.0], [0.0, 0.8, 0.9], "rrf")] == [1, 0, 2]


def test_one_side_alone_counts_in_full_and_a_cosine_of_noise_is_none():
    assert joined([4.0, 2.0, 0.0], [0.0, 0.05, 0.1]) == [(0, 1.0), (1, 0.5)]
    assert joined([0.0, 0.0], [0.4, 0.05]) == [(0, 1.0)]
    assert joined([0.0, 0.0], [0.05, 0.0]) == []


def test_equal_scores_keep_one_order():
    assert [row for row, _ in joined([3.0, 3.0, 4.0, 3.0], [0.0, 0.0, 0.0, 0.0])] == [2, 0, 1, 3]


def quantised_or_none(matrix, engine):
    from index.quantised import quantise
    from index.scan import int8_kernel

    if engine == "float32":
        return None
    if int8_kernel() is None:
        pytest.skip("numkong has no int8 kernel for this processor")
    return quantise(matrix)


def test_repeats_on_one_page_are_one_hit_that_names_the_others(searcher):
    hits = {hit.id: hit for hit in searcher.search("marketplace liquidity zone platform").hits}
    assert hits["f1"].similar == ("f2",)
    assert "f2" not in hits
    assert hits["f3"].similar == ()
    raw = searcher.search("marketplace liquidity zone platform", mode="raw").hits
    assert {"f1", "f2", "f3"} <= set(texts(raw))
    assert all(hit.similar == () for hit in raw)


def test_a_text_is_not_hidden_behind_a_fact_that_says_the_same(searcher):
    found = set(texts(searcher.search("marketplace liquidity zone platform").hits))
    assert {"g2", "g3"} <= found


def test_only_what_is_near_enough_to_the_kept_one_collapses():
    turn = np.array([0.0, 0.4, 0.8])
    vectors = np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32)
    same = np.zeros(3, dtype=np.int64)
    assert collapsed([7, 5, 9], same, vectors) == {7: [5], 9: []}
    assert collapsed([7, 5, 9], np.array([0, 1, 0]), vectors) == {7: [], 5: [], 9: []}
    assert collapsed([7, 5, 9], np.array([-1, -1, -1]), np.ones_like(vectors)) == {7: [], 5: [], 9: []}


def test_a_mode_says_what_comes_first_and_loses_nothing(searcher):
    lists = {mode: searcher.search("platform", mode=mode).hits for mode in MODES}
    kinds = {mode: [hit.is_text for hit in hits] for mode, hits in lists.items()}
    assert kinds["text"] == sorted(kinds["text"], reverse=True)
    assert kinds["visual"] == sorted(kinds["visual"])
    assert sum(kinds["balanced"][:5]) >= 2
    assert set(texts(lists["text"])) == set(texts(lists["visual"])) == set(texts(lists["balanced"]))
    assert [hit.score for hit in lists["raw"]] == sorted((hit.score for hit in lists["raw"]), reverse=True)


def test_every_factor_of_a_score_is_told_and_their_product_is_the_score(workspace):
    boosts = Boosts(
        types={"VisualFact": 1.2, "Text": 0.9}, tags={"Canvas:Value": 1.5}, groups={"Canvas": 1.1}, zones={"Zone": 1.05}
    )
    with Searcher(workspace, boosts=boosts) as searcher:
        result = searcher.search("platform marketplace partners")
        plain = {hit.id: hit for hit in searcher.search("platform marketplace partners", boosts=Boosts()).hits}
    hits = {hit.id: hit for hit in result.hits}
    for hit in result.hits:
        why = hit.why
        assert hit.score == pytest.approx(why.fused * why.type_boost * why.tag_boost * why.zone_boost, rel=1e-6)
        assert why.fused == pytest.approx(plain[hit.id].why.fused)
    best = hits["f1"].why
    assert (best.type_boost, best.tag, best.tag_boost, best.zone, best.zone_boost) == (
        1.2, "Canvas:Value", 1.5, "Zone=NFX", 1.05,
    )  # fmt: skip
    assert (hits["f4"].why.tag, hits["f4"].why.tag_boost, hits["f4"].why.zone) == ("Canvas:Cost", 1.1, None)
    assert (hits["g1"].why.type_boost, hits["g1"].why.tag) == (0.9, None)
    assert best.rank_by_score < best.rank_by_relevance
    assert result.boosts_note == "boosts: manual, 2 types, 1 group, 1 tag, 1 zone"


def test_boosts_of_the_workspace_count_as_soon_as_they_are_written(workspace, monkeypatch):
    path = workspace / "tags" / "boosts.json"
    query = "platform owner"
    try:
        with Searcher(workspace) as searcher:
            assert searcher.search(query).boosts_note == ""
            before = {hit.id: hit.score for hit in searcher.search(query).hits}
            write_boosts(path, Boosts(types={"VisualFact": 2.0}))
            after = {hit.id: hit.score for hit in searcher.search(query).hits}
            assert after["f4"] == pytest.approx(2 * before["f4"])
            assert after["t1"] == pytest.approx(before["t1"])
            monkeypatch.setenv("TAG_WEIGHTS", "Canvas=1.5")
            assert searcher.search(query).hits[0].score > 0
            assert {hit.id: hit.score for hit in searcher.search(query).hits}["f4"] == pytest.approx(3 * before["f4"])
            monkeypatch.setenv("TAG_WEIGHTS", "Canvas")
            with pytest.raises(BoostsInvalid):
                searcher.search(query)
            monkeypatch.delenv("TAG_WEIGHTS")
            write_boosts(path, Boosts(types={"VisualFact": 2.0}, origin="fitted", space="other/space/3/v1"))
            result = searcher.search(query)
            assert {hit.id: hit.score for hit in result.hits} == pytest.approx(before)
            assert "other/space/3/v1" in result.boosts_note
            write_boosts(path, Boosts(types={"Text": 2.0}, origin="fitted", space=searcher.space, fusion="rrf"))
            assert searcher.search(query).fusion == "rrf"
    finally:
        path.unlink()


def test_reciprocal_ranks_are_the_way_to_join_where_no_share_was_measured(searcher):
    assert default_fusion("offline/hash3072-stem-char4/3072/v1") == "convex"
    assert default_fusion("openai/text-embedding-3-large/3072/v1") == "rrf"
    result = searcher.search("platform owner", fusion="rrf")
    best = result.hits[0].why
    assert (best.lexical_rank, best.vector_rank) == (1, 1)
    assert best.fused == pytest.approx(1.0)
    for hit in result.hits:
        sides = [rank for rank in (hit.why.lexical_rank, hit.why.vector_rank) if rank is not None]
        assert hit.why.fused == pytest.approx(sum(61 / (60 + rank) for rank in sides) / 2)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("platform type:Title", {"g1"}),
        ("platform тип:title", {"g1"}),
        ("platform type:VisualF", {"f1", "f3", "f4", "g3"}),
        ("platform -type:VisualFact -type:VisualCaption", {"t1", "g1", "g2"}),
        ("platform tag:Canvas", {"f1", "f4"}),
        ("platform tag:canvas:*", {"f1", "f4"}),
        ("platform tag:Canvas -tag:*cost", {"f1"}),
        ("platform tag:Layer/*", {"t1"}),
        ("platform doc:growth.pdf", {"g1", "g2", "g3"}),
        ("platform doc:grow page:7", {"g2", "g3"}),
        ("platform page:1-2 doc:guide", {"t1"}),
        (f"platform run:{RUN_2[-4:]}", {"g1", "g2", "g3"}),
        ("platform -marketplace", {"t1", "f4", "c1"}),
        ('"a platform grows"', {"g1"}),
        ('platform -"the platform"', {"t1", "f4", "g1", "f2"}),
        ('"how a platf', {"g1"}),
        ("type:Title", {"g1"}),
        ("tag:Canvas page:3", {"f1", "f4"}),
    ],
)
def test_a_query_narrows_by_what_records_are_and_say(searcher, query, expected):
    result = searcher.search(query, vector=None)
    assert set(texts(result.hits)) == expected
    assert result.note == ""


def test_what_nothing_is_named_by_is_told_with_what_there_is(searcher):
    result = searcher.search("platform type:Picture ")
    assert result.hits == ()
    assert "No type here is named “Picture”" in result.note
    assert "VisualFact" in result.note
    assert "page:3-7" in searcher.search("platform page:x").note
    assert searcher.search("platform page:x").hits


def test_a_phrase_that_is_nowhere_counts_as_its_words_and_that_is_told(searcher):
    result = searcher.search('"platform grows quickly"', vector=None)
    assert result.hits[0].id == "g1"
    assert "Nowhere word by word: “platform grows quickly”" in result.note


def test_facets_count_what_matched_and_keep_the_choices_of_their_own_filter(searcher):
    facets = searcher.search("platform", vector=None, facets=True).facets
    assert facets is not None
    assert facets.types == {"VisualFact": 5, "NarrativeText": 2, "Title": 1, "VisualCaption": 1}
    assert facets.documents == {"guide.pdf": 6, "growth.pdf": 3}
    assert facets.tags == {"Canvas:Cost": 1, "Canvas:Value": 1, "Layer/Data": 1, "Zone=NFX": 1}
    assert facets.runs == {RUN_1: 6, RUN_2: 3}
    narrowed = searcher.search("platform type:VisualFact doc:guide", vector=None, facets=True).facets
    assert narrowed is not None
    assert narrowed.types == {"VisualFact": 4, "NarrativeText": 1, "VisualCaption": 1}
    assert narrowed.documents == {"guide.pdf": 4, "growth.pdf": 1}
    assert narrowed.runs == {RUN_1: 4}


def test_a_card_is_a_page_with_its_text_and_up_to_three_regions(searcher):
    hits = searcher.search("marketplace liquidity zone platform partners canvas", mode="raw").hits
    made = cards(hits)
    assert {hit.id for card in made for hit in (*card.hits, *card.more)} == set(texts(hits))
    assert [(card.document, card.page) for card in made[:1]] == [(hits[0].filename, hits[0].page)]
    third = next(card for card in made if (card.document, card.page) == ("guide.pdf", 3))
    assert {hit.region_id for hit in third.hits} == {"r1", "r2", "r4"}
    assert len(third.hits) == 3
    assert len(third.more) == 1
    assert [
        len(card.hits) for card in cards(hits, regions_shown=1) if (card.document, card.page) == ("guide.pdf", 3)
    ] == [1]


class Faraway:
    """The offline embedder, as if it were asked over a network."""

    network = True
    label = "semantic"

    def __init__(self):
        self._inner = embedder(OFFLINE)
        self.space, self.noise_cosine = self._inner.space, self._inner.noise_cosine
        self.asked: list[str] = []
        self.released = threading.Event()

    def embed(self, texts, *, kind):
        self.asked += texts
        if not self.released.wait(20):
            raise IndexProblem("the server does not answer")
        return self._inner.embed(texts, kind=kind)


def test_words_answer_at_once_and_the_vector_merges_when_it_comes(workspace):
    faraway = Faraway()
    with Searcher(workspace, faraway) as searcher:
        first = searcher.search("platform owner type:NarrativeText", vector="ready", number=7)
        assert (first.vector_pending, first.lexical_only, first.number) == (True, True, 7)
        assert first.hits
        assert faraway.asked == []
        made: list[object] = []
        waiting = threading.Thread(
            target=lambda: made.append(searcher.query_vector("platform owner type:NarrativeText"))
        )
        waiting.start()
        assert searcher.search("platform", vector="ready").hits, "another query is answered while the vector is made"
        faraway.released.set()
        waiting.join()
        second = searcher.search("platform owner type:NarrativeText", vector=made[0], number=7)
        again = searcher.search("platform owner type:NarrativeText", vector="ready", number=8)
        assert faraway.asked == ["platform owner"]
    assert (second.vector_pending, second.lexical_only, second.label) == (False, False, "semantic")
    assert texts(again.hits) == texts(second.hits)
    assert (again.vector_pending, again.number) == (False, 8)
    assert all(hit.why.cosine is not None for hit in second.hits[:1])


def test_a_generation_is_searched_by_name_whichever_is_in_use(workspace):
    name = Searcher(workspace).search("platform").generation
    with Searcher(workspace, generation=name) as searcher:
        assert searcher.search("platform").generation == name
        assert searcher.search("platform").hits
    with pytest.raises(UnknownGeneration):
        Searcher(workspace, generation="nothing")
