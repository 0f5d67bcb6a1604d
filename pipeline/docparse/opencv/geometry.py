"""Boxes in page pixels: overlap, containment, distance. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.docparse.words import Box


def area(box: Box) -> float:
    """Square pixels."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def overlap(a: Box, b: Box) -> float:
    """Square pixels that two boxes share."""
    return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0 to 1."""
    shared = overlap(a, b)
    return shared / (area(a) + area(b) - shared) if shared else 0.0


def share_inside(inner: Box, outer: Box) -> float:
    """How much of `inner` lies in `outer`, 0 to 1."""
    return overlap(inner, outer) / area(inner) if area(inner) else 0.0


def grown(box: Box, by: float) -> Box:
    """The box moved outwards on every side."""
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def clipped(box: Box, width: float, height: float) -> Box:
    """What of the box lies on a page."""
    return max(0.0, box[0]), max(0.0, box[1]), min(float(width), box[2]), min(float(height), box[3])


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds all of `boxes`, of which there is at least one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def gap(a: Box, b: Box) -> float:
    """Distance between two boxes in pixels; zero when they touch or overlap."""
    dx = max(a[0] - b[2], b[0] - a[2], 0.0)
    dy = max(a[1] - b[3], b[1] - a[3], 0.0)
    return float((dx * dx + dy * dy) ** 0.5)


def distance(point: tuple[float, float], box: Box) -> float:
    """From a point to a box in pixels; zero inside."""
    return gap((point[0], point[1], point[0], point[1]), box)


def centre(box: Box) -> tuple[float, float]:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


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
