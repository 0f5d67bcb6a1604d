"""Shapes that their own drawing parts or cuts into: cylinders with a lid, outlines that letters touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from pipeline.docparse.opencv.geometry import area, grown, union
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels
from pipeline.docparse.opencv.text import TextLine, held

LID_WIDTH = 0.7
"""A cylinder's lid is at least so wide, as a share of its body."""
LIDDED_SOLIDITY = 0.975
"""A lid's edge cuts a bay into the top of its body, which fills its hull no more than so much."""
BAYED_SOLIDITY = 0.5
"""A shape with larger bays is no outline that letters touch."""
WHOLE_SOLIDITY = 0.93
"""With its letters, it fills so much of its hull."""
PIECE_MOST = 0.3
"""Of the box of the shape that a piece is cut off from."""
ALIKE_COLOUR = 6
CUT_PX = 15
"""A line that cuts a shape leaves a gap no wider between its parts."""
PART_SHARE = 0.5
"""The larger part of a fill that letters cut in two covers so much of it."""
PART_EDGE_PX = 6.0
"""Its sides, but for the one that was cut, lie so near to the fill's."""
LETTER_REACH_PX = 5
"""From a letter to the outline that it touches."""


def with_lids(shapes: Sequence[Shape]) -> list[Shape]:
    """Shapes with the lid of a cylinder joined to its body: a flat shape right above, as wide as the body."""
    joined: list[Shape] = []
    used: set[int] = set()
    for body in shapes:
        lid = next((other for other in shapes if other is not body and _is_lid(other, body)), None)
        if lid is None:
            joined.append(body)
            continue
        used.add(id(lid))
        hull = cv2.convexHull(np.concatenate([body.contour, lid.contour]))
        inner = union([body.inner, lid.inner])
        joined.append(
            replace(body, box=union([body.box, lid.box]), inner=inner, contour=hull, solidity=0.97, fill=0.88)
        )
    return [shape for shape in joined if id(shape) not in used]


def pieces_of(shape: Shape, shapes: Sequence[Shape], boxes: Pixels) -> list[Shape]:
    """Corners of a shape that a line cuts off which is drawn over it: empty, of its colour, right beside it.

    `boxes` (n, 4) are those of `shapes`.
    """
    left, top, right, bottom = grown(shape.box, 3)
    within = (boxes[:, 0] >= left) & (boxes[:, 1] >= top) & (boxes[:, 2] <= right) & (boxes[:, 3] <= bottom)
    within &= (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) <= PIECE_MOST * area(shape.box)
    return [shapes[index] for index in np.flatnonzero(within).tolist() if _is_piece(shapes[index], shape)]


def _is_piece(piece: Shape, shape: Shape) -> bool:
    """Whether an area in a shape's box has its colour and lies beside it, not in it."""
    alike = max(abs(a - b) for a, b in zip(piece.colour, shape.colour, strict=True)) <= ALIKE_COLOUR
    if piece.source != shape.source or not alike:
        return False
    x, y = (piece.inner[0] + piece.inner[2]) / 2, (piece.inner[1] + piece.inner[3]) / 2
    away = -cv2.pointPolygonTest(shape.contour, (x, y), True)
    return 0 < away <= min(piece.width, piece.height)


def _is_lid(lid: Shape, body: Shape) -> bool:
    """Whether a flat round shape right above a body, in its middle and nearly as wide, is a cylinder's lid.

    Its thin ends may be lost in the outline. The body is round at its foot, or the lid cut a bay into its top.
    """
    left, right = lid.box[0] - body.box[0], body.box[2] - lid.box[2]
    return (
        body.source == lid.source
        and not lid.boxy
        and (not body.boxy or body.solidity < LIDDED_SOLIDITY)
        and lid.height < 0.7 * body.height
        and lid.width >= LID_WIDTH * body.width
        and min(left, right) >= -8
        and abs(left - right) <= 8
        and -0.6 * lid.height <= body.box[1] - lid.box[3] <= 8
        and lid.box[1] < body.box[1]
    )


def without_bays(shape: Shape, lines: Sequence[TextLine], pieces: Sequence[Shape] = ()) -> Shape:
    """The shape with the bays filled that letters near its outline cut off, and with `pieces` that a line cut off; as
    it is where they don't make it whole."""
    texts = held(lines, shape.box)
    if shape.source != "lined" or shape.solidity < BAYED_SOLIDITY or not texts:
        return shape
    left, top, right, bottom = (round(side) for side in union([shape.inner, *(piece.inner for piece in pieces)]))
    filled = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    for part in (shape, *pieces):
        cv2.drawContours(filled, [part.contour], -1, 1, -1, offset=(-left, -top))
    for line in texts:
        x0, y0, x1, y1 = (round(side) for side in grown(line.box, LETTER_REACH_PX))
        filled[max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) : max(0, x1 - left)] = 1
    if pieces:
        filled = cv2.morphologyEx(filled, cv2.MORPH_CLOSE, np.ones((CUT_PX, CUT_PX), np.uint8))
    contours, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
    contour = max(contours, key=cv2.contourArea)
    hull = cv2.convexHull(contour)
    solidity = float(cv2.contourArea(contour)) / max(1.0, float(cv2.contourArea(hull)))
    if solidity < WHOLE_SOLIDITY:
        return shape
    fill = float(cv2.contourArea(hull)) / max(1.0, float((right - left) * (bottom - top)))
    box = union([shape.box, *(piece.box for piece in pieces)])
    inner = (float(left), float(top), float(right), float(bottom))
    whole = replace(shape, contour=hull, solidity=solidity, fill=fill)
    return replace(whole, box=box, inner=inner) if pieces else whole


def is_part(shape: Shape, fill: Shape) -> bool:
    """Whether a lined shape is what letters that run from side to side cut off a fill: the fill is the shape then."""
    if shape.source != "lined" or not shape.filled or fill.source != "tinted" or shape.colour != fill.colour:
        return False
    at_edge = sum(abs(a - b) <= PART_EDGE_PX for a, b in zip(shape.box, fill.box, strict=True))
    return at_edge == 3 and area(shape.box) >= PART_SHARE * area(fill.box)
