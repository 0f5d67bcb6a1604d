"""Boxes that are one region: of one label, under two names, or one inside the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.docparse.arrange.candidates import RANK, Candidate, Drop, Step, in_order
from pipeline.docparse.geometry import area, io_mins, ious
from pipeline.docparse.labels import LABELS, Label
from pipeline.docparse.words import Box

if TYPE_CHECKING:
    from pipeline.docparse.geometry import Matrix

CONTAINERS: frozenset[Label] = frozenset({"diagram", "canvas", "table", "legend"})
"""Labels whose larger box is the better guess: a smaller one inside is a part of the thing taken for the whole."""
NOT_CONTAINED: frozenset[Label] = frozenset({"arrow"})
"""The box of a slanted arrow covers what the arrow only passes by."""


def suppress_doubles(candidates: Sequence[Candidate], iou: float) -> Step:
    """Non-maximum suppression per label: greedily, better scores first, no kept pair overlaps more than `iou`."""
    ordered = in_order(candidates)
    kept, lost = _greedy(ordered, range(len(ordered)), _near(ordered, ious), iou, same_label=True)
    dropped = tuple(
        Drop(ordered[index].raw, "nms: a better one of its label is there", ordered[by].raw, value)
        for index, by, value in lost
    )
    return Step("nms", len(ordered), tuple(ordered[index] for index in sorted(kept)), dropped)


def merge_names(candidates: Sequence[Candidate], iou: float) -> Step:
    """One region under two names: the better scored label stays, the other becomes its alternative."""
    ordered = in_order(candidates)
    kept, lost = _greedy(ordered, range(len(ordered)), _near(ordered, ious), iou, same_label=False)
    alternatives: dict[int, dict[Label, float]] = {index: dict(ordered[index].alternatives) for index in kept}
    for index, by, _ in lost:
        one = ordered[index]
        for label, score in {**one.alternatives, one.label: one.score}.items():
            if label != ordered[by].label:
                alternatives[by][label] = max(score, alternatives[by].get(label, 0.0))
    named = [
        replace(
            ordered[index],
            alternatives={label: alternatives[index][label] for label in LABELS if label in alternatives[index]},
        )
        for index in sorted(kept)
    ]
    dropped = tuple(
        Drop(ordered[index].raw, f"names: the same region is a better {ordered[by].label}", ordered[by].raw, value)
        for index, by, value in lost
    )
    return Step("same region", len(ordered), in_order(named), dropped)


def drop_contained(candidates: Sequence[Candidate], share: float) -> Step:
    """Of two boxes of one label of which one lies in the other, keep the larger container, else the better scored."""
    ordered = in_order(candidates)

    def first(index: int) -> tuple[object, ...]:
        one = ordered[index]
        return (0, -area(one.box), index) if one.label in CONTAINERS else (1, 0.0, index)

    turn = sorted((i for i, one in enumerate(ordered) if one.label not in NOT_CONTAINED), key=first)
    _, lost = _greedy(ordered, turn, _near(ordered, io_mins), share, same_label=True)
    left = {index for index, _, _ in lost}
    dropped = tuple(
        Drop(ordered[index].raw, "contained: a part of one of its label", ordered[by].raw, value)
        for index, by, value in lost
    )
    return Step("containment", len(ordered), tuple(one for i, one in enumerate(ordered) if i not in left), dropped)


def _near(ordered: Sequence[Candidate], measure: Callable[[Sequence[Box], Sequence[Box]], Matrix]) -> Matrix:
    boxes = [one.box for one in ordered]
    return measure(boxes, boxes)


def _greedy(
    ordered: Sequence[Candidate], turn: Sequence[int], near: Matrix, above: float, *, same_label: bool
) -> tuple[list[int], list[tuple[int, int, float]]]:
    """Keep candidates in their turn unless one kept before is too near; (kept, (lost, in whose favour, how near))."""
    import numpy as np

    labels = np.asarray([RANK[one.label] for one in ordered])
    rivals = (near > above) & ((labels[:, None] == labels[None, :]) == same_label)
    is_kept = np.zeros(len(ordered), bool)
    kept: list[int] = []
    lost: list[tuple[int, int, float]] = []
    for index in turn:
        too_near = np.flatnonzero(rivals[index] & is_kept)
        if len(too_near):
            by = int(too_near[near[index, too_near].argmax()])
            lost.append((index, by, float(near[index, by])))
        else:
            kept.append(index)
            is_kept[index] = True
    return kept, lost
