"""Letters by their shape: which ink may be letters, and which components of it are."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pipeline.docparse.opencv.geometry import grown
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels, Sheet

MIN_LETTER_PX = 6.5
MAX_LETTER_PX = 64.0
MAX_LETTER_ASPECT = 4.0
MIN_LETTER_INK = 0.12
MAX_RUN_ASPECT = 10.0
MAX_WORD_PX = 260
WORD_ASPECT = 1.9
LOW_LETTER = 0.4
"""Low letters reach over so much of the height of a word that has higher ones, and ones that reach below."""
OPEN_COLUMNS = 0.2
SWATCH_LEAST_PX = 12
SWATCH_MOST_PX = (50.0, 32.0)
SWATCH_ASPECT = 1.4
SOLID_FILL = 0.95
OUTLINE_AREA_PX = 1300
DISC_INK = 0.73
DISC_LEAST_PX = 15
DISC_OUT_OF_ROUND_PX = 3
"""A dot of a legend is full of ink, so large, and as wide as high."""
SOLID_EDGE_PX = 8
"""Ink of a solid shape reaches no further than the shape but for so much."""
DOT_PX = (22.0, 50.0)
DOT_SOLIDITY = 0.96
DOT_FILL = 0.95
RIM_PX = 4.0
RIM_INK = 0.25
"""Of a dot whose inside was looked at for light letters, no more is left."""
INSIDE_INK = 0.4
"""Of a dot that has an edge darker than its inside, so much seems light."""
BOLD_GAP = 0.35
"""Letters of a bold word stand no further apart than this share of their height; a swatch stands alone."""
DASH_REACH_PX = 8
DASHES_REACH_PX = 30
"""At an arrow's head is a dash so near, and two dashes within so much."""
LABELLED_REACH_PX = 150
"""Or three alike, where a label stands between them."""
DASH_ALIKE_PX = 3.0
HOLDER_PX = (32.0, 24.0)
"""Width and height from which a dark shape may hold light letters."""
MIDDLING = 90.0
"""A fill that is no darker than so, in grey levels under paper, may have dark letters."""
LETTER_BY = 50.0
LIGHT_SHARE = 0.3
"""Light letters stand out of their fill by so much of its distance from paper."""
HEADING_PX = 48.0
HOLDER_SOLIDITY = 0.9
"""A lower dark shape with more bays is letters of a bold heading."""


def letter_ink(sheet: Sheet, shapes: Sequence[Shape]) -> Pixels:
    """uint8: what may be letters: thin dark things outside of dark shapes, thin light ones inside."""
    ink = sheet.faint.astype(np.uint8)
    width, height = sheet.size
    for shape in shapes:
        if _is_dot(shape):
            # Its outline, and an arrow's head that touches it, would pass for a letter.
            left, top, right, bottom = (round(side) for side in grown(shape.box, RIM_PX))
            ink[max(0, top) : bottom, max(0, left) : right] = 0
        # A dark area that is not solid is paper between letters of a bold heading.
        if not shape.dark or shape.source == "tinted" or shape.height < HOLDER_PX[1] or shape.width < HOLDER_PX[0]:
            continue
        if shape.height < HEADING_PX and shape.solidity < HOLDER_SOLIDITY:
            # Letters of a bold heading that blur ran together.
            continue
        left, top, right, bottom = (round(side) for side in shape.box)
        left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
        within = np.zeros((bottom - top, right - left), np.uint8)
        cv2.drawContours(within, [shape.contour], -1, 1, -1, offset=(-left, -top))
        crop = sheet.grey[top:bottom, left:right]
        inner = cv2.erode(within, np.ones((5, 5), np.uint8))
        part = ink[top:bottom, left:right]
        fill = _grey_of(shape)
        if sheet.paper_grey - fill < MIDDLING and _has_dark_letters(crop[inner > 0], fill):
            part[(within > 0) & (inner == 0)] = 0
            continue
        # Rings around letters of a scan are lighter than the fill as well, but far from as light as paper.
        least = max(sheet.contrast, LIGHT_SHARE * (sheet.paper_grey - fill))
        light = cv2.morphologyEx(crop, cv2.MORPH_TOPHAT, np.ones((17, 17), np.uint8)) > least
        part[within > 0] = 0
        part[light & (inner > 0)] = 1
    return ink


