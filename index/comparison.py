"""Two evaluations held against each other: what changed, where, by how much and how surely; and the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from index.evaluate import Asked, Evaluation, Level, Shown, mean, values_of
from index.significance import Difference, Estimate, difference, estimate

GATE_MARGIN = 0.02
"""How much text R@5 may fall below the baseline's."""
GATE_METRIC = "R@5"
GATE_PLACES = 5

_PARTS: tuple[tuple[str, Callable[[Asked], Sequence[str]]], ...] = (
    ("kind", lambda one: (one.kind,)),
    ("type", lambda one: one.types),
    ("language", lambda one: (one.language,)),
    ("document", lambda one: one.documents),
)


@dataclass(frozen=True)
class Verdict:
    """What the gate says."""

    passed: bool
    reason: str
    """One sentence with the figures."""
    before: float | None = None
    """The baseline's text R@5 over the questions asked both times."""
    after: float | None = None


@dataclass(frozen=True)
class Fallen:
    """A question that is answered worse than before, and what stands where its answers stood."""

    query: str
    kind: str
    before: float
    """R@5."""
    after: float
    came_in: tuple[Shown, ...]
    """Among the first five now, not before, and no answer."""


def breakdown(evaluation: Evaluation, metric: str, level: Level = "strict") -> dict[str, Estimate]:
    """A metric over all queries and per kind, type, language and document, by names such as `language ru`."""
    parts = _parts(evaluation.asked)
    return {
        name: estimate(values_of((evaluation.asked[at] for at in own), metric, level)) for name, own in parts.items()
    }


def compare(
    before: Evaluation, after: Evaluation, metrics: Sequence[str], level: Level = "strict"
) -> dict[str, Difference]:
    """What changed in each metric, over the queries asked both times; empty when there are none."""
    pairs = common(before, after)
    if not pairs:
        return {}
    earlier, later = [one for one, _ in pairs], [other for _, other in pairs]
    return {
        metric: difference(values_of(earlier, metric, level), values_of(later, metric, level)) for metric in metrics
    }


def compare_parts(before: Evaluation, after: Evaluation, metric: str, level: Level = "strict") -> dict[str, Difference]:
    """What changed in a metric over all queries and per kind, type, language and document, as they were before."""
    pairs = common(before, after)
    earlier = values_of((one for one, _ in pairs), metric, level)
    later = values_of((other for _, other in pairs), metric, level)
    return {
        name: difference([earlier[at] for at in own], [later[at] for at in own])
        for name, own in _parts([one for one, _ in pairs]).items()
        if own
    }


def common(before: Evaluation, after: Evaluation) -> list[tuple[Asked, Asked]]:
    """The queries asked both times."""
    now = {one.query: one for one in after.asked}
    return [(one, now[one.query]) for one in before.asked if one.query in now]


def fallen(before: Evaluation, after: Evaluation) -> list[Fallen]:
    """Questions whose R@5 fell, text questions first, the deepest falls first."""
    found = []
    for one, other in common(before, after):
        was, now = one.strict[GATE_METRIC], other.strict[GATE_METRIC]
        if now < was:
            stood = set(one.hits[:GATE_PLACES])
            came = tuple(shown for shown in other.first if shown.id not in stood and not shown.answers)
            found.append(Fallen(one.query, one.kind, was, now, came))
    return sorted(found, key=lambda lost: (lost.kind != "text", lost.after - lost.before, lost.query))


def gate(before: Evaluation, after: Evaluation, margin: float = GATE_MARGIN) -> Verdict:
    """Whether text is still found: text R@5 ≥ the baseline's − margin, over the text questions asked both times.

    A question's kind is the one it had in the baseline, so that new labels can't hide a fall.
    """
    pairs = [(one, other) for one, other in common(before, after) if one.kind == "text"]
    if not pairs:
        return Verdict(False, "No text question of the baseline was asked again, so nothing shows that text is found.")
    earlier, later = [one for one, _ in pairs], [other for _, other in pairs]
    was, now = mean(earlier, GATE_METRIC), mean(later, GATE_METRIC)
    assert was is not None, "there are pairs"
    assert now is not None, "there are pairs"
    figures = f"text {GATE_METRIC} {was:.3f} → {now:.3f} over {len(pairs)} text questions, {-margin:+.2f} allowed"
    if now >= was - margin - 1e-12:
        return Verdict(True, f"{figures}{_visual_fall(before, after)}.", was, now)
    share_was, share_now = (sum(one.text_share_at_5 for one in side) / len(pairs) for side in (earlier, later))
    lost = [one for one in fallen(before, after) if one.kind == "text"]
    took = Counter(shown.type for one in lost for shown in one.came_in)
    instead = ", ".join(f"{count} {kind}" for kind, count in took.most_common()) or "nothing new"
    return Verdict(
        False,
        f"{figures}: {len(lost)} of them fell, and {instead} took their places; text held {share_was:.0%} of the first "
        f"five places and now holds {share_now:.0%}; the index had {_held(before)}, now {_held(after)}.",
        was,
        now,
    )


def _visual_fall(before: Evaluation, after: Evaluation) -> str:
    """A warning where regions are surely found less often, which the gate doesn't judge."""
    change = compare_parts(before, after, GATE_METRIC).get("kind visual")
    if change is None or change.mean >= 0 or not change.significant:
        return ""
    told = f"fell by {-change.mean:.3f} over {change.queries} questions (p = {change.p_value:.4f})"
    return f"; but visual {GATE_METRIC} {told}"


def _held(evaluation: Evaluation) -> str:
    return f"{evaluation.text_records} text and {evaluation.visual_records} visual records"


def _parts(asked: Sequence[Asked]) -> Mapping[str, list[int]]:
    """Places in `asked` of each part's queries, all of them first."""
    parts: dict[str, list[int]] = {"all": list(range(len(asked)))}
    for title, names in _PARTS:
        own: dict[str, list[int]] = {}
        for at, one in enumerate(asked):
            for name in names(one):
                own.setdefault(f"{title} {name}", []).append(at)
        parts |= dict(sorted(own.items()))
    return parts
