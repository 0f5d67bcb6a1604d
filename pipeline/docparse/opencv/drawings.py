"""Drawings: shapes and arrows that stand together and make a diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.docparse.opencv.arrows import Arrow
from pipeline.docparse.opencv.geometry import area, centre, clusters, share_inside, union
from pipeline.docparse.words import Box

REACH_PX = 70.0
"""Nodes and arrows no further apart than this are one diagram."""


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
    shapes: Sequence[Box], arrows: Sequence[Arrow], frames: Sequence[Box], lanes: Sequence[Box], scale: float
) -> list[Drawing]:
    """Clusters with an arrow and two shapes or more that belong to it; `lanes` are grids that nodes stand in."""
    boxes = [*shapes, *(arrow.box for arrow in arrows), *frames, *lanes]
    first_arrow, first_frame = len(shapes), len(shapes) + len(arrows)
    reached = {index for arrow in arrows for index in (arrow.start, arrow.end) if index is not None}
    drawings = []
    for members in clusters(boxes, REACH_PX * scale):
        drawn = [arrows[index - first_arrow] for index in members if first_arrow <= index < first_frame]
        outer = [boxes[index] for index in members if index >= first_frame]
        if not drawn:
            continue
        candidates = [index for index in members if index < first_arrow]
        core = union([*(arrow.box for arrow in drawn), *outer, *(shapes[i] for i in candidates if i in reached)])
        nodes = [index for index in candidates if index in reached or _level(shapes[index], core)]
        if len(nodes) < 2:
            continue
        box = union([*(shapes[index] for index in nodes), *(arrow.box for arrow in drawn), *outer])
        zones = [
            frame
            for frame in outer
            if frame not in lanes
            and area(frame) < 0.9 * area(box)
            and any(share_inside(shapes[index], frame) > 0.9 for index in nodes)
        ]
        drawings.append(Drawing(box, tuple(nodes), tuple(drawn), tuple(zones)))
    return drawings


def _level(box: Box, drawing: Box) -> bool:
    """Whether a shape that no arrow reaches stands level with the drawing: beside or above what arrows do reach."""
    x, y = centre(box)
    return drawing[0] <= x <= drawing[2] or drawing[1] <= y <= drawing[3]
