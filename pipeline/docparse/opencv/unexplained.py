"""What is left of a page's ink once text, shapes and frames are taken out: arrows, and rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from pipeline.docparse.opencv.geometry import grown
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.words import Box

RING_PX = 4
"""What is taken away outside of an outline."""
OUTLINE_SHARE = 0.3
"""Of the ring at one distance, an outline inks at least so much; arrows that come to a shape ink less."""
OUTLINE_SLACK_PX = 2
REMNANT_REACH_PX = 6
REMNANT_MOST_PX = 40
"""What is left of an outline beyond its ring has no more ink, and reaches no further beyond the widest one."""
SHARP_COS = 0.17
"""Cosine of the widest sharp corner: 80°."""
SHARP_PX = 4
LEAST_HALF_SINE = 0.2
"""Sine of half an angle under which drawn corners are cut off: a mitre is no longer than five times its line."""
TRIMMED_PX = 22
"""Trimming leaves a side no longer in place of a dark shape's tip, and takes away no more than twice that."""
SHARP_FILL = 0.97
"""A box that fills less of its box has round corners, in which an arrow's head may lie; where outlines could not be
measured, so may what is left of them."""
LINE_PX = 8
"""How far inward of a frame's edge its line may reach, and outward: the edge of a round one is known less well."""
BEYOND_PX = 7
CROSSING_REACH_PX = 10
"""What crosses a line is looked for so far on both sides of it: a dashed arrow may have a gap there."""
CROSSING_WIDEST_PX = 40
CROSSING_LEAN = 2.2
"""A crossing arrow goes no more than so far aside for each pixel that it goes across."""
CROSSING_SEEN_PX = 5
CROSSING_SLACK_PX = 8.0
CROSSING_SLACK = 0.6
"""What was seen over so many rows goes on as it leans, but for so much, or for this share of the way across."""
CORNER_PX = 26
OUTLINE_COVER = 0.8
"""Share of each side of a box that a line must cover to be its outline."""


def ink_of(sheet: Sheet) -> Pixels:
    """uint8: everything dark, thin or not."""
    return (sheet.inked | sheet.solid).view(np.uint8)


def unexplained(ink: Pixels, texts: Sequence[Box], taken: Sequence[Box], shapes: Sequence[Shape]) -> Pixels:
    """Ink (uint8) outside of `texts`, `taken` and `shapes`."""
    mask = ink.copy()

    def blank(box: Box, by: float) -> None:
        left, top, right, bottom = (round(side) for side in grown(box, by))
        mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 0

    for box in texts:
        blank(box, 1.5)
    for box in taken:
        blank(box, RING_PX)
    for shape in shapes:
        ring = ring_of(shape)
        cv2.drawContours(mask, [shape.contour], -1, 0, -1)
        cv2.drawContours(mask, [shape.contour], -1, 0, 2 * ring)
        if shape.fill >= SHARP_FILL or (shape.ring is None and shape.boxy):
            blank(shape.box, 1.5)
        else:
            if shape.source == "dark":
                cv2.drawContours(mask, [_with_tips(shape)], -1, 0, -1)
            for (x, y), tip in _sharp_corners(shape, ring):
                cv2.circle(mask, (x, y), ring + SHARP_PX, 0, -1)
                cv2.drawContours(mask, [tip], -1, 0, -1)
                cv2.drawContours(mask, [tip], -1, 0, 5)
    for shape in shapes:
        if shape.ring is not None:
            _without_remnants(mask, shape, shape.ring)
    return mask


def _without_remnants(mask: Pixels, shape: Shape, ring: int) -> None:
    """Clear what lies wholly at an outline that was measured: its tips, where letters or corners hid them."""
    reach = _widest_ring(shape) + REMNANT_REACH_PX
    left, top, wide, tall = cv2.boundingRect(shape.contour)
    left, top = max(0, left - reach - 3), max(0, top - reach - 3)
    part = mask[top : top + tall + 2 * reach + 6, left : left + wide + 2 * reach + 6]
    count, names = cv2.connectedComponents(np.ascontiguousarray(part), connectivity=8)
    ys, xs = np.nonzero(part)
    if not len(ys):
        return
    outside = np.ones(part.shape, np.uint8)
    cv2.drawContours(outside, [shape.contour], -1, 0, -1, offset=(-left, -top))
    away = cv2.distanceTransform(outside, cv2.DIST_L2, 3)
    furthest, named = np.zeros(count), names[ys, xs]
    np.maximum.at(furthest, named, away[ys, xs])
    small = np.bincount(named, minlength=count) <= REMNANT_MOST_PX
    gone = (furthest <= ring + 2) | (small & (furthest <= reach))
    going = gone[named]
    part[ys[going], xs[going]] = 0


