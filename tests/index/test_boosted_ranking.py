"""Must show 2 of the index: for any boosts, the best 20 are those that trying every record finds."""

from __future__ import annotations

import random
import re
import threading
from types import SimpleNamespace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from index import scan
from index.boosts import (
    TEXT,
    Boosts,
    group_of,
    parse_overrides,
    read_boosts,
    weights_of,
    write_boosts,
)
from index.embed import Space
from index.errors import BoostsInvalid
from index.layout import Layout
from index.quantised import quantise
from index.scan import Scan, int8_kernel
from index.snapshot import NewRecord
from index.store import Store
from index.view import View

ROWS, DIM, QUERIES, SETTINGS = 800, 160, 40, 1_000
TYPES = ("NarrativeText", "Title", "Table", "VisualCaption", "VisualFact", "ImageVec")
TAGS = (
    "Canvas",
    "Canvas:Value",
    "Canvas:Cost",
    "Layer/Engagement",
    "Layer/Data",
    "Zone=NFX",
    "Zone=Liquidity",
    "Pillar",
)
VISUAL = {"VisualCaption", "VisualFact", "ImageVec"}
FACTORS = (0.1, 0.5, 0.8, 0.95, 1.0, 1.0, 1.02, 1.05, 1.1, 1.5, 2.0, 7.0)
SPACE = Space("test", "random", DIM, "v1")


