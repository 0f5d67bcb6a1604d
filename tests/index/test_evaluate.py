from __future__ import annotations

import itertools
import json
import math
import random

import numpy as np
import pytest
from typer.testing import CliRunner

from console.cli import app
from console.workspace import create_workspace
from index.comparison import breakdown, compare, gate
from index.evaluate import (
    About,
    Asked,
    BadEvaluation,
    DanglingAnswers,
    Evaluation,
    evaluate,
    mean,
    measure,
    read_evaluation,
    write_evaluation,
)
from index.evaluation_report import markdown, summary
from index.metrics import all_metrics, by_score, grouped, mrr, ndcg, recall
from index.queries import BadQueries, LabelledQuery, read_queries, split_by_subject
from index.significance import difference, estimate
from tests.index.index_world import RUN_1, RUN_2, facts, ingest_runs, record, write_run


def test_metrics_worked_out_by_hand():
    gains = {"a": 3.0, "b": 1.0, "z": 2.0, "no": 0.0}
    ranked = ["no", "b", "x", "a"]
    assert recall(ranked, gains, 1) == 0.0
    assert recall(ranked, gains, 4) == 2 / 3
    assert mrr(ranked, gains, 10) == 1 / 2
    assert mrr(ranked, gains, 1) == 0.0
    best = 3 + 2 / math.log2(3) + 1 / 2
    assert ndcg(ranked, gains, 4) == pytest.approx((1 / math.log2(3) + 3 / math.log2(5)) / best, abs=1e-12)
    assert ndcg(["a", "z", "b"], gains, 5) == 1.0
    assert set(all_metrics([], gains, (1, 5)).values()) == {0.0}
    assert by_score({"a": 1.0, "c": 1.0, "b": 2.0}) == ["b", "c", "a"]


def test_a_place_counts_once_with_its_greatest_gain():
    places = {"f1": "p1", "f2": "p1", "f3": "p2"}
    assert grouped(["f2", "f1", "x", "f3"], {"f1": 1.0, "f2": 2.0}, places) == (["p1", "x", "p2"], {"p1": 2.0})


def test_the_interval_holds_the_truth_about_nineteen_times_of_twenty():
    draw = np.random.default_rng(1)
    held = 0
    for _ in range(100):
        found = estimate((draw.random(60) < 0.7).astype(float).tolist())
        held += found.low <= 0.7 <= found.high
    assert 88 <= held <= 99
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


def test_the_paired_test_equals_its_definition_and_knows_noise_from_change():
    before, after = [0.0, 1.0, 0.5, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0, 1.0, 0.5]
    deltas = [b - a for a, b in zip(before, after, strict=True) if a != b]
    signs = list(itertools.product((-1, 1), repeat=len(deltas)))
    reached = sum(abs(sum(s * d for s, d in zip(one, deltas, strict=True))) >= abs(sum(deltas)) for one in signs)
    assert difference(before, after).p_value == reached / len(signs)
    draw = np.random.default_rng(2)
    one, other = draw.random(200), draw.random(200)
    assert not difference(one.tolist(), other.tolist()).significant
    better = difference(one.tolist(), (one + draw.normal(0.1, 0.2, 200)).tolist())
    assert better.significant
    assert better.low > 0
    assert difference([1.0, 0.0], [1.0, 0.0]).p_value == 1.0
    with pytest.raises(ValueError, match="same queries"):
        difference([1.0], [1.0, 0.0])


def test_queries_are_read_with_gains_languages_and_groups(tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text(
        '{"query": "слои value stack", "positive_ids": ["a"], "gains": {"b": 0.5, "c": 0}, "group": "layers"}\n\n'
        '{"query": "roadmap", "positive_ids": ["a"], "lang": "de", "author": "kept"}',
        "utf-8",
    )
    one, two = read_queries(path)
    assert one.gain_by_id == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert (one.answers, one.language, one.group, two.language) == (("a", "b"), "ru", "layers", "de")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 2: not JSON"),
        ('{"query": ""}', "line 2: query"),
        ('{"query": "x"}', "line 2: .*no record answers it"),
        ('{"query": "x", "gains": {"a": -1}}', "line 2: .*from 0 up"),
        ('{"query": "fine", "positive_ids": ["b"]}', "line 2: asks the same as line 1"),
    ],
)
def test_a_wrong_query_is_named(tmp_path, line, sentence):
    path = tmp_path / "queries.jsonl"
    path.write_text('{"query": "fine", "positive_ids": ["a"]}\n' + line, "utf-8")
    with pytest.raises(BadQueries, match=sentence):
        read_queries(path)