def _sharp_corners(shape: Shape, ring: int) -> list[tuple[tuple[int, int], Pixels]]:
    """Corners at which an outline's point reaches further out than its ring, as a diamond's does, each with the
    triangle (3, 2) in which the outer edges of a ring so wide meet."""
    corners = cv2.approxPolyDP(shape.contour, 4.0, True)[:, 0].astype(np.float64)
    if not 3 <= len(corners) <= 8:
        return []
    sides = [np.roll(corners, turn, axis=0) - corners for turn in (1, -1)]
    before, after = (side / np.maximum(1e-6, np.hypot(*side.T))[:, None] for side in sides)
    found = []
    for corner, one, other, cos in zip(corners, before, after, (before * after).sum(axis=1).tolist(), strict=True):
        if cos <= SHARP_COS:
            continue
        half_sine = max(LEAST_HALF_SINE, ((1 - cos) / 2) ** 0.5)
        outward = -(one + other) / max(1e-6, float(np.hypot(*(one + other))))
        tip = corner + outward * ring / half_sine
        foot = ring * np.array([-outward[1], outward[0]])
        x, y = (round(value) for value in corner.tolist())
        found.append(((x, y), np.round(np.array([tip, corner + foot, corner - foot])).astype(np.int32)))
    return found


def _with_tips(shape: Shape) -> Pixels:
    """The contour (n, 1, 2) of a dark shape with the tips that were trimmed off: where a short side lies between two
    long ones that would meet a little further on."""
    corners = cv2.approxPolyDP(cv2.convexHull(shape.contour), 4.0, True)[:, 0].astype(np.float64)
    count = len(corners)
    if not 4 <= count <= 12:
        return shape.contour
    lengths = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    tipped = []
    for index, corner in enumerate(corners):
        tipped.append(corner)
        before, onward, after = corners[index - 1], corners[(index + 1) % count], corners[(index + 2) % count]
        if lengths[index] > TRIMMED_PX or min(lengths[index - 1], lengths[(index + 1) % count]) < 2 * TRIMMED_PX:
            continue
        ways = np.stack([corner - before, after - onward], axis=1)
        if abs(np.linalg.det(ways)) < 1e-6:
            continue
        ahead, _ = np.linalg.solve(ways, onward - corner)
        tip = corner + ahead * (corner - before)
        if ahead > 0 and np.hypot(*(tip - (corner + onward) / 2)) <= 2 * TRIMMED_PX:
            tipped.append(tip)
    return np.round(np.array(tipped)).astype(np.int32)[:, None]


def without_outlines(mask: Pixels, boxes: Sequence[Box]) -> Pixels:
    """Ink (uint8) without the lines of frames; what crosses one goes on across the gap that the line leaves."""
    cleared = mask.copy()
    for left, top, right, bottom in boxes:
        # Upright sides are taken away as level ones of the page laid on its side.
        for page, low, high, sides in (
            (cleared, left, right, ((top, 1), (bottom, -1))),
            (cleared.T, top, bottom, ((left, 1), (right, -1))),
        ):
            for edge, inward in sides:
                _clear_side(page, round(low), round(high), round(edge), inward)
        for x, y in ((left, top), (right, top), (left, bottom), (right, bottom)):
            _clear_corner(cleared, round(x), round(y))
    return cleared


def _clear_side(page: Pixels, low: int, high: int, edge: int, inward: int) -> None:
    """Blank a level line whose outer edge is at the row `edge`, and bridge what comes to it from above and goes on."""
    height, width = page.shape
    first, last = sorted((edge - inward * BEYOND_PX, edge + inward * LINE_PX))
    low, high = max(0, low - BEYOND_PX), min(width, high + BEYOND_PX)
    page[max(0, first) : max(0, last), low:high] = 0
    if first < CROSSING_REACH_PX or last > height - CROSSING_REACH_PX:
        return
    above = page[first - CROSSING_REACH_PX : first, low:high][::-1]
    below = page[last : last + CROSSING_REACH_PX, low:high]
    starts, ends = _coming(above), _coming(below)
    for x, away, lean in starts:
        across = last - first + away
        aim = x + (lean or 0.0) * across
        nearest = min(ends, key=lambda end: abs(end[0] - aim), default=None)
        most = CROSSING_LEAN * (across + (nearest[1] if nearest else 0))
        if lean is not None:
            most = min(most, max(CROSSING_SLACK_PX, CROSSING_SLACK * across))
        if nearest is None or abs(nearest[0] - aim) > most:
            continue
        steps = last - first + away + nearest[1]
        for step in range(steps + 1):
            column = low + round(x + (nearest[0] - x) * step / steps)
            page[first - away - 1 + step, max(0, column - 1) : column + 2] = 1