def _is_dot(shape: Shape) -> bool:
    """Whether it is a solid disc of the size of a node without text."""
    round_enough = abs(shape.width - shape.height) <= DISC_OUT_OF_ROUND_PX and shape.solidity > DOT_SOLIDITY
    return shape.source == "dark" and round_enough and DOT_PX[0] <= shape.width <= DOT_PX[1] and shape.fill < DOT_FILL


def _grey_of(shape: Shape) -> float:
    blue, green, red = shape.colour
    return 0.114 * blue + 0.587 * green + 0.299 * red


def _has_dark_letters(grey: Pixels, fill: float) -> bool:
    """Whether more of a fill's pixels are much darker than it than are much lighter."""
    return bool(np.count_nonzero(grey < fill - LETTER_BY) > np.count_nonzero(grey > fill + 0.6 * LETTER_BY))


def letters_of(labels: Pixels, stats: Pixels) -> tuple[Pixels, Pixels]:
    """(boxes (n, 4), share of each that is ink) of components that may be letters or words run together."""
    stats = stats[1:]
    x, y, w, h, count = (stats[:, column].astype(np.float64) for column in range(5))
    kept = (h >= MIN_LETTER_PX) & (h <= MAX_LETTER_PX) & (w > 1) & (w <= MAX_WORD_PX)
    density = count / np.maximum(1, w * h)
    kept &= (w <= MAX_RUN_ASPECT * h) & (h <= 2 * MAX_LETTER_ASPECT * w)
    kept &= density >= MIN_LETTER_INK
    # A dash of a line, level or upright: full of ink, and too low for a letter.
    bar = (
        (density > 0.72)
        & (np.minimum(w, h) < 8.5)
        & (np.maximum(w, h) < 26)
        & (np.maximum(w, h) > 1.15 * np.minimum(w, h))
    )
    kept &= ~(bar & (h < 13.0))
    # Low letters that run together are nearly as full of ink, but for what their bows leave out.
    kept &= ~((density > np.where(h < 7.0, 0.7, 0.8)) & (h < 9.0) & (w > 2.2 * h))
    for index in np.flatnonzero(kept & (w > WORD_ASPECT * h)):
        left, top, wide, tall = (int(value) for value in stats[index, :4])
        kept[index] = _upright_all_along(labels[top : top + tall, left : left + wide] == index + 1)
    boxes: Pixels = np.stack([x, y, x + w, y + h], axis=1)
    kept[kept] = ~_after_dashes(boxes[kept], boxes[(density > 0.72) & (h < 8.5) & (w > 1.15 * h) & (w < 26)])
    return boxes[kept], density[kept]


def _after_dashes(letters: Pixels, dashes: Pixels) -> Pixels:
    """Which of letters (n, 4) stand at the end of two dashes or more of a line, as the head of an arrow does."""
    if not len(dashes):
        return np.zeros(len(letters), bool)
    middle = (letters[:, 1] + letters[:, 3])[:, None] / 2
    level = np.abs((dashes[:, 1] + dashes[:, 3])[None, :] / 2 - middle) <= 1.5
    before, after = letters[:, :1] - dashes[None, :, 2], dashes[None, :, 0] - letters[:, 2:3]
    long = dashes[:, 2] - dashes[:, 0]
    found: Pixels = np.zeros(len(letters), bool)
    for away in (before, after):
        on_line = level & (away >= -2)
        next_one = on_line & (away <= DASH_REACH_PX)
        first = next_one.argmax(axis=1)
        alike = on_line & (away <= LABELLED_REACH_PX) & (np.abs(long[None, :] - long[first, None]) <= DASH_ALIKE_PX)
        many = ((on_line & (away <= DASHES_REACH_PX)).sum(axis=1) >= 2) | (alike.sum(axis=1) >= 3)
        found |= next_one.any(axis=1) & many
    return found


def _upright_all_along(word: Pixels) -> bool:
    """Whether ink reaches over much of the height in many columns, as in a word; an arrow is a line with a head."""
    tall = word.shape[0]
    reach = tall - word.argmax(axis=0) - word[::-1].argmax(axis=0)
    seen = word.any(axis=0)
    if (reach[seen] >= 0.5 * tall).mean() >= 0.4:
        return True
    # Low letters reach less far in a word that has high ones; but unlike a thick line, they have openings.
    open_there = np.count_nonzero(word, axis=0)[seen] < reach[seen]
    return bool((reach[seen] >= LOW_LETTER * tall).mean() >= 0.4 and open_there.mean() >= OPEN_COLUMNS)