def test_no_queries_say_how_to_write_them(tmp_path):
    with pytest.raises(BadQueries, match="positive_ids"):
        read_queries(tmp_path / "queries.jsonl")


def test_a_split_never_parts_a_subject_and_is_always_the_same():
    draw = random.Random(3)
    queries = [
        LabelledQuery(
            query=f"q{at}",
            positive_ids=tuple(f"r{draw.randrange(60)}" for _ in range(draw.randint(1, 2))),
            group=draw.choice([None, None, f"g{draw.randrange(12)}"]),
        )
        for at in range(80)
    ]
    document_of = {f"r{at}": f"doc{at // 2}" for at in range(60)}
    folds = split_by_subject(queries, document_of, 4)
    assert sorted(query.query for fold in folds for query in fold) == sorted(query.query for query in queries)

    def subjects(fold):
        documents = {document_of[found] for query in fold for found in query.answers}
        return documents | {query.group for query in fold if query.group}

    for one, other in itertools.combinations(folds, 2):
        assert not subjects(one) & subjects(other)
    assert split_by_subject(queries, document_of, 4) == folds
    alone = [LabelledQuery(query=f"q{at}", positive_ids=(f"r{at}",)) for at in range(41)]
    assert [len(fold) for fold in split_by_subject(alone, {}, 4)] == [11, 10, 10, 10]
    assert split_by_subject(alone, {}, 4, seed=1) != split_by_subject(alone, {}, 4)


def test_strict_and_group_level_tell_an_unlabelled_neighbour_apart():
    known = {
        "labelled": About("VisualFact", "map", "map#1#r1"),
        "neighbour": About("VisualFact", "map", "map#1#r1"),
        "other": About("NarrativeText", "guide", "guide#1#"),
    }
    asked = measure(LabelledQuery(query="слой", positive_ids=("labelled",)), ["neighbour", "other"], known)
    assert (asked.strict["R@5"], asked.group["R@5"], asked.group["MRR@1"]) == (0.0, 1.0, 1.0)
    assert (asked.kind, asked.types, asked.documents, asked.language) == ("visual", ("VisualFact",), ("map",), "ru")
    assert asked.text_share_at_5 == 0.5


def asked(query, kind, found, share=0.5):
    values = all_metrics(["a"] if found else ["b"], {"a": 1.0}, (1, 3, 5, 10))
    return Asked(
        query=query,
        language="en",
        kind=kind,
        types=("NarrativeText",),
        documents=("guide",),
        hits=("a",),
        text_share_at_5=share,
        strict=values,
        group=values,
    )


def evaluation(*asked_queries, **types):
    return Evaluation(space="s", records_by_type=types or {"NarrativeText": 1}, asked=asked_queries)


def test_the_gate_looks_at_text_and_gives_the_margin_and_no_more():
    hundred = [f"q{at}" for at in range(100)]
    before = evaluation(*(asked(query, "text", True) for query in hundred), asked("v", "visual", True))

    def after(missed, visual=True):
        found = (asked(query, "text", at >= missed) for at, query in enumerate(hundred))
        return evaluation(*found, asked("v", "visual", visual))

    assert gate(before, after(0, visual=False)).passed
    assert gate(before, after(2)).passed
    fallen = gate(before, after(3))
    assert not fallen.passed
    assert "1.000 → 0.970 over 100 text questions" in fallen.reason
    assert not gate(before, evaluation(asked("another", "text", True))).passed
    relabelled = evaluation(*(asked(query, "visual", False) for query in hundred))
    assert not gate(before, relabelled).passed


def test_changes_are_measured_over_the_queries_asked_both_times():
    before = evaluation(asked("a", "text", False), asked("b", "text", True), asked("gone", "text", True))
    after = evaluation(asked("a", "text", True), asked("b", "text", True), asked("new", "text", False))
    change = compare(before, after, ("R@5",))["R@5"]
    assert (change.mean, change.queries) == (0.5, 2)
    assert compare(before, evaluation(asked("new", "text", True)), ("R@5",)) == {}
    assert breakdown(before, "R@5")["kind text"].mean == pytest.approx(2 / 3)


