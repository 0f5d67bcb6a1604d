"""Boosts learnt from labelled queries: the share of words, then types, then groups of tags, then single tags.

Few numbers are learnt from few labels: each step needs its count and is refused below it, and a group or tag needs
queries that it speaks for. A step is fitted by coordinate ascent on a log grid (Metzler and Croft, "Linear
feature-based models for information retrieval", Information Retrieval 2007), since the metrics are not smooth and the
numbers few. It is kept only when queries that it was not fitted on gain surely and neither text nor visual answers
fall.

Two rings of splits by subject: the inner one decides which steps are kept, the outer one asks the real search with what
all of that makes of the other queries. So the gain that is told was tuned on nothing that it was measured on.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import orjson

from index.boosts import GREATEST, LEAST, Boosts, clamped, group_of, read_boosts
from index.boosts_in_use import FILE as BOOSTS
from index.comparison import compare, compare_parts
from index.errors import IndexProblem
from index.evaluate import About, Asked, Asking, Evaluation, about, asked_generation, evaluate, refuse_dangling
from index.learning_pool import Pool, Setting, gather
from index.progress import Progress, Report, silent
from index.queries import LabelledQuery, split_by_subject
from index.rank import LEXICAL_SHARE, default_fusion
from index.significance import Difference, difference
from index.snapshot import connect

StepName = Literal["fusion", "types", "groups", "tags"]
LABELS_NEEDED: dict[StepName, int] = {"fusion": 30, "types": 30, "groups": 100, "tags": 300}
"""Measured on 40 tags, four of them useful: free tag weights fitted on 20 to 200 queries lose on others."""
SUPPORT_NEEDED = 20
"""Queries with an answer that has the tag, or one of the group."""
EACH_KIND_NEEDED = 10
"""Text and visual questions each: a weight tuned on one kind alone runs to the edge of its range."""
PENALTY = 0.003
"""Of each doubling or halving, in MRR: pulls factors that change next to nothing to where they were."""
MAX_FALL = 0.02
"""How much text or visual R@5 may fall."""
OUTER_FOLDS, INNER_FOLDS, ROUNDS = 5, 4, 3
GRID = tuple(2.0 ** (step / 4) for step in range(-4, 5))
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PREVIOUS = Path("tags") / "boosts.previous.json"
SUBJECTS_NEEDED = 3
"""Documents, or what connects them, that the queries are about; they are what splits part."""
_STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""For a two-sided 95 % interval of so many values."""

Indices = npt.NDArray[np.int64]


class NothingToLearn(IndexProblem):
    """There are too few labelled queries for even the first step; the text says how many are needed."""


@dataclass(frozen=True)
class Step:
    """What became of one step."""

    name: StepName
    needed: int
    """Labelled queries."""
    there: int
    kept: bool
    reason: str
    """One sentence."""
    gain: Difference | None = None
    """In MRR@10 on queries that it was not fitted on, beside the steps before; None: it was not tried."""


@dataclass(frozen=True)
class Factor:
    """One number, guessed and fitted."""

    name: str
    """`share of words`, `type:VisualFact`, `group:Layer`, `tag:Layer/Data`."""
    guess: float
    fitted: float
    low: float
    """95 % interval over the outer splits (jackknife over groups of queries)."""
    high: float


@dataclass(frozen=True)
class Learnt:
    """What was learnt, and whether it may be used."""

    steps: tuple[Step, ...]
    factors: tuple[Factor, ...]
    boosts: Boosts | None
    """With provenance; None when nothing is to be written."""
    reason: str
    """Why the boosts are to be used, or are not."""
    before: Evaluation
    after: Evaluation
    """Every query asked with boosts that were fitted without it and its subject."""


