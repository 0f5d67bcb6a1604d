"""Arrows: thin strokes that end in a head, traced between the shapes that they join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.docparse.opencv.geometry import distance, gap, grown, union
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.words import Box

JOIN_PX = 9
"""Strokes no further apart than this are one: dashes, and what a crossing frame cut."""
CONTACT_PX = 13.0
"""A stroke that comes so close to a shape ends at it."""
END_POINTS = 15
HEAD_RADIUS_PX = 12.0
HEAD_RATIO = 1.45
"""An end with so much more ink than the bare line would have there carries a head."""
MIN_LENGTH_PX = 20.0
MIN_LOOSE_LENGTH_PX = 60.0
MIN_PIECE_PX = 7.0
"""What a label leaves of an arrow on either side may be so short."""
MAX_DENSITY = 0.55
"""A stroke as long as this share of its box's half perimeter times its width would fill more: a blot, not a line."""
LABEL_REACH_PX = 9.0


@dataclass(frozen=True, slots=True)
class Arrow:
    """One arrow; `start` and `end` are indices of the shapes that it joins."""

    box: Box
    start: int | None
    end: int | None
    both_ways: bool
    headed: float
    """Ink at its head over ink at a bare end; 1 means that no head was seen."""


@dataclass(frozen=True, slots=True)
class _Stroke:
    points: Pixels
    """float (n, 2): x, y of its pixels."""
    width: float

    @property
    def box(self) -> Box:
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]) + 1, float(high[1]) + 1

    @property
    def reach(self) -> float:
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)


def find_arrows(strokes: Pixels, shapes: Sequence[Shape], lines: Sequence[TextLine], sheet: Sheet) -> list[Arrow]:
    """Arrows among `strokes`, from which text, shapes and frames were taken out; a label may interrupt an arrow."""
    scale = sheet.scale
    found = [stroke for stroke in _strokes(strokes, scale) if _slender(stroke, scale)]
    contacts = [_contacts(stroke, shapes, scale) for stroke in found]
    merged = _across_labels(found, contacts, lines, scale)
    arrows: list[Arrow] = []
    for stroke, touching in merged:
        if stroke.reach < MIN_LENGTH_PX * scale:
            continue
        arrows += _arrows(stroke, touching, shapes, scale)
    return arrows


def _strokes(mask: Pixels, scale: float) -> list[_Stroke]:
    joint = max(3, round(JOIN_PX * scale)) | 1
    binary = mask.astype(np.uint8)
    joined = cv2.dilate(binary, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (joint, joint)))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    thickness = cv2.distanceTransform(binary, cv2.DIST_L2, 3)
    strokes = []
    least = MIN_PIECE_PX * scale
    for index in range(1, len(stats)):
        x, y, w, h, _ = (int(v) for v in stats[index])
        if max(w, h) - joint < least:
            continue
        here = (labels[y : y + h, x : x + w] == index) & mask[y : y + h, x : x + w]
        ys, xs = np.nonzero(here)
        if not len(xs):
            continue
        # Across an even line the distance to its edge averages a quarter of its width.
        width = 4 * float(np.median(thickness[y : y + h, x : x + w][here])) * 0.75
        strokes.append(_Stroke(np.stack([xs + x, ys + y], axis=1).astype(np.float32), max(1.5, width)))
    return strokes


def _slender(stroke: _Stroke, scale: float) -> bool:
    """Whether it is a line: long, with no more ink than a line of its box's extent has."""
    left, top, right, bottom = stroke.box
    length = max(right - left, bottom - top)
    path = (right - left) + (bottom - top)
    ink = len(stroke.points)
    return (
        length >= MIN_PIECE_PX * scale
        and ink <= path * stroke.width * 1.9 + 160 * scale**2
        and stroke.width < 9 * scale
    )


def _contacts(stroke: _Stroke, shapes: Sequence[Shape], scale: float) -> dict[int, Pixels]:
    """Shape index → the stroke's point nearest to it, for the shapes that it reaches."""
    reach = CONTACT_PX * scale
    found: dict[int, Pixels] = {}
    for index, shape in enumerate(shapes):
        if gap(shape.box, stroke.box) > reach:
            continue
        away = _distances(stroke.points, shape)
        nearest = int(away.argmin())
        if away[nearest] <= reach:
            # The median of several, so that a speck of the shape's own outline is not taken for the stroke's end.
            closest = np.argsort(away, kind="stable")[:END_POINTS]
            found[index] = np.median(stroke.points[closest], axis=0)
    return found


def _distances(points: Pixels, shape: Shape) -> Pixels:
    """Distance in pixels of points (n, 2) to a shape's outline from outside; near enough for ellipse and diamond."""
    dx = np.abs(points[:, 0] - (shape.box[0] + shape.box[2]) / 2)
    dy = np.abs(points[:, 1] - (shape.box[1] + shape.box[3]) / 2)
    half_width, half_height = shape.width / 2, shape.height / 2
    away: Pixels
    if shape.form == "ellipse":
        radius = np.hypot(dx / half_width, dy / half_height)
        away = (radius - 1) * np.hypot(dx, dy) / np.maximum(radius, 1e-6)
    elif shape.form == "diamond":
        away = (dx / half_width + dy / half_height - 1) * half_width * half_height / np.hypot(half_width, half_height)
    else:
        away = np.hypot(np.maximum(dx - half_width, 0), np.maximum(dy - half_height, 0))
    return np.maximum(away, 0)


