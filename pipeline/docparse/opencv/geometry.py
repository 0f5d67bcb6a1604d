"""Boxes in page pixels as drawings need them: spans, groups, close values. Pure functions; what boxes share with every
other part lies in `pipeline.docparse.geometry` and is offered here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.docparse.geometry import (
    area,
    centre,
    clipped,
    distance,
    gap,
    grown,
    iou,
    overlap,
    share_inside,
    union,
)
from pipeline.docparse.words import Box

__all__ = [
    "area", "centre", "clipped", "clusters", "distance", "gap", "grown", "iou", "merge_close", "overlap",
    "share_inside", "shared_span", "union",
]  # fmt: skip


def shared_span(a0: float, a1: float, b0: float, b1: float) -> float:
    """How much two intervals overlap, as a share of the shorter one."""
    shorter = min(a1 - a0, b1 - b0)
    return max(0.0, min(a1, b1) - max(a0, b0)) / shorter if shorter > 0 else 0.0


def clusters(boxes: Sequence[Box], reach: float) -> list[list[int]]:
    """Indices of boxes, grouped so that boxes no further apart than `reach` are together."""
    group = list(range(len(boxes)))

    def find(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    for i, a in enumerate(boxes):
        for j in range(i):
            if gap(a, boxes[j]) <= reach:
                group[find(i)] = find(j)
    found: dict[int, list[int]] = {}
    for index in range(len(boxes)):
        found.setdefault(find(index), []).append(index)
    return list(found.values())


def merge_close(values: Iterable[float], within: float) -> list[float]:
    """Sorted values with those closer than `within` to their neighbour replaced by their mean."""
    runs: list[list[float]] = []
    for value in sorted(values):
        if runs and value - runs[-1][-1] <= within:
            runs[-1].append(value)
        else:
            runs.append([value])
    return [sum(run) / len(run) for run in runs]
