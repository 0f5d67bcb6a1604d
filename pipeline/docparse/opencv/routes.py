"""Ways through a part of the graph that has several ends: which two ends are one arrow's.

Arrows cross, and share a trunk. Every end belongs to an arrow; among all ways to say so, the one is taken whose arrows
turn least at junctions, lead from a bare end to a head, and share the fewest ends.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pipeline.docparse.opencv.ends import End
from pipeline.docparse.opencv.skeleton import Pixel, Way, direction, turn

MOST_STEPS = 300
SHARPEST_TURN = 2.6
"""Radians; an arrow does not turn back at a junction."""
CROSSING_PIXELS = 9
FLAT_CROSSING_PIXELS = 20
"""The longest way in which lines that cross lie on one another: the flatter they cross, the longer."""
PER_PIXEL = 0.002
"""What a pixel of way costs, in radians."""
TWO_HEADS = 4.5
"""What an arrow with two heads costs: a trunk that parts in three looks like one that crosses it."""
NO_HEAD = 3.0
SHARED = 0.4
LEFT_OVER = 6.0
BARE_HEAD = (1.0, 1.4)
"""The narrowest end, but for these bounds, shows how wide bare ends are in a part."""
JOG_PIXELS = 6
"""Arms of a T may leave its stem so far from one another."""
ALIKE = 0.5
"""Ends that differ by no more, 1 being a head and 0 none, both carry one, or neither does."""
T_STRAIGHT = 2.6
T_SQUARE = 2.1
"""Radians: the arms of a T lead further apart than the first, its stem and an arm less than the second."""
FORK_TURN = 0.8
FORK_SLANT = 0.25
SLANTED_FORK = 2.0
"""Level and upright lines fork; slanted ones cross: to turn by more than the first between ways that are further off
the page's sides than the second (radians) costs so many times as much."""
HEAD_MORE = (0.3, 0.6)
"""An end with so much more is surely a head: the largest of a part, which outlines may all have cut, but for these
bounds."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way between two ends."""

    pixels: list[Pixel]
    cost: float
    """Radians turned at junctions, and what speaks against its ends being one arrow's."""


def pairs_of(ways: Sequence[Way], ends: Sequence[End]) -> list[tuple[int, int, Route]]:
    """(tail, head, way) of the arrows among ends, as indices into `ends`; `ways` are those of their part."""
    meeting = meeting_of(ways)
    bare = min(max(min(end.head for end in ends), BARE_HEAD[0]), BARE_HEAD[1])
    more = min(max(max(end.head for end in ends) - bare, HEAD_MORE[0]), HEAD_MORE[1])
    found: dict[tuple[int, int], Route] = {}
    for i, a in enumerate(ends):
        for j in range(i):
            if a.shape != ends[j].shape and (way := route(meeting, ends[j].node, a.node)) is not None:
                found[j, i] = Route(way[1], way[0] + _unlikely(ends[j], a, bare, more))
    arms = _arms(meeting, ends)
    sure = [min(1.0, max(0.0, (end.head - bare) / more)) for end in ends]
    # An end that only the other arm is left for belongs to a line that passes behind its shape.
    needed = arms is None or any(all(arm not in pair for pair in found if pair != arms) for arm in arms)
    if arms is not None and not needed and abs(sure[arms[0]] - sure[arms[1]]) <= ALIKE:
        found = {
            pair: Route(way.pixels, way.cost - _unlikely(ends[pair[0]], ends[pair[1]], bare, more))
            for pair, way in found.items()
            if pair != arms
        }
    arrows = []
    for j, i in _cover(len(ends), found):
        chosen = found[j, i]
        if ends[j].head <= ends[i].head:
            arrows.append((j, i, chosen))
        else:
            arrows.append((i, j, Route(chosen.pixels[::-1], chosen.cost)))
    return arrows