def learn(workspace: Path, queries: Sequence[LabelledQuery], report: Report = silent) -> Learnt:
    """Learn boosts for the index in use; nothing is written.

    Raises:
        NothingToLearn: too few labelled queries.
        DanglingAnswers, WordsOnly, IndexEmpty, IndexCorrupt, BoostsInvalid: as `evaluate` and `read_boosts`.
    """
    least = min(LABELS_NEEDED.values())
    if len(queries) < least:
        raise NothingToLearn(
            f"{len(queries)} labelled queries are too few to learn from: {least} are needed for the share of words and "
            f"types, {LABELS_NEEDED['groups']} for groups of tags, {LABELS_NEEDED['tags']} for single tags; draft more "
            "with: spotter index build-qa"
        )
    current = asked_generation(workspace, None)
    space = current.space.id
    base = _base(workspace, space)
    known, _ = about(current, sorted({found for query in queries for found in query.gain_by_id}))
    refuse_dangling(queries, known)
    own = base.fusion if base.fusion in ("convex", "rrf") else default_fusion(space)
    before = evaluate(workspace, queries, report=report, asking=Asking(boosts=base))
    pool = gather(workspace, queries, base, "rrf" if own == "rrf" else None, report)
    pool.name_kinds({found: one.type for found, one in known.items()})
    learner = _Learner(pool, known, _tags_of(current.folder, known))
    if len(learner.splits(np.arange(len(queries)), OUTER_FOLDS)) < SUBJECTS_NEEDED:
        raise NothingToLearn(
            f"All labelled queries are about fewer than {SUBJECTS_NEEDED} documents that are not connected, so that "
            "nothing can be tried on what it was not fitted on; label queries about other documents, too."
        )
    setting, steps = learner.procedure(np.arange(len(queries)))
    folds: list[Setting] = []
    asked: list[Asked] = []
    outer = learner.splits(np.arange(len(queries)), OUTER_FOLDS)
    for at, (train, test) in enumerate(outer, start=1):
        report(Progress("learn", "fitting without one part", at, len(outer), "parts"))
        fitted, _ = learner.procedure(train)
        folds.append(fitted)
        chosen = [queries[place] for place in test]
        asked += evaluate(workspace, chosen, asking=Asking(boosts=fitted.over(base))).asked
    order = {query.query: place for place, query in enumerate(queries)}
    after = before.model_copy(
        update={"asked": tuple(sorted(asked, key=lambda one: order[one.query])), "boosts": "held-out"}
    )
    factors = _factors(setting, folds, base)
    kept, reason = _judged(before, after, changed=setting != Setting())
    boosts = None
    if kept:
        boosts = replace(
            setting.over(base),
            origin="fitted",
            space=space,
            fusion="convex" if setting.share is not None else own,
            fitted_on=_digest(queries),
            queries=len(queries),
            intervals={one.name: (one.low, one.high) for one in factors},
        )
    return Learnt(steps, factors, boosts, reason, before, after)