def _across_labels(
    strokes: Sequence[_Stroke], contacts: Sequence[dict[int, Pixels]], lines: Sequence[TextLine], scale: float
) -> list[tuple[_Stroke, dict[int, Pixels]]]:
    """Put together the pieces of an arrow that a label interrupts: both end at the label, each at one shape at most."""
    group = list(range(len(strokes)))
    for block in _label_boxes(lines, scale):
        near = [
            index
            for index, stroke in enumerate(strokes)
            if len(contacts[index]) <= 1
            and gap(block, stroke.box) <= LABEL_REACH_PX * scale
            and _ends_at(stroke, block, scale)
        ]
        if len(near) == 2 and not (contacts[near[0]].keys() & contacts[near[1]].keys()):
            old, new = group[near[1]], group[near[0]]
            group = [new if value == old else value for value in group]
    merged = []
    for root in dict.fromkeys(group):
        members = [index for index, value in enumerate(group) if value == root]
        points = np.concatenate([strokes[index].points for index in members])
        touching: dict[int, Pixels] = {}
        for index in members:
            touching |= contacts[index]
        merged.append((_Stroke(points, min(strokes[index].width for index in members)), touching))
    return merged


def _label_boxes(lines: Sequence[TextLine], scale: float) -> list[Box]:
    """Short texts, with lines right under one another taken together."""
    boxes: list[Box] = []
    for line in sorted(lines, key=lambda line: line.box[1]):
        if line.box[2] - line.box[0] > 200 * scale:
            continue
        for index, box in enumerate(boxes):
            if gap(box, line.box) <= 6 * scale and abs((box[0] + box[2]) - (line.box[0] + line.box[2])) <= 30 * scale:
                boxes[index] = union([box, line.box])
                break
        else:
            boxes.append(line.box)
    return boxes


def _ends_at(stroke: _Stroke, box: Box, scale: float) -> bool:
    near = grown(box, LABEL_REACH_PX * scale)
    x, y = stroke.points[:, 0], stroke.points[:, 1]
    return bool(((x >= near[0]) & (x <= near[2]) & (y >= near[1]) & (y <= near[3])).any())


def _arrows(stroke: _Stroke, contacts: dict[int, Pixels], shapes: Sequence[Shape], scale: float) -> list[Arrow]:
    heads = {index: _head(stroke, point, scale) for index, point in contacts.items()}
    if len(contacts) >= 2:
        return _between(stroke, heads)
    ends = _far_ends(stroke, contacts)
    loose = [_head(stroke, point, scale) for point in ends]
    left, top, right, bottom = stroke.box
    straight = min(right - left, bottom - top) <= 22 * scale
    if len(contacts) == 1:
        (index, at_shape), away = next(iter(heads.items())), max(loose)
        leaves = distance((float(ends[0][0]), float(ends[0][1])), shapes[index].box) >= 0.5 * stroke.reach
        if not leaves or max(at_shape, away) < HEAD_RATIO or stroke.reach < MIN_LENGTH_PX * 1.5 * scale:
            return []
        towards = at_shape >= away
        return [Arrow(stroke.box, None if towards else index, index if towards else None, False, max(at_shape, away))]
    if straight and stroke.reach >= MIN_LOOSE_LENGTH_PX * scale and max(loose) >= HEAD_RATIO:
        return [Arrow(stroke.box, None, None, min(loose) >= HEAD_RATIO, max(loose))]
    return []


def _between(stroke: _Stroke, heads: dict[int, float]) -> list[Arrow]:
    """Arrows of a stroke that reaches several shapes: from every bare end to every head."""
    ranked = sorted(heads, key=lambda index: heads[index])
    if len(ranked) == 2:
        tail, head = ranked
        if heads[head] < 1.15:
            return [Arrow(stroke.box, None, None, False, 1.0)]
        both = heads[tail] >= HEAD_RATIO and heads[tail] > 0.75 * heads[head]
        return [Arrow(stroke.box, tail, head, both, heads[head])]
    pointed = [index for index in ranked if heads[index] >= HEAD_RATIO]
    bare = [index for index in ranked if heads[index] < HEAD_RATIO]
    if len(pointed) >= 1 and len(bare) == 1:
        return [Arrow(stroke.box, bare[0], index, False, heads[index]) for index in pointed]
    if len(pointed) == 1 and bare:
        return [Arrow(stroke.box, index, pointed[0], False, heads[pointed[0]]) for index in bare]
    return [Arrow(stroke.box, None, None, False, 1.0)]


def _head(stroke: _Stroke, end: Pixels, scale: float) -> float:
    """Ink around an end over what the bare line would leave there."""
    radius = HEAD_RADIUS_PX * scale
    near = np.hypot(*(stroke.points - end).T) <= radius
    return float(near.sum()) / (radius * stroke.width)


def _far_ends(stroke: _Stroke, contacts: dict[int, Pixels]) -> list[Pixels]:
    """The ends of a stroke: the point farthest from where it touches a shape, or the two farthest from its middle."""
    points = stroke.points
    origin = next(iter(contacts.values())) if contacts else points.mean(axis=0)
    first = points[np.hypot(*(points - origin).T).argmax()]
    if contacts:
        return [first]
    return [first, points[np.hypot(*(points - first).T).argmax()]]