def _unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A real index of clustered vectors; a fifth of them are copies of others, some are the opposite of others."""
    chance = np.random.default_rng(7)
    centres = chance.standard_normal((12, DIM))
    matrix = _unit(centres[chance.integers(0, 12, ROWS)] + 0.7 * chance.standard_normal((ROWS, DIM)))
    copies = chance.choice(ROWS, ROWS // 5, replace=False)
    matrix[copies] = matrix[chance.choice(ROWS, ROWS // 5)]
    matrix[::50] = -matrix[::50]
    matrix[7] = matrix[8] = np.eye(DIM, dtype=np.float32)[3]
    draw = random.Random(7)
    kinds = [draw.choice(TYPES) for _ in range(ROWS)]
    tags = [draw.sample(TAGS, draw.choice((0, 0, 1, 2, 3))) for _ in range(ROWS)]
    workspace = tmp_path_factory.mktemp("boosted")
    with Store(workspace, SPACE, "test") as store:
        with store.snapshot.transaction():
            run = store.snapshot.run_key("run", "out/runs/run", 1)
        for first in range(0, ROWS, 400):
            batch = [
                NewRecord(
                    row=0, id=f"r{row}", hash=f"h{row}", text=f"record {row}", type=kinds[row], producer="test",
                    filename="a.pdf", source_file="a.pdf", document_id=f"d{row % 5}", page=row % 9 + 1, carried=True,
                    run_key=run, meta=orjson.dumps({"type": kinds[row], "tags": tags[row]}),
                )
                for row in range(first, first + 400)
            ]  # fmt: skip
            store.put(batch, matrix[first : first + 400], [])
    current = Layout(workspace).current()
    view = View(current)
    queries = _unit(matrix[chance.choice(ROWS, QUERIES)] + 0.05 * chance.standard_normal((QUERIES, DIM)))
    queries[0] = np.eye(DIM, dtype=np.float32)[3]
    cosines = np.array([[np.dot(row, query) for row in matrix] for query in queries])
    yield SimpleNamespace(view=view, folder=current.folder, queries=queries, cosines=cosines, kinds=kinds, tags=tags)
    view.close()


def _clamp(boost):
    return np.float32(min(max(boost, 0.5), 2.0))


def _plain_weight(kind, tags, types, tag_boosts, groups, zones):
    """The formula of the requirements, word by word."""
    weight = _clamp(types.get(kind, 1.0 if kind in VISUAL else types.get("Text", 1.0)))
    counted, placed = [], []
    for tag in tags:
        group = re.split("[:/=]", tag)[0]
        place = zones.get(tag, zones.get(group))
        boost = tag_boosts.get(tag, groups.get(group))
        if place is not None:
            placed.append(_clamp(place))
        if boost is not None or place is None:
            counted.append(_clamp(1.0 if boost is None else boost))
    weight = weight * max(counted, default=np.float32(1))
    return weight * max(placed, default=np.float32(1))


def _brute_force(cosines, weights, rows, k, above):
    scored = [
        (-(max(cosines[row], np.float32(0)) * weights[row]), row)
        for row in rows
        if above is None or cosines[row] > np.float32(above)
    ]
    return sorted(scored)[:k]


def _some(draw, names):
    return {name: draw.choice(FACTORS) for name in names if draw.random() < 0.5}


def test_the_best_20_under_1000_random_boosts_are_those_of_brute_force(world):
    view, draw = world.view, random.Random(11)
    assert int8_kernel() is not None, "numkong has no kernel here"
    fast, plain = Scan(view, engine="int8"), Scan(view, engine="float32")
    assert view.scan.engine == fast.engine == "int8"
    combinations = {(kind, tuple(tags)) for kind, tags in zip(world.kinds, world.tags, strict=True)}
    text = np.array([kind not in VISUAL for kind in world.kinds])
    looked_up = 0
    for setting in range(SETTINGS):
        types, tags = _some(draw, (*TYPES, TEXT)), _some(draw, TAGS)
        groups, zones = _some(draw, ("Canvas", "Layer", "Pillar")), _some(draw, ("Zone", "Zone=NFX", "Canvas:Cost"))
        query = draw.randrange(QUERIES)
        above = draw.choice((None, None, 0.0, 0.15, 0.5))
        shown = draw.choice((text, ~text, np.ones(ROWS, bool), np.array([draw.random() < 0.3 for _ in range(ROWS)])))
        known = {c: _plain_weight(c[0], c[1], types, tags, groups, zones) for c in combinations}
        expected_weights = [known[kind, tuple(own)] for kind, own in zip(world.kinds, world.tags, strict=True)]
        weights = view.weights(Boosts(types, tags, groups, zones))
        assert weights.dtype == np.float32
        assert weights.tolist() == expected_weights
        expected = _brute_force(world.cosines[query], expected_weights, np.flatnonzero(shown), 20, above)
        for either in (fast, plain):
            best = either.best(world.queries[query], weights, shown, 20, above=above)
            assert [(-score, row) for score, row in zip(best.scores, best.rows, strict=True)] == expected, setting
            assert best.cosines.tolist() == world.cosines[query][best.rows].tolist()
        looked_up += fast.rescored
    assert plain.rescored == ROWS
    assert looked_up < 0.5 * SETTINGS * ROWS, "the int8 copies left hardly anything out"


def test_one_scan_for_several_masks_gives_what_a_scan_for_each_gives(world):
    text = np.array([kind not in VISUAL for kind in world.kinds])
    together = Scan(world.view).best_of_each(world.queries[3], None, [text, ~text, None], 50, above=0.1)
    for mask, best in zip((text, ~text, None), together, strict=True):
        alone = Scan(world.view, engine="float32").best(world.queries[3], None, mask, 50, above=0.1)
        assert (best.rows.tolist(), best.scores.tolist()) == (alone.rows.tolist(), alone.scores.tolist())


def test_equal_scores_come_in_the_order_of_their_rows_and_also_those_of_0_are_there(world):
    fast = Scan(world.view, engine="int8")
    best = fast.best(world.queries[0], None, None, 5)
    assert best.rows[:2].tolist() == [7, 8]
    worst = fast.best(-world.queries[0], None, np.isin(np.arange(ROWS), (8, 7)), 5)
    assert (worst.rows.tolist(), worst.scores.tolist()) == ([7, 8], [0.0, 0.0])
    assert len(fast.best(-world.queries[0], None, np.isin(np.arange(ROWS), (8, 7)), 5, above=0.0).rows) == 0


def test_several_threads_and_blocks_give_what_one_gives():
    chance = np.random.default_rng(3)
    matrix = _unit(np.abs(chance.standard_normal((4_100, 1_600))))
    world = SimpleNamespace(matrix=matrix, quantised=quantise(matrix))
    expected = sorted((-np.dot(row, matrix[9]), at) for at, row in enumerate(matrix))[:20]
    for engine in ("int8", "float32"):
        for threads in (1, 3):
            best = Scan(world, engine=engine, threads=threads).best(matrix[9], None, None, 20)
            assert [(-score, row) for score, row in zip(best.scores, best.rows, strict=True)] == expected


def test_a_scan_waits_for_no_thread_that_has_not_begun(world, monkeypatch):
    query = world.queries[4]
    expected = world.view.scan.best(query, None, None, 20).rows.tolist()
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    monkeypatch.setattr(scan, "_LEAST_BLOCK_BYTES", 1_000)
    for engine in ("int8", "float32"):
        assert Scan(world.view, engine=engine, threads=3).best(query, None, None, 20).rows.tolist() == expected


def test_what_goes_wrong_in_a_thread_is_raised_where_the_scan_was_asked_for():
    seen = []

    def work(start, end):
        seen.append((start, end))
        if start == 20:
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        scan.in_blocks(work, 45, 10, 3)
    assert sorted(seen) == [(0, 10), (10, 20), (20, 30), (30, 40), (40, 45)]


def test_a_query_of_another_length_is_refused(world):
    with pytest.raises(ValueError, match="160 numbers"):
        world.view.scan.best(np.ones(DIM - 1, np.float32), None, None, 5)


_spread = st.one_of(
    st.floats(-1, 1, width=32),
    st.sampled_from((0.0, -0.0, 1e-30, -1e-30, 1.1754944e-38, 1e-45, 1e-20, 0.5, 1.0, -1.0)),
)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 40), st.sampled_from((1, 3, 64, 65)))
def test_vectors_made_to_break_the_bound_are_ranked_like_by_float32(data, rows, dim):
    matrix = data.draw(arrays(np.float32, (rows, dim), elements=_spread, fill=st.sampled_from((0.0, 1e-3))))
    if data.draw(st.booleans()):
        matrix *= np.eye(rows, dim, dtype=np.float32) * 0.999 + np.float32(0.001)
    query = matrix[0] if data.draw(st.booleans()) else data.draw(arrays(np.float32, dim, elements=_spread))
    weights = data.draw(arrays(np.float32, rows, elements=st.floats(0.5, 2, width=32)))
    world = SimpleNamespace(matrix=matrix, quantised=quantise(matrix))
    k = data.draw(st.integers(1, rows))
    above = data.draw(st.sampled_from((None, 0.0, 0.3)))
    fast = Scan(world, engine="int8").best(query, weights, None, k, above=above)
    plain = Scan(world, engine="float32").best(query, weights, None, k, above=above)
    for name in ("rows", "cosines", "scores"):
        assert getattr(fast, name).tolist() == getattr(plain, name).tolist()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, 32, elements=st.floats(-4, 4)), st.integers(-40, 3))
def test_the_rounding_error_and_length_kept_of_a_vector_are_never_too_small(numbers, exponent):
    vector = (numbers * 10.0**exponent).astype(np.float32)
    kept = quantise(vector[None])
    rest = vector.astype(np.float64) - kept.values[0] * np.float64(kept.scales[0])
    assert kept.errors[0] >= np.linalg.norm(rest)
    assert kept.lengths[0] >= np.linalg.norm(vector.astype(np.float64))


def test_why_multiplies_to_the_weight_and_names_who_won(world):
    boosts = Boosts(
        types={"VisualFact": 1.05}, tags={"Canvas:Value": 1.06}, groups={"Layer": 1.04}, zones={"Zone": 1.02}
    )
    why = boosts.explain("VisualFact", ["Layer/Data", "Canvas:Value", "Zone=NFX"])
    assert (why.tag, why.tag_boost, why.tag_from) == ("Canvas:Value", 1.06, "tag")
    assert (why.zone, why.zone_boost, why.type_boost) == ("Zone=NFX", 1.02, 1.05)
    assert str(why) == "type VisualFact ×1.05 · tag Canvas:Value ×1.06 · zone Zone=NFX ×1.02"
    assert str(boosts.explain("Title", ["Pillar"])) == "×1"
    weights = weights_of(world.view, boosts)
    for row in range(0, ROWS, 7):
        explained = boosts.explain(world.kinds[row], world.view.tags_of(row)).weight
        assert weights[row] == pytest.approx(explained, rel=1e-6)


def test_a_tag_that_only_says_where_something_stands_hides_no_boost_below_1():
    boosts = Boosts(groups={"Canvas": 0.8}, zones={"Zone": 1.05})
    assert boosts.explain("Title", ["Canvas:Cost", "Zone=NFX"]).weight == pytest.approx(0.8 * 1.05)
    assert boosts.explain("Title", ["Canvas:Cost", "Pillar"]).weight == 1.0


def test_boosts_are_read_as_they_were_written_and_a_wrong_file_is_named(tmp_path):
    path = tmp_path / "tags" / "boosts.json"
    assert read_boosts(path).is_neutral
    boosts = Boosts(
        {"Text": 1.5}, {"Canvas": 1.06}, {"Layer": 1.1}, {"Zone": 1.02}, origin="fitted", space=SPACE.id,
        fusion="convex", fitted_on="ab" * 32, queries=200, intervals={"type:Text": (1.2, 1.7)},
    )  # fmt: skip
    write_boosts(path, boosts)
    assert read_boosts(path) == boosts
    for wrong in (b"[]", b'{"version": 2}', b'{"version": 1, "tags": {"A": -1}}', b'{"version": 1, "tag": {}}', b"{"):
        path.write_bytes(wrong)
        with pytest.raises(BoostsInvalid, match=r"boosts\.json"):
            read_boosts(path)


def test_overrides_are_read_as_the_environment_and_the_command_line_give_them():
    assert parse_overrides("Canvas=1.06, Zone=NFX=1.03,") == {"Canvas": 1.06, "Zone=NFX": 1.03}
    assert parse_overrides("") == {}
    boosts = Boosts(tags={"Canvas:Cost": 1.2}).with_tags(parse_overrides("Canvas=1.06,Pillar/Security=1.1"))
    assert boosts.tag_boost("Canvas:Value") == boosts.tag_boost("Canvas") == 1.06
    assert boosts.tag_boost("Canvas:Cost") == 1.2
    assert boosts.tag_boost("Pillar/Data") == 1.0
    assert [group_of(tag) for tag in ("A:b/c", "A/b:c", "A=b", "A")] == ["A"] * 4
    for wrong in ("Canvas", "=1.0", "Canvas=much", "Canvas=", "Canvas=nan", "Canvas=0"):
        with pytest.raises(BoostsInvalid):
            Boosts(tags=parse_overrides(wrong))
