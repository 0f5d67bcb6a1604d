"""From finds to regions: which doubles go, who contains whom, in which order one reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.docparse.labels import Label
from pipeline.docparse.opencv.geometry import area, iou, share_inside
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import Box

SAME_IOU = 0.7
"""Two regions of one label that overlap so much are one; the better scored stays."""
INSIDE = 0.85
"""A region that lies so much in another one is in it."""

_PARENTS: dict[Label, frozenset[Label]] = {
    "diagram": frozenset({"canvas"}),
    "canvas": frozenset({"diagram", "canvas"}),
    "table": frozenset({"canvas"}),
    "legend": frozenset({"canvas", "diagram"}),
    "node": frozenset({"diagram", "canvas"}),
    "arrow": frozenset({"diagram", "canvas"}),
    "textbox": frozenset({"diagram", "canvas", "textbox"}),
}
"""Label → labels that may contain it."""


def suppress(found: Sequence[Detection]) -> list[Detection]:
    """Drop weaker doubles: per label, a region that is nearly another one. `start` and `end` follow."""
    order = sorted(range(len(found)), key=lambda index: -found[index].score)
    kept: list[int] = []
    instead: dict[int, int] = {}
    for index in order:
        one = found[index]
        twin = next(
            (
                other
                for other in kept
                if found[other].label == one.label
                and iou(found[other].box, one.box) > SAME_IOU
                and (one.label != "arrow" or {found[other].start, found[other].end} == {one.start, one.end})
            ),
            None,
        )
        if twin is None:
            kept.append(index)
        instead[index] = index if twin is None else twin
    kept.sort()
    renumber = {old: new for new, old in enumerate(kept)}
    follow = {old: renumber[instead[old]] for old in range(len(found))}
    return [found[index].related(follow) for index in kept]


def with_parents(found: Sequence[Detection]) -> list[Detection]:
    """Give every region its parent: the smallest region around it that may contain its label."""
    placed = []
    for index, one in enumerate(found):
        containers = [
            other
            for other, candidate in enumerate(found)
            if other != index
            and candidate.label in _PARENTS[one.label]
            and area(candidate.box) >= 1.15 * area(one.box)
            and share_inside(one.box, candidate.box) >= INSIDE
        ]
        parent = min(containers, key=lambda other: area(found[other].box), default=None)
        placed.append(replace(one, parent=parent))
    return placed


def in_reading_order(found: Sequence[Detection]) -> list[Detection]:
    """Sort regions as one reads: recursive cuts across and down the page, children after their parent."""
    children: dict[int | None, list[int]] = {}
    for index, one in enumerate(found):
        children.setdefault(one.parent, []).append(index)
    order: list[int] = []

    def visit(parent: int | None) -> None:
        members = children.get(parent, [])
        for index in _cut([found[member].box for member in members], members):
            order.append(index)
            visit(index)

    visit(None)
    renumber = {old: new for new, old in enumerate(order)}
    return [found[index].related(renumber) for index in order]


def _cut(boxes: Sequence[Box], names: Sequence[int]) -> list[int]:
    """XY-cut (Nagy and Seth 1984): split at a gap across the page, else at a gap down it, else by top edge."""
    if len(names) <= 1:
        return list(names)
    for axis in (1, 0):
        parts = _split(boxes, axis)
        if len(parts) > 1:
            return [name for part in parts for name in _cut([boxes[i] for i in part], [names[i] for i in part])]
    return [names[i] for i in sorted(range(len(names)), key=lambda i: (boxes[i][1], boxes[i][0]))]


def _split(boxes: Sequence[Box], axis: int) -> list[list[int]]:
    order = sorted(range(len(boxes)), key=lambda i: boxes[i][axis])
    parts: list[list[int]] = []
    reached = 0.0
    for index in order:
        if not parts or boxes[index][axis] >= reached - 1:
            parts.append([])
        parts[-1].append(index)
        reached = max(reached, boxes[index][axis + 2])
    return parts
