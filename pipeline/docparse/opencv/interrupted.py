"""Lines that something has interrupted: a text that was taken out, a frame's line, a dash that went with either; and
lines that their heads have joined.

A line ends at a shape. One that ends elsewhere, and before which another one ends that comes towards it, goes on there;
the same holds for two that would meet at a corner hidden by a label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from pipeline.docparse.opencv.ends import CONTACT_PX, Nearness
from pipeline.docparse.opencv.skeleton import Graph, Pixel, Way, turn
from pipeline.docparse.words import Box

GAP_PX = 64.0
"""The longest gap, in pixels of the working page."""
LEAN = 0.3
"""Radians by which lines may be off the way across the gap."""
BLOT_PX = 22.0
"""A line so short has no direction: it is a head, or a dash."""
TAKEN_PIXELS = 16
"""A line's direction at its end is taken over so many pixels of the graph."""
AHEAD_PIXELS = 6
TOUCHING_PX = 20.0
"""Heads that touch lie so near to the shape that they point at."""
BACK_COS = -0.2
"""Cosine of the least turn there: an elbow's is 0."""
CORNER_PX = 40.0
"""A corner that a label hides is no further from either end."""
CORNER_SLACK = 0.2
"""Radians by which it may be off a right angle."""


@dataclass(frozen=True, slots=True)
class _Loose:
    node: int
    place: Pixel
    outward: float
    blot: bool


def mended(graph: Graph, near: Nearness, labels: Sequence[Box]) -> None:
    """Join lines of the graph across gaps, and at corners that one of `labels` (pixels of the page) hides."""
    loose = [end for node in graph.places if (end := _loose(graph, node, near)) is not None]
    options = []
    for a, b in combinations(loose, 2):
        if abs(a.place[0] - b.place[0]) > GAP_PX / 2 or abs(a.place[1] - b.place[1]) > GAP_PX / 2:
            continue
        if (cost := _apart(a, b)) is not None:
            options.append((cost, a, b, [a.place, b.place]))
        elif (corner := _corner(a, b, labels)) is not None:
            options.append((2 * GAP_PX, a, b, [a.place, corner, b.place]))
    done: set[int] = set()
    for _, a, b, places in sorted(options, key=lambda option: option[0]):
        if a.node not in done and b.node not in done:
            done |= {a.node, b.node}
            graph.ways.append(Way(a.node, b.node, _drawn(places)))
    if done:
        graph.smooth()


def parted(graph: Graph, near: Nearness) -> None:
    """Part lines at which two arrows' heads touch: at a third shape, where a line from shape to shape turns back."""
    for way in list(graph.ways):
        if len(way.pixels) <= 2 * TAKEN_PIXELS or any(len(graph.at(node)) != 1 for node in (way.start, way.end)):
            continue
        shapes = [near.of(way.pixels[index])[0] for index in (0, -1)]
        at = _turning_back(way.pixels, near)
        if at is None or None in shapes or near.of(way.pixels[at])[0] in (None, *shapes):
            continue
        number = max(graph.places) + 1
        graph.places |= {number: way.pixels[at], number + 1: way.pixels[at]}
        graph.ways = [one for one in graph.ways if one is not way]
        graph.ways += [Way(way.start, number, way.pixels[: at + 1]), Way(number + 1, way.end, way.pixels[at:])]


def _turning_back(pixels: Sequence[Pixel], near: Nearness) -> int | None:
    """Where a line (pixels of the graph) close to a shape turns most, if by more than an elbow does."""
    places = np.array(pixels, np.float64)
    before = places[TAKEN_PIXELS:-TAKEN_PIXELS] - places[: -2 * TAKEN_PIXELS]
    after = places[2 * TAKEN_PIXELS :] - places[TAKEN_PIXELS:-TAKEN_PIXELS]
    cos = (before * after).sum(axis=1) / np.maximum(1e-6, np.hypot(*before.T) * np.hypot(*after.T))
    cos[near.away(pixels)[TAKEN_PIXELS:-TAKEN_PIXELS] > TOUCHING_PX] = 1.0
    sharpest = int(cos.argmin())
    return sharpest + TAKEN_PIXELS if cos[sharpest] < BACK_COS else None


def _loose(graph: Graph, node: int, near: Nearness) -> _Loose | None:
    """The end at a node, if it comes to no shape; one that leads away from a shape does not end at it."""
    meeting = graph.at(node)
    if len(meeting) != 1 or meeting[0].start == meeting[0].end:
        return None
    pixels = meeting[0].seen_from(node)
    inner = pixels[min(len(pixels) - 1, TAKEN_PIXELS)]
    outward = math.atan2(pixels[0][1] - inner[1], pixels[0][0] - inner[0])
    x, y = pixels[0]
    onward = (round(x + AHEAD_PIXELS * math.cos(outward)), round(y + AHEAD_PIXELS * math.sin(outward)))
    away = near.of(pixels[0])[1]
    if away <= CONTACT_PX and near.of(onward)[1] < away + AHEAD_PIXELS:
        return None
    return _Loose(node, pixels[0], outward, 2 * len(pixels) <= BLOT_PX and len(graph.at(meeting[0].other(node))) == 1)


def _apart(a: _Loose, b: _Loose) -> float | None:
    """The gap between two ends that look at one another, in pixels, more where they lean; None for others."""
    if a.blot and b.blot:
        return None
    dx, dy = b.place[0] - a.place[0], b.place[1] - a.place[1]
    length = 2 * math.hypot(dx, dy)
    if not 0 < length <= GAP_PX:
        return None
    across = math.atan2(dy, dx)
    leans = [
        0.0 if a.blot else turn(a.outward, across),
        0.0 if b.blot else turn(b.outward, across + math.pi),
    ]
    return length * (1 + sum(leans)) if max(leans) <= LEAN else None


def _corner(a: _Loose, b: _Loose, labels: Sequence[Box]) -> Pixel | None:
    """Where two ends would meet at a right angle behind a label."""
    if a.blot or b.blot or abs(turn(a.outward, b.outward) - math.pi / 2) > CORNER_SLACK:
        return None
    ways = [np.array([math.cos(end.outward), math.sin(end.outward)]) for end in (a, b)]
    apart = np.array(b.place, np.float64) - np.array(a.place)
    along = np.linalg.solve(np.stack([ways[0], -ways[1]], axis=1), apart)
    if along.min() < -3 or 2 * along.max() > CORNER_PX:
        return None
    x, y = np.array(a.place) + along[0] * ways[0]
    hidden = any(
        left - 6 <= 2 * x <= right + 6 and top - 6 <= 2 * y <= bottom + 6 for left, top, right, bottom in labels
    )
    return (round(float(x)), round(float(y))) if hidden else None


def _drawn(places: Sequence[Pixel]) -> list[Pixel]:
    """The pixels of straight lines from place to place."""
    pixels = [places[0]]
    for (x0, y0), (x1, y1) in pairwise(places):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        pixels += [(round(x0 + (x1 - x0) * i / steps), round(y0 + (y1 - y0) * i / steps)) for i in range(1, steps + 1)]
    return pixels
