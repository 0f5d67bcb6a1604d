from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from console.cli import app
from console.workspace import create_workspace
from index.boosts import Boosts, read_boosts, write_boosts
from index.evaluate import About, Asking, evaluate
from index.learning import GRID, LABELS_NEEDED, NothingToLearn, _guess, _Learner, learn
from index.learning_pool import Measured, Setting, gather
from index.queries import LabelledQuery, read_queries
from tests.index.index_world import RUN_1, ingest_runs, record, write_run

WORDS = re.findall(
    r"\w+",
    "harvest ledger courier tomato loading permit router payment passport forecast matching storage supply region "
    "council catalogue dispute sensor identity owner budget holiday deposit recipe kitchen market season packing "
    "certificate invoice tariff shelter bicycle ripening morning delivery quarter revenue schema backlog",
)
DOCUMENTS = 5
TOPICS = 7


def topic(document, at):
    number = document * TOPICS + at
    return WORDS[number], WORDS[(7 * number + 3) % len(WORDS)], WORDS[(11 * number + 5) % len(WORDS)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Documents whose headings and captions stand, by their words alone, before the passages and facts that answer."""
    root = tmp_path_factory.mktemp("learning")
    create_workspace(root)
    records, queries = [], []
    for document in range(DOCUMENTS):
        name = f"guide-{document}"
        for at in range(TOPICS):
            one, two, three = topic(document, at)
            page, tags = 2 * at + 1, ["Layer/Data"]
            filler = " ".join(random.Random(f"f{document}{at}").choices(WORDS, k=25))
            records += [
                record(f"t{document}-{at}", f"{one} and {two} with {three}: {filler}", document=name, page=page),
                record(f"h{document}-{at}", f"{one} {two} {three}", "Title", name, page=page + 1),
                record(f"i{document}-{at}", f"about {one} {two} {three}", "Title", name, page=page + 50),
                record(
                    f"f{document}-{at}", f"block {one} leads to {three} in {two}", "VisualFact", name, page=page,
                    region_id="r1", tags=tags,
                ),
            ]  # fmt: skip
            group = f"{document}"
            queries.append({"query": f"{one} {two} {three}", "positive_ids": [f"t{document}-{at}"], "group": group})
            asked = f"block {one} {three}"
            queries.append({"query": asked, "positive_ids": [f"f{document}-{at}"], "group": group})
    write_run(root, RUN_1, records)
    ingest_runs(root)
    (root / "eval").mkdir()
    (root / "eval" / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    return root


@pytest.fixture(scope="module")
def queries(workspace):
    return read_queries(workspace / "eval" / "queries.jsonl")


def say(workspace, *arguments):
    return CliRunner().invoke(app, ["-C", str(workspace), "index", "learn", *map(str, arguments)])


def test_a_planted_fault_is_found_told_and_written_with_its_provenance(workspace, queries, monkeypatch):
    learnt = learn(workspace, queries)
    steps = {step.name: step for step in learnt.steps}
    assert steps["types"].kept
    assert steps["types"].gain.low > 0
    for name in ("groups", "tags"):
        assert not steps[name].kept
        assert f"{len(queries)} labelled queries, {LABELS_NEEDED[name]} needed" in steps[name].reason
    assert learnt.boosts is not None, learnt.reason
    assert learnt.boosts.type_boost("Title") < learnt.boosts.type_boost("NarrativeText")
    assert (learnt.boosts.origin, learnt.boosts.queries, learnt.boosts.fusion) == ("fitted", len(queries), "convex")
    assert learnt.boosts.space == learnt.before.space
    assert all(low <= learnt.boosts.types[name.partition(":")[2]] <= high
               for name, (low, high) in learnt.boosts.intervals.items() if name.startswith("type:"))  # fmt: skip
    assert {one.query for one in learnt.after.asked} == {query.query for query in queries}

    # The commands, with what was learnt above.
    monkeypatch.setattr("index.learning.learn", lambda *_: learnt)
    kept = workspace / "tags" / "boosts.json"
    dry = say(workspace, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "type:Title" in dry.output
    assert "guess" in dry.output
    assert not kept.exists()
    kept.parent.mkdir(exist_ok=True)
    write_boosts(kept, Boosts(types={"VisualFact": 1.05}, origin="policy"))
    said = json.loads(say(workspace, "--json").stdout.splitlines()[-1])
    assert (said["written"], read_boosts(kept)) == (str(kept), learnt.boosts)
    assert read_boosts(workspace / "tags" / "boosts.previous.json").origin == "policy"
    assert re.search(r"-learning(-\d+)?\.md$", said["report"])
    better = CliRunner().invoke(
        app, ["-C", str(workspace), "index", "evaluate", "--against", "current", "--boosts", str(kept), "--json"]
    )
    told = json.loads(better.stdout.splitlines()[-1])
    assert told["boosts"].startswith("boosts: fitted")
    assert set(told["R@5_by"]["strict"]) >= {"kind text", "kind visual", "language en"}
    kept.unlink()


def test_settings_are_measured_as_the_real_search_ranks(workspace, queries):
    few = queries[::4]
    pool = gather(workspace, few, Boosts.neutral(), None)
    draw = random.Random(5)
    for _ in range(6):
        setting = Setting(draw.choice([None, 0.3, 0.5, 0.9]))
        for name in ("type:Title", "type:NarrativeText", "type:VisualFact", "tag:Layer/Data"):
            setting = setting.with_factor(name, draw.choice(GRID))
        asked = evaluate(workspace, few, asking=Asking(boosts=setting.over(Boosts.neutral()))).asked
        measured = pool.measured(setting)
        assert measured.mrr.tolist() == pytest.approx([one.strict["MRR@10"] for one in asked])
        assert measured.recall.tolist() == pytest.approx([one.strict["R@5"] for one in asked])


class Poisoned:
    """A pool in which some queries would reward the wrong factor beyond all measure."""

    def __init__(self, queries, poisoned, reward):
        self.queries = queries
        self.kinds = ["text" if at % 2 else "visual" for at in range(len(queries))]
        self._poisoned, self._reward = poisoned, reward

    def types(self):
        return ["Title"]

    def measured(self, setting):
        value = 0.5 - 0.1 * abs(np.log2(setting.factor("type:Title")) + 0.5)
        values = np.full(len(self.queries), value)
        values[self._poisoned] = self._reward * setting.factor("type:Title")
        return Measured(values, values)


def test_nothing_is_fitted_on_what_it_is_tested_on():
    asked = [LabelledQuery(query=f"q{at}", positive_ids=(f"r{at}",), group=f"g{at // 8}") for at in range(80)]
    known = {f"r{at}": About("NarrativeText", f"d{at // 4}", "") for at in range(80)}
    learner = _Learner(Poisoned(asked, [], 0), known, {})
    for train, test in learner.splits(np.arange(80), 5):
        assert {at // 8 for at in train}.isdisjoint({at // 8 for at in test})
        honest = _Learner(Poisoned(asked, test, 0.0), known, {})._fit("types", Setting(), train)
        lured = _Learner(Poisoned(asked, test, 1e6), known, {})._fit("types", Setting(), train)
        assert honest == lured != Setting()


def test_too_few_labels_are_refused_with_the_count(workspace, queries):
    with pytest.raises(NothingToLearn, match="29 labelled queries are too few to learn from: 30 are needed"):
        learn(workspace, queries[:29])
    one_subject = [replace_group(query, "all") for query in queries]
    with pytest.raises(NothingToLearn, match="fewer than 3 documents"):
        learn(workspace, one_subject)


def replace_group(query, group):
    return query.model_copy(update={"group": group})


def test_a_gain_that_is_none_is_not_kept(workspace, queries):
    draw = random.Random(7)
    ids = [query.positive_ids for query in queries]
    draw.shuffle(ids)
    groups = {found: query.group for query in queries for found in query.positive_ids}
    noise = [
        LabelledQuery(query=query.query, positive_ids=found, group=groups[found[0]])
        for query, found in zip(queries, ids, strict=True)
    ]
    learnt = learn(workspace, noise)
    assert learnt.boosts is None
    assert "nothing" in learnt.reason


def test_a_factor_that_is_set_back_leaves_the_guess():
    base = Boosts(types={"Title": 0.9}, groups={"Layer": 1.1}, origin="policy")
    setting = Setting().with_factor("type:Title", 0.5).with_factor("group:Layer", 2.0)
    assert setting.over(base).types == {"Title": 0.5}
    assert [_guess(base, name) for name in ("type:Title", "group:Layer", "tag:Layer/Data")] == [0.9, 1.1, 1.1]
    assert setting.with_factor("type:Title", 1.0).over(base) == replace(base, groups={"Layer": 2.0})