def without_outlines(letters: Pixels, densities: Pixels, shapes: Sequence[Shape]) -> Pixels:
    """Which letters (n, 4) are no outline of a closed shape, nor a filled one: a swatch, a small node."""
    kept = np.ones(len(letters), bool)
    tall, wide = letters[:, 3] - letters[:, 1], letters[:, 2] - letters[:, 0]
    # A dark area that is not solid is what lies between letters.
    shapes = [shape for shape in shapes if not (shape.dark and shape.source == "tinted")]
    for shape in shapes:
        size = shape.width * shape.height
        swatch = shape.height >= SWATCH_LEAST_PX and shape.width >= SWATCH_ASPECT * shape.height
        if shape.height > MAX_LETTER_PX or not (swatch or size > OUTLINE_AREA_PX):
            continue
        left, top, right, bottom = shape.box
        around = (
            (letters[:, 0] <= left + 8)
            & (letters[:, 1] <= top + 8)
            & (letters[:, 2] >= right - 8)
            & (letters[:, 3] >= bottom - 8)
        )
        if shape.source == "dark":
            # Ink that reaches further on than a swatch does is a word, of which some letters are solid.
            around &= np.abs(letters - np.array(shape.box)).max(axis=1) <= SOLID_EDGE_PX
        kept &= ~(around & (size >= 0.45 * tall * wide) & (tall >= SWATCH_LEAST_PX))
    for shape in shapes:
        left, top, right, bottom = shape.box
        if not (
            SWATCH_LEAST_PX <= shape.height <= SWATCH_MOST_PX[1] and SWATCH_LEAST_PX <= shape.width <= SWATCH_MOST_PX[0]
        ):
            continue
        if shape.source == "dark":
            edges = np.abs(letters - np.array([left, top, right, bottom])).max(axis=1)
            # Full, or, where its inside was looked at for light letters, its rim alone.
            kept &= ~((edges <= 5) & ((densities >= 0.7) | (densities <= RIM_INK)) & (wide >= 0.7 * tall))
            if abs(shape.width - shape.height) <= DISC_OUT_OF_ROUND_PX and shape.solidity > HOLDER_SOLIDITY:
                # The inside of a dot whose edge is darker.
                kept &= ~((edges <= 8) & (densities >= INSIDE_INK))
        elif shape.source == "lined" and shape.boxy and shape.width >= 1.3 * shape.height and shape.width >= 22:
            shared_x = np.minimum(letters[:, 2], right) - np.maximum(letters[:, 0], left)
            shared_y = np.minimum(letters[:, 3], bottom) - np.maximum(letters[:, 1], top)
            kept &= ~(shared_x.clip(0) * shared_y.clip(0) >= 0.5 * tall * wide)
    # A swatch or a dot: as wide as high, and full.
    disc = (densities >= DISC_INK) & (np.minimum(wide, tall) >= DISC_LEAST_PX)
    kept &= ~(disc & (np.abs(wide - tall) <= DISC_OUT_OF_ROUND_PX))
    for index in np.flatnonzero(~kept & (tall <= SWATCH_MOST_PX[1])):
        others = np.delete(letters, index, axis=0)
        kept[index] = _has_neighbour(others, letters[index])
    for shape in shapes:
        if not (shape.source == "dark" and shape.fill >= SOLID_FILL and SWATCH_LEAST_PX <= shape.height < HOLDER_PX[1]):
            continue
        if SWATCH_ASPECT * shape.height <= shape.width <= SWATCH_MOST_PX[0]:
            # Too low for light letters: what of it is left, torn or emptied by noise, is none.
            left, top, right, bottom = shape.box
            pieces = ((letters[:, :2] >= (left, top)) & (letters[:, 2:] <= (right, bottom))).all(axis=1)
            if pieces.any() and not _has_neighbour(letters[~pieces], shape.box):
                kept &= ~pieces
    return kept


def _has_neighbour(letters: Pixels, box: Sequence[float]) -> bool:
    """Whether one of letters stands as near beside a box as letters of a bold word do, of which it is one."""
    left, top, right, bottom = box
    away = np.maximum(letters[:, 0] - right, left - letters[:, 2])
    level = np.minimum(letters[:, 3], bottom) - np.maximum(letters[:, 1], top) >= 0.6 * (bottom - top)
    return bool((level & (away <= BOLD_GAP * (bottom - top)) & (away > -0.5 * (right - left))).any())