class _Learner:
    """Fits settings on parts of a pool."""

    def __init__(self, pool: Pool, known: Mapping[str, About], tags_of: Mapping[str, frozenset[str]]) -> None:
        self._pool = pool
        self._document_of = {found: one.document for found, one in known.items()}
        self._text = np.array([kind == "text" for kind in pool.kinds])
        self._tags = [
            frozenset(tag for found in query.answers for tag in tags_of.get(found, ())) for query in pool.queries
        ]

    def splits(self, indices: Indices, folds: int) -> list[tuple[Indices, Indices]]:
        """(train, test) places for every fold that isn't empty; no subject is in both."""
        place = {query.query: at for at, query in enumerate(self._pool.queries)}
        dealt = split_by_subject([self._pool.queries[at] for at in indices], self._document_of, folds)
        tests = [np.array(sorted(place[query.query] for query in own), dtype=np.int64) for own in dealt if own]
        return [(np.setdiff1d(indices, test), test) for test in tests]

    def procedure(self, indices: Indices) -> tuple[Setting, tuple[Step, ...]]:
        """All steps on some of the queries: which are kept, decided by inner splits, and what they come to."""
        inner = self.splits(indices, INNER_FOLDS)
        fitted = [Setting() for _ in inner]
        setting = Setting()
        steps = []
        for name in LABELS_NEEDED:
            names = self._names(name, indices)
            refusal = self._refusal(name, names, indices)
            if refusal:
                steps.append(Step(name, LABELS_NEEDED[name], len(indices), False, refusal))
                continue
            tried = [self._fit(name, start, train) for start, (train, _) in zip(fitted, inner, strict=True)]
            step = self._step(name, indices, inner, fitted, tried)
            steps.append(step)
            if step.kept:
                fitted = tried
                setting = self._fit(name, setting, indices)
        return setting, tuple(steps)

    def _names(self, step: StepName, indices: Indices) -> list[str]:
        """What a step learns: only what enough queries speak for."""
        if step == "fusion":
            return ["share"]
        if step == "types":
            return [f"type:{kind}" for kind in self._pool.types()]
        spoken: Counter[str] = Counter()
        for at in indices:
            spoken.update(self._tags[at] if step == "tags" else {group_of(tag) for tag in self._tags[at]})
        kind = "tag" if step == "tags" else "group"
        return [f"{kind}:{name}" for name, count in sorted(spoken.items()) if count >= SUPPORT_NEEDED]

    def _refusal(self, step: StepName, names: Sequence[str], indices: Indices) -> str:
        if len(indices) < LABELS_NEEDED[step]:
            return f"refused: {len(indices)} labelled queries, {LABELS_NEEDED[step]} needed"
        if not names:
            return f"refused: no {step[:-1]} has {SUPPORT_NEEDED} queries whose answers carry it"
        text = int(np.count_nonzero(self._text[indices]))
        fewer = min(text, len(indices) - text)
        if step != "fusion" and fewer < EACH_KIND_NEEDED:
            return f"refused: {text} text and {len(indices) - text} visual questions, {EACH_KIND_NEEDED} of each needed"
        return ""

    def _fit(self, step: StepName, start: Setting, train: Indices) -> Setting:
        best, value = start, self._objective(start, train)
        if step == "fusion":
            for share in SHARES:
                tried = replace(start, share=share)
                if (found := self._objective(tried, train)) > value + 1e-9:
                    best, value = tried, found
            return best
        for _ in range(ROUNDS):
            at_first = value
            for name in self._names(step, train):
                for factor in GRID:
                    tried = best.with_factor(name, factor)
                    if (found := self._objective(tried, train)) > value + 1e-9:
                        best, value = tried, found
            if value <= at_first:
                break
        return best

    def _objective(self, setting: Setting, train: Indices) -> float:
        """MRR@10 of text and of visual questions in equal parts, less what the factors cost."""
        values = self._pool.measured(setting).mrr[train]
        text = self._text[train]
        parts = [float(values[own].mean()) for own in (text, ~text) if own.any()]
        cost = PENALTY * sum(abs(math.log2(factor)) for _, factor in setting.factors)
        return sum(parts) / len(parts) - cost if parts else -cost

    def _step(
        self,
        name: StepName,
        indices: Indices,
        inner: Sequence[tuple[Indices, Indices]],
        fitted: Sequence[Setting],
        tried: Sequence[Setting],
    ) -> Step:
        """Whether a step is kept, by the queries that each fit has not seen."""
        was, now, recall_was, recall_now = (np.zeros(len(self._pool.queries)) for _ in range(4))
        for (_, test), start, end in zip(inner, fitted, tried, strict=True):
            before, after = self._pool.measured(start), self._pool.measured(end)
            was[test], now[test] = before.mrr[test], after.mrr[test]
            recall_was[test], recall_now[test] = before.recall[test], after.recall[test]
        gain = difference(was[indices].tolist(), now[indices].tolist())
        needed, there = LABELS_NEEDED[name], len(indices)
        if gain.low <= 0:
            return Step(name, needed, there, False, f"no sure gain: {_told(gain)} MRR@10 on other queries", gain)
        change = recall_now - recall_was
        for kind, own in (("text", self._text), ("visual", ~self._text)):
            places = indices[own[indices]]
            if len(places) and change[places].mean() < -MAX_FALL:
                fall = f"{kind} R@5 falls by {-change[places].mean():.3f}, {MAX_FALL} allowed"
                return Step(name, needed, there, False, f"not kept: {fall}", gain)
        return Step(name, needed, there, True, f"kept: {_told(gain)} MRR@10 on other queries", gain)