def _arms(meeting: Mapping[int, Sequence[Way]], ends: Sequence[End]) -> tuple[int, int] | None:
    """Which of three ends are the arms of a T, by where their ways lead beyond its jogs; None where there is no T.

    Where both arms carry heads, or neither does, no arrow leads from arm to arm: two share the stem.
    """
    hubs = {meeting[end.node][0].other(end.node) for end in ends}
    if len(hubs) != 1 or len(ends) != 3:
        return None
    (hub,) = hubs
    angles = []
    for end in ends:
        pixels = meeting[end.node][0].seen_from(hub)
        near, far = pixels[min(len(pixels) - 2, JOG_PIXELS)], pixels[min(len(pixels) - 1, 3 * JOG_PIXELS)]
        angles.append(math.atan2(far[1] - near[1], far[0] - near[0]))
    turns = {(j, i): turn(angles[i], angles[j]) for i in range(3) for j in range(i)}
    *others, arms = sorted(turns, key=lambda pair: turns[pair])
    return arms if turns[arms] > T_STRAIGHT and all(turns[pair] < T_SQUARE for pair in others) else None


def _unlikely(a: End, b: End, bare: float, more: float) -> float:
    """What speaks against two ends being one arrow's by their heads."""
    one, two = (min(1.0, max(0.0, (end.head - bare) / more)) for end in (a, b))
    return TWO_HEADS * one * two + NO_HEAD * (1 - one) * (1 - two)


def _cover(count: int, routes: Mapping[tuple[int, int], Route]) -> list[tuple[int, int]]:
    """The pairs that together hold every end at the least cost."""

    @cache
    def best(covered: int) -> tuple[float, tuple[tuple[int, int], ...]]:
        free = next((index for index in range(count) if not covered >> index & 1), None)
        if free is None:
            return 0.0, ()
        cost, chosen = best(covered | 1 << free)
        options = [(cost + LEFT_OVER, chosen)]
        for pair, way in routes.items():
            if free in pair:
                other = pair[0] if pair[1] == free else pair[1]
                cost, chosen = best(covered | 1 << free | 1 << other)
                shared = SHARED if covered >> other & 1 else 0.0
                options.append((cost + way.cost + shared, (pair, *chosen)))
        return min(options)

    return list(best(0)[1])


def meeting_of(ways: Sequence[Way]) -> dict[int, list[Way]]:
    """Node → the ways that meet there."""
    meeting: dict[int, list[Way]] = {}
    for way in ways:
        for node in {way.start, way.end}:
            meeting.setdefault(node, []).append(way)
    return meeting


def _slant(angle: float) -> float:
    """Radians by which a direction is off the page's sides."""
    return abs((angle + math.pi / 4) % (math.pi / 2) - math.pi / 4)


def route(meeting: Mapping[int, Sequence[Way]], start: int, end: int) -> tuple[float, list[Pixel]] | None:
    """(cost, pixels) of the way from one node to another that turns least at junctions; None when there is none."""
    (first,) = meeting[start]
    pixels = first.seen_from(start)
    count = 0
    queue: list[tuple[float, int, int, float, list[Pixel]]] = [
        (PER_PIXEL * len(pixels), count, first.other(start), direction(pixels[::-1]) + math.pi, pixels)
    ]
    seen: dict[tuple[int, int], float] = {}
    for _ in range(MOST_STEPS):
        if not queue:
            return None
        cost, _, node, heading, pixels = heapq.heappop(queue)
        if node == end:
            return cost, pixels
        for index, way in enumerate(meeting[node]):
            onward = way.seen_from(node)
            # Two lines that cross at a flat angle meet in a short way that leads in neither one's direction.
            leads = direction(onward)
            longest = FLAT_CROSSING_PIXELS if turn(heading, leads) <= FORK_TURN else CROSSING_PIXELS
            passing = len(onward) <= longest and min(len(meeting[way.start]), len(meeting[way.end])) > 1
            bend = 0.0 if passing else turn(heading, leads)
            if bend > SHARPEST_TURN:
                continue
            slanted = bend > FORK_TURN and max(_slant(heading), _slant(leads)) > FORK_SLANT
            total = cost + bend * (SLANTED_FORK if slanted else 1.0) + PER_PIXEL * len(onward)
            if seen.get((node, index), math.inf) <= total:
                continue
            seen[node, index] = total
            count += 1
            leaving = heading if passing else direction(onward[::-1]) + math.pi
            heapq.heappush(queue, (total, count, way.other(node), leaving, pixels + onward[1:]))
    return None
