"""Drawings: shapes that arrows join, and what stands among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.docparse.opencv.arrow import Arrow
from pipeline.docparse.opencv.geometry import area, gap, share_inside, union
from pipeline.docparse.words import Box

REACH_PX = 26.0
"""A loose arrow so near to a drawing belongs to it."""
LEVEL_REACH_PX = 90.0
"""A shape that no arrow reaches belongs to a drawing that it stands in, or so near beside or above."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One diagram."""

    box: Box
    nodes: tuple[int, ...]
    """Indices of the shapes that are its nodes."""
    arrows: tuple[Arrow, ...]
    zones: tuple[Box, ...]
    """Frames inside it that hold nodes."""

    @property
    def joined(self) -> int:
        """Arrows that join two shapes."""
        return sum(arrow.start is not None and arrow.end is not None for arrow in self.arrows)


def find_drawings(
    shapes: Sequence[Box], arrows: Sequence[Arrow], frames: Sequence[Box], lanes: Sequence[Box]
) -> list[Drawing]:
    """Groups of at least two shapes that arrows connect, with the frames around them; `lanes` are grids that nodes
    stand in."""
    first_arrow, first_frame = len(shapes), len(shapes) + len(arrows)
    outer = [*frames, *lanes]
    group = list(range(first_frame + len(outer)))

    def find(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    def join(a: int, b: int) -> None:
        group[find(a)] = find(b)

    reached = set()
    for number, arrow in enumerate(arrows):
        for index in (arrow.start, arrow.end):
            if index is not None:
                reached.add(index)
                join(first_arrow + number, index)
    for number, frame in enumerate(outer):
        for index in reached:
            if share_inside(shapes[index], frame) > 0.9:
                join(first_frame + number, index)
        for inner, other in enumerate(outer):
            if inner != number and share_inside(other, frame) > 0.9:
                join(first_frame + number, first_frame + inner)
    for number, arrow in enumerate(arrows):
        if arrow.start is None and arrow.end is None:
            near = [index for index in reached if gap(shapes[index], arrow.box) <= REACH_PX]
            if near:
                join(first_arrow + number, near[0])
    parts: dict[int, list[int]] = {}
    for index in range(len(group)):
        parts.setdefault(find(index), []).append(index)
    drawings = []
    for members in parts.values():
        drawn = [arrows[index - first_arrow] for index in members if first_arrow <= index < first_frame]
        around = [outer[index - first_frame] for index in members if index >= first_frame]
        nodes = [index for index in members if index < first_arrow and index in reached]
        # A line that only leads back to its own shape is that shape's outer ring, as stamps have one.
        if not nodes or all(arrow.start is not None and arrow.start == arrow.end for arrow in drawn):
            continue
        box = union([*(shapes[index] for index in nodes), *(arrow.box for arrow in drawn), *around])
        for index, shape in enumerate(shapes):
            if index not in reached and _level(shape, box, [shapes[node] for node in nodes]):
                nodes.append(index)
        if len(nodes) < 2:
            continue
        box = union([box, *(shapes[index] for index in nodes)])
        zones = [
            frame
            for frame in around
            if frame not in lanes and any(share_inside(shapes[index], frame) > 0.9 for index in nodes)
        ]
        drawings.append(Drawing(box, tuple(sorted(nodes)), tuple(drawn), tuple(zones)))
    return drawings


def _level(box: Box, drawing: Box, nodes: Sequence[Box]) -> bool:
    """Whether a shape that no arrow reaches stands in a drawing, or beside it with the size of its nodes."""
    if share_inside(box, drawing) > 0.7:
        return True
    alike = any(0.5 <= area(box) / area(node) <= 2.0 for node in nodes)
    height = min(box[3], drawing[3]) - max(box[1], drawing[1])
    return alike and gap(box, drawing) <= LEVEL_REACH_PX and height > 0.6 * (box[3] - box[1])