def _judged(before: Evaluation, after: Evaluation, *, changed: bool) -> tuple[bool, str]:
    """Whether what was learnt may be used: by queries of the outer splits, asked of the real search."""
    if not changed:
        return False, "No step was kept, so there is nothing to write."
    gain = compare(before, after, ["MRR@10"])["MRR@10"]
    told = f"{_told(gain)} MRR@10 on queries that nothing was fitted on"
    if gain.low <= 0:
        return False, f"The real search gains nothing surely: {told}; nothing is written."
    for kind in ("text", "visual"):
        change = compare_parts(before, after, "R@5").get(f"kind {kind}")
        if change is not None and change.mean < -MAX_FALL:
            return False, f"{kind} R@5 falls by {-change.mean:.3f}, {MAX_FALL} allowed; nothing is written."
    return True, f"The real search gains: {told}."


def _factors(setting: Setting, folds: Sequence[Setting], base: Boosts) -> tuple[Factor, ...]:
    found = []
    if setting.share is not None:
        guess = LEXICAL_SHARE if base.lexical_share is None else base.lexical_share
        shares = [guess if fold.share is None else fold.share for fold in folds]
        spread = _jackknife_spread(shares)
        low, high = max(0.0, setting.share - spread), min(1.0, setting.share + spread)
        found.append(Factor("share of words", guess, setting.share, low, high))
    for name, fitted in setting.factors:
        logs = [math.log(fold.factor(name)) for fold in folds]
        spread = math.exp(_jackknife_spread(logs))
        low, high = max(LEAST, fitted / spread), min(GREATEST, fitted * spread)
        found.append(Factor(name, _guess(base, name), fitted, low, high))
    return tuple(found)


def _jackknife_spread(values: Sequence[float]) -> float:
    """Half of the 95 % interval by leaving out one part at a time."""
    data = np.asarray(values)
    error = float(np.sqrt((len(data) - 1) / len(data) * np.sum((data - data.mean()) ** 2)))
    return _STUDENT_T[len(data)] * error


def _guess(base: Boosts, name: str) -> float:
    kind, _, rest = name.partition(":")
    if kind == "type":
        return base.type_boost(rest)
    guess = base.groups.get(rest) if kind == "group" else base.tag_boost(rest)
    return 1.0 if guess is None else clamped(guess)


def _base(workspace: Path, space: str) -> Boosts:
    """What learning starts from: the workspace's boosts, unless they were fitted for another space."""
    boosts = read_boosts(workspace / BOOSTS)
    return Boosts.neutral() if boosts.origin == "fitted" and boosts.space not in (None, space) else boosts


def _tags_of(folder: Path, known: Mapping[str, About]) -> dict[str, frozenset[str]]:
    """Tags of these records."""
    db = connect(folder, writable=False)
    try:
        found: dict[str, set[str]] = {}
        for record_id, tag in db.execute("SELECT id, tag FROM record_tag JOIN record USING (row)"):
            if record_id in known:
                found.setdefault(record_id, set()).add(tag)
        return {record_id: frozenset(tags) for record_id, tags in found.items()}
    finally:
        db.close()


def _digest(queries: Sequence[LabelledQuery]) -> str:
    """SHA-256 of what was asked and what answers it, in any order of lines."""
    lines = sorted(orjson.dumps([one.query, sorted(one.gain_by_id.items())]) for one in queries)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def _told(gain: Difference) -> str:
    return f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
