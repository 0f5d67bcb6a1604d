"""Thin lines as a graph: ends, junctions and the ways between them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from pipeline.docparse.opencv.sheet import Pixels

Pixel = tuple[int, int]
"""x, y at half size."""
TANGENT_PX = 7
"""A way's direction at its end is taken over so many pixels."""


def _tables() -> tuple[Pixels, Pixels]:
    """For each pattern of eight neighbours: whether the two passes of Zhang and Suen (1984) take the pixel away."""
    first, second = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    for code in range(256):
        p = [(code >> bit) & 1 for bit in range(8)]  # clockwise from above
        count = sum(p)
        rises = sum(p[i] == 0 and p[(i + 1) % 8] == 1 for i in range(8))
        # From three neighbours on (Lü and Wang 1986): from two on, slanted lines of two pixels vanish.
        if 3 <= count <= 6 and rises == 1:
            first[code] = int(p[0] * p[2] * p[4] == 0 and p[2] * p[4] * p[6] == 0)
            second[code] = int(p[0] * p[2] * p[6] == 0 and p[0] * p[4] * p[6] == 0)
    return first, second


_PASSES = _tables()
_WEIGHTS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)


def thinned(mask: Pixels) -> Pixels:
    """A uint8 mask of lines thinned to one pixel (Zhang and Suen 1984)."""
    if not mask.any():
        return mask.astype(np.uint8)
    x, y, w, h = cv2.boundingRect(mask)
    whole = np.zeros_like(mask)
    whole[y : y + h, x : x + w] = _thinned(mask[y : y + h, x : x + w])
    return whole


def _thinned(mask: Pixels) -> Pixels:
    thin = np.pad(mask, 1)
    while True:
        removed = 0
        for table in _PASSES:
            code = cv2.filter2D(thin, -1, _WEIGHTS, borderType=cv2.BORDER_CONSTANT)
            going = cv2.LUT(code, table) & thin
            removed += cv2.countNonZero(going)
            thin -= going
        if not removed:
            return thin[1:-1, 1:-1]


@dataclass(slots=True)
class Way:
    """Pixels from one node of the graph to another, both included."""

    start: int
    end: int
    pixels: list[Pixel]

    def seen_from(self, node: int) -> list[Pixel]:
        """Its pixels in order, beginning at a node."""
        return self.pixels if self.start == node else self.pixels[::-1]

    def other(self, node: int) -> int:
        """The node at its other side."""
        return self.end if self.start == node else self.start


@dataclass(slots=True)
class Graph:
    """Nodes are ends and junctions; a node is a number with a place."""

    places: dict[int, Pixel] = field(default_factory=dict)
    ways: list[Way] = field(default_factory=list)

    def at(self, node: int) -> list[Way]:
        """Ways that meet at a node; one that comes back to it is there once."""
        return [way for way in self.ways if node in (way.start, way.end)]

    def parts(self) -> list[list[int]]:
        """Nodes in groups that ways connect."""
        group = {node: node for node in self.places}

        def find(node: int) -> int:
            while group[node] != node:
                group[node] = group[group[node]]
                node = group[node]
            return node

        for way in self.ways:
            group[find(way.start)] = find(way.end)
        found: dict[int, list[int]] = {}
        for node in self.places:
            found.setdefault(find(node), []).append(node)
        return list(found.values())

    def smooth(self) -> None:
        """Join the two ways at a node where only two meet, and drop nodes where none does."""
        for node in list(self.places):
            meeting = self.at(node)
            if not meeting:
                del self.places[node]
            elif len(meeting) == 2 and all(way.start != way.end for way in meeting):
                a, b = meeting
                pixels = a.seen_from(node)[::-1] + b.seen_from(node)[1:]
                start, end = a.other(node), b.other(node)
                self.ways = [way for way in self.ways if way is not a and way is not b]
                self.ways.append(Way(start, end, pixels))
                del self.places[node]


def graph_of(thin: Pixels) -> Graph:
    """The graph of a thinned mask."""
    ys, xs = np.nonzero(thin)
    ink = set(zip(xs.tolist(), ys.tolist(), strict=True))

    def near(pixel: Pixel) -> list[Pixel]:
        x, y = pixel
        straight = [p for p in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)) if p in ink]
        slanted = []
        for dx, dy in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            # A corner that two straight steps make is one way, not three.
            if (x + dx, y + dy) in ink and (x + dx, y) not in ink and (x, y + dy) not in ink:
                slanted.append((x + dx, y + dy))
        return straight + slanted

    around = {pixel: near(pixel) for pixel in ink}
    graph = Graph()
    name: dict[Pixel, int] = {}
    for pixel, neighbours in around.items():
        if len(neighbours) >= 3 and pixel not in name:
            number = len(graph.places)
            graph.places[number] = pixel
            stack = [pixel]
            while stack:
                here = stack.pop()
                if here in name:
                    continue
                name[here] = number
                stack += [p for p in around[here] if len(around[p]) >= 3 and p not in name]
    for pixel, neighbours in around.items():
        if len(neighbours) == 1:
            name[pixel] = len(graph.places)
            graph.places[len(graph.places)] = pixel
    done: set[tuple[Pixel, Pixel]] = set()
    for pixel, number in name.items():
        for step in around[pixel]:
            if name.get(step) == number or (pixel, step) in done:
                continue
            pixels, before, here = [pixel], pixel, step
            while here not in name:
                pixels.append(here)
                onward = [p for p in around[here] if p != before]
                if not onward:
                    break
                before, here = here, onward[0]
            if here in name:
                pixels.append(here)
                done |= {(pixel, step), (here, before)}
                graph.ways.append(Way(number, name[here], pixels))
    return graph


def direction(pixels: list[Pixel]) -> float:
    """Angle in which a way leaves its first pixel."""
    far = pixels[min(len(pixels) - 1, TANGENT_PX)]
    return math.atan2(far[1] - pixels[0][1], far[0] - pixels[0][0])


def turn(a: float, b: float) -> float:
    """Smallest angle between two directions, 0 to π."""
    return abs((a - b + math.pi) % (2 * math.pi) - math.pi)