def _coming(band: Pixels) -> list[tuple[int, int, float | None]]:
    """(column, rows away, lean) of the nearest ink of each narrow thing that comes to a line; `band` from the line.

    The lean is in columns for each row towards the line; None where too little is there to tell.
    """
    columns = np.flatnonzero(band.any(axis=0))
    if not len(columns):
        return []
    found = []
    for run in np.split(columns, np.flatnonzero(np.diff(columns) > 2) + 1):
        if len(run) <= CROSSING_WIDEST_PX:
            away = band[:, run].argmax(axis=0) + CROSSING_REACH_PX * ~band[:, run].any(axis=0)
            nearest = int(away.min())
            rows = np.flatnonzero(band[:, run].any(axis=1))
            low, high = (float(run[band[row, run] > 0].mean()) for row in (rows[0], rows[-1]))
            lean = (low - high) / (rows[-1] - rows[0]) if rows[-1] - rows[0] >= CROSSING_SEEN_PX else None
            found.append((int(np.median(run[away == nearest])), nearest, lean))
    return found


def _clear_corner(mask: Pixels, x: int, y: int) -> None:
    """Take away what lies wholly at a corner: the arc of a round one, in one piece or in dashes."""
    left, top = max(0, x - CORNER_PX), max(0, y - CORNER_PX)
    part = mask[top : y + CORNER_PX, left : x + CORNER_PX]
    if not part.any():
        return
    _, names = cv2.connectedComponents(np.ascontiguousarray(part), connectivity=8)
    leaving = np.unique(np.concatenate([names[0], names[-1], names[:, 0], names[:, -1]]))
    part[~np.isin(names, leaving)] = 0


def ring_of(shape: Shape) -> int:
    """How far beyond its inside a shape's outline reaches: as far as was measured, or may be."""
    return _widest_ring(shape) if shape.ring is None else shape.ring


def _widest_ring(shape: Shape) -> int:
    return RING_PX + 2 if shape.source == "dark" else RING_PX + 6


def with_ring(shape: Shape, ink: Pixels) -> Shape:
    """The shape with its outline measured on clean ink: what more were taken away, heads of arrows would lose."""
    most = _widest_ring(shape)
    left, top, wide, tall = cv2.boundingRect(shape.contour)
    left, top = max(0, left - most - 1), max(0, top - most - 1)
    part = ink[top : top + tall + 2 * most + 2, left : left + wide + 2 * most + 2]
    outside = np.ones(part.shape, np.uint8)
    cv2.drawContours(outside, [shape.contour], -1, 0, -1, offset=(-left, -top))
    away = np.ceil(cv2.distanceTransform(outside, cv2.DIST_L2, 3)).clip(0, most + 1).astype(np.uint8).ravel()
    count = np.bincount(away, minlength=most + 2)[1 : most + 1]
    inked = np.bincount(away, weights=part.ravel(), minlength=most + 2)[1 : most + 1]
    drawn = np.flatnonzero(inked > OUTLINE_SHARE * np.maximum(1, count))
    return replace(shape, ring=min(most, int(drawn[-1]) + 1 + OUTLINE_SLACK_PX if len(drawn) else RING_PX))


def drawn_all_round(sheet: Sheet, box: Box) -> bool:
    """Whether a dark line runs along all four sides; an area that arrows happen to close has no such outline."""
    near = RING_PX
    left, top, right, bottom = (round(side) for side in box)
    bands = (
        sheet.strokes[max(0, top - near) : top + near, left:right].any(axis=0),
        sheet.strokes[max(0, bottom - near) : bottom + near, left:right].any(axis=0),
        sheet.strokes[top:bottom, max(0, left - near) : left + near].any(axis=1),
        sheet.strokes[top:bottom, max(0, right - near) : right + near].any(axis=1),
    )
    return all(float(band.mean()) >= OUTLINE_COVER for band in bands if band.size)