def test_a_saved_evaluation_is_read_back_and_anything_else_is_refused(tmp_path):
    saved = evaluation(asked("a", "text", True))
    write_evaluation(tmp_path / "eval" / "baseline.json", saved)
    assert read_evaluation(tmp_path / "eval" / "baseline.json") == saved
    (tmp_path / "wrong.json").write_text('{"space": 1}')
    for path in (tmp_path / "wrong.json", tmp_path / "missing.json"):
        with pytest.raises(BadEvaluation, match="--save-baseline"):
            read_evaluation(path)


TOPICS = ("marketplace", "onboarding", "governance", "telemetry", "liquidity", "pricing", "security", "roadmap")


@pytest.fixture
def workspace(tmp_path):
    create_workspace(tmp_path)
    guide = [
        record(f"t{at}", f"The {topic} chapter says who decides and why it matters", page=at + 1)
        for at, topic in enumerate(TOPICS)
    ]
    write_run(tmp_path, RUN_1, guide)
    ingest_runs(tmp_path)
    (tmp_path / "eval").mkdir(exist_ok=True)
    lines = [{"query": f"who decides on {topic}", "positive_ids": [f"t{at}"]} for at, topic in enumerate(TOPICS)]
    (tmp_path / "eval" / "queries.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def say(workspace, *arguments):
    return CliRunner().invoke(app, ["-C", str(workspace), "index", *map(str, arguments)])


def test_labels_that_dangle_are_named_and_nothing_is_measured(workspace):
    path = workspace / "eval" / "queries.jsonl"
    path.write_text(path.read_text() + '\n{"query": "lost", "positive_ids": ["t1", "gone-7"]}')
    with pytest.raises(DanglingAnswers, match=r"1 labelled records are not .* gone-7 \(of “lost”\)"):
        evaluate(workspace, read_queries(path))
    said = say(workspace, "evaluate")
    assert said.exit_code == 1
    assert "gone-7" in said.output
    assert not (workspace / "out" / "evaluation").exists()


def test_an_evaluation_asks_the_index_and_a_lost_text_trips_the_gate(workspace):
    said = say(workspace, "evaluate", "--save-baseline", "--json")
    assert said.exit_code == 0, said.output
    first = json.loads(said.stdout.splitlines()[-1])
    assert first["metrics"]["strict"]["R@5"]["mean"] == 1.0
    assert first["gate"] is None
    assert say(workspace, "evaluate").exit_code == 0
    # The pages stay, so that no label dangles, but they no longer speak of what is asked.
    write_run(workspace, RUN_2, [record(f"t{at}", f"Empty page {at}", page=at + 1) for at in range(len(TOPICS))])
    visual = [f"who decides on {topic}: arrow to {topic}" for topic in TOPICS]
    for at, text in enumerate(visual):
        write_run(workspace, f"01k9z000000000000000000{at:03}", facts(12, text, at * 12))
    ingest_runs(workspace)
    said = say(workspace, "evaluate")
    assert said.exit_code == 1, said.output
    assert "Gate **failed**: text R@5 1.000 →" in said.output
    report = json.loads((workspace / "out" / "evaluation" / "report.json").read_text("utf-8"))
    assert report["gate"]["passed"] is False
    assert "8 text and 0 visual records, now 8 text and 12 visual records" in report["gate"]["reason"]
    assert report["change"]["strict"]["R@5"]["significant"] is True
    assert (workspace / "out" / "evaluation" / "report.md").read_text("utf-8") in said.output
    assert say(workspace, "evaluate", "--baseline", workspace / "none.json").exit_code == 1


def test_import_and_export_are_commands(workspace):
    out = workspace / "all.ndjson.gz"
    assert "8 records" in say(workspace, "export", out, "--vectors", "b64").output
    said = json.loads(say(workspace, "import", out, "--json").stdout.splitlines()[-1])
    assert (said["read"], said["rejected"]) == (8, [])
    out.write_bytes(b'{"id": "x"}\n')
    wrong = say(workspace, "import", out)
    assert (wrong.exit_code, "line 1" in wrong.output) == (1, True)


def test_the_report_shows_zeros_and_says_when_nothing_can_be_told():
    shown = markdown(evaluation(asked("a | b", "text", False)), None, None)
    assert "| VisualCaption | 0 |" in shown
    assert "a \\| b" in shown
    assert "there is no baseline yet" in shown
    both = evaluation(asked("a", "text", True))
    assert "n.s." in markdown(both, both, gate(both, both))
    assert summary(both, None, None)["R@5_by"]["strict"]["type NarrativeText"]["mean"] == mean(both.asked, "R@5")
