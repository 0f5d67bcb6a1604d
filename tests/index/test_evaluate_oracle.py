"""Our metrics against two independent implementations."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from ir_measures import RR, R, nDCG

from index.metrics import by_score, mrr, ndcg, recall

CUTOFFS = (1, 3, 5, 10, 100)


def runs(seed, digits):
    """Random runs: graded labels, scores of so many digits, lists of every length, answers that were not found."""
    draw = np.random.default_rng(seed)
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for at in range(150):
        pool = [f"d{number}" for number in draw.permutation(400)[: draw.integers(1, 160)]]
        labelled = [f"d{number}" for number in draw.permutation(400)[: draw.integers(1, 30)]]
        qrels[f"q{at}"] = {found: int(draw.integers(0, 4)) for found in labelled} | {pool[0]: 1}
        run[f"q{at}"] = {found: round(float(draw.random()), digits) for found in pool}
    return qrels, run


@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_pytrec_eval_ties_included(seed):
    qrels, run = runs(seed, digits=2)
    assert all(len(set(scores.values())) < len(scores) for scores in run.values() if len(scores) > 100)
    wanted = {f"recall.{k}" for k in CUTOFFS} | {f"ndcg_cut.{k}" for k in CUTOFFS} | {"recip_rank"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    assert len(theirs) == len(run)
    for query, scores in run.items():
        ranked, gains = by_score(scores), qrels[query]
        assert mrr(ranked, gains, len(ranked)) == pytest.approx(theirs[query]["recip_rank"], abs=1e-9)
        for k in CUTOFFS:
            assert recall(ranked, gains, k) == pytest.approx(theirs[query][f"recall_{k}"], abs=1e-9)
            assert ndcg(ranked, gains, k) == pytest.approx(theirs[query][f"ndcg_cut_{k}"], abs=1e-9)


@pytest.mark.parametrize("seed", range(3, 5))
def test_metrics_equal_ir_measures(seed):
    """Without ties, which the scorer behind its RR@k breaks in another way than trec_eval."""
    qrels, run = runs(seed, digits=15)
    ours = {R: recall, nDCG: ndcg, RR: mrr}
    measures = [measure @ k for measure in ours for k in CUTOFFS]
    seen = 0
    for found in ir_measures.iter_calc(measures, qrels, run):
        measure = next(own for own in ours if own.NAME == found.measure.NAME)
        value = ours[measure](by_score(run[found.query_id]), qrels[found.query_id], found.measure["cutoff"])
        assert value == pytest.approx(found.value, abs=1e-9), found
        seen += 1
    assert seen == len(measures) * len(run)
