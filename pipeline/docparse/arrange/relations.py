"""Which region contains which, and which nodes an arrow joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.docparse.arrange.candidates import Candidate
from pipeline.docparse.geometry import areas, centre, distance, share_inside, shares_inside
from pipeline.docparse.labels import Label
from pipeline.docparse.words import Box

Point = tuple[float, float]

GRAMMAR: dict[Label, frozenset[Label]] = {
    "diagram": frozenset(),
    "canvas": frozenset({"diagram", "canvas"}),
    "table": frozenset({"canvas"}),
    "legend": frozenset({"diagram", "canvas"}),
    "node": frozenset({"diagram", "canvas"}),
    "arrow": frozenset({"diagram", "canvas"}),
    "textbox": frozenset({"diagram", "canvas", "legend"}),
}
"""Label → labels that may contain it; every label may also stand on the page itself."""

SLENDER = 3.0
"""An arrow so much longer than wide runs along its box; any other from corner to corner."""
PASSES_SHARE = 0.9
"""A node that holds so much of an arrow's box is not what the arrow leads to."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What an arrow joins: indices of nodes, and whether its direction was seen or assumed from reading direction."""

    start: int | None
    end: int | None
    assumed: bool


def parents(candidates: Sequence[Candidate], share: float, area_ratio: float) -> list[int | None]:
    """Index of every candidate's container: the smallest one that the grammar allows and that holds it.

    A container is larger than what it holds, so nothing contains itself by way of others.
    """
    if not candidates:
        return []
    boxes = [one.box for one in candidates]
    inside, size = shares_inside(boxes, boxes), areas(boxes)
    found: list[int | None] = []
    for index, one in enumerate(candidates):
        holders = [
            other
            for other, candidate in enumerate(candidates)
            if other != index
            and candidate.label in GRAMMAR[one.label]
            and inside[index, other] >= share
            and size[other] >= area_ratio * size[index]
        ]
        found.append(min(holders, key=lambda other: (size[other], candidates[other].key), default=None))
    return found


def arrow_ends(
    candidates: Sequence[Candidate], reach_px: float, seen: Mapping[int, tuple[Point, Point]] | None = None
) -> dict[int, Ends]:
    """What every arrow joins: the nodes nearest to its two ends, no further away than `reach_px` and not the same one.

    `seen` holds (tail, head) of arrows whose ends are known, by the index of a raw box. A box alone says where an
    arrow's ends may be, not which is the head: it is then assumed to point as one reads, right or down, and said so.
    """
    nodes = [index for index, one in enumerate(candidates) if one.label == "node"]
    found = {}
    for index, one in enumerate(candidates):
        if one.label != "arrow":
            continue
        told = next((seen[raw] for raw in one.raw if raw in seen), None) if seen else None
        near = [node for node in nodes if share_inside(one.box, candidates[node].box) < PASSES_SHARE]
        ways = [told] if told is not None else possible_ends(one.box)
        joined = [_join(way, near, candidates, reach_px) for way in ways]
        start, end, _ = min(joined, key=lambda way: ((way[0] is None) + (way[1] is None), way[2]))
        found[index] = Ends(start, end, told is None)
    return found


def possible_ends(box: Box) -> list[tuple[Point, Point]]:
    """Where the ends of an arrow may lie that fills a box: (tail, head) as one reads, right or down."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    x, y = centre(box)
    if width >= SLENDER * height:
        return [((left, y), (right, y))]
    if height >= SLENDER * width:
        return [((x, top), (x, bottom))]
    if width >= height:
        return [((left, top), (right, bottom)), ((left, bottom), (right, top))]
    return [((left, top), (right, bottom)), ((right, top), (left, bottom))]


def _join(
    way: tuple[Point, Point], nodes: Sequence[int], candidates: Sequence[Candidate], reach_px: float
) -> tuple[int | None, int | None, float]:
    """(node at the tail, node at the head, sum of distances) of one guess; an end without a node counts its reach."""
    distances = [{node: distance(point, candidates[node].box) for node in nodes} for point in way]
    close = [
        sorted((far, candidates[node].key, node) for node, far in ends.items() if far <= reach_px) for ends in distances
    ]
    pairs = [
        (tail[0] + head[0], tail[1:], head[1:], tail[2], head[2])
        for tail in close[0][:3]
        for head in close[1][:3]
        if tail[2] != head[2]
    ]
    if pairs:
        total, _, _, start, end = min(pairs)
        return start, end, total
    if close[0] and (not close[1] or close[0][0] <= close[1][0]):
        return close[0][0][2], None, close[0][0][0] + reach_px
    if close[1]:
        return None, close[1][0][2], close[1][0][0] + reach_px
    return None, None, 2 * reach_px
