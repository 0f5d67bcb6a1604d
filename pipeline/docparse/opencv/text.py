"""Lines of text and the blocks that they form; from the text layer where there is one, else from letters' shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np

from pipeline.docparse.lines import BULLETS
from pipeline.docparse.opencv.geometry import grown, share_inside, shared_span, union
from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.words import Box, PageText

MIN_LETTER_PX = 5
MAX_LETTER_PX = 90
MAX_LETTER_ASPECT = 4.0
TALL_ASPECT = 2.6
"""What is higher than so many times its width and than its neighbours is a line or an arrow, no letter."""
MIN_LETTER_INK = 0.12
MAX_RUN_ASPECT = 10.0
MIN_RUN_INK = 0.45
"""Letters that a scan ran together are wider, and denser than an arrow."""
LETTER_GAP = 0.55
"""Letters further apart than this share of their height are in different words."""
SPACE = 1.7
"""Words further apart than so many letter heights are in different columns; a full stop is too small to be seen."""
MARK_SPACE = 0.8
WORD_GAP = 2.2
"""Words of one line further apart than so many letter heights are told apart: columns, cells."""

BULLET_PX = (3.0, 10.0)
BULLET_REACH = 1.8
"""A bullet stands no further in front of its line than so many letter heights."""

_NUMBERING = re.compile(r"\d{1,2}[.)]?")


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line of text."""

    box: Box
    letters: int
    """How many letters were seen, or stand in the text layer."""
    height: float
    """Of its letters in pixels; of text that stands on its side, the extent across."""
    middle: float
    """y of its middle, with the page's tilt taken out."""
    marked: bool = False
    """It begins with a bullet or a number."""


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Lines that belong together: a paragraph, a heading, a list."""

    box: Box
    lines: tuple[TextLine, ...]


def find_lines(sheet: Sheet, text: PageText, boxes: Sequence[Box]) -> list[TextLine]:
    """The page's lines of text from the top; `boxes` are closed boxes, whose outlines are no letters."""
    lines = _lines_of_layer(text) if text.words else _lines_of_pixels(sheet, boxes)
    lines = [_with_bullet(line, dots) for dots in [_dots(sheet)] for line in lines]
    return _with_markers(sorted(lines, key=lambda line: (line.middle, line.box[0])))


def _dots(sheet: Sheet) -> Pixels:
    """Boxes (n, 4) of small round spots, as bullets are that a document draws instead of writing them."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(sheet.strokes.astype(np.uint8), connectivity=8)
    x, y, w, h, ink = (stats[1:, column].astype(np.float64) for column in range(5))
    low, high = BULLET_PX[0] * sheet.scale, BULLET_PX[1] * sheet.scale
    kept = (np.minimum(w, h) >= low) & (np.maximum(w, h) <= high) & (np.abs(w - h) <= 2) & (ink >= 0.6 * w * h)
    dots: Pixels = np.stack([x, y, x + w, y + h], axis=1)[kept]
    return dots


def _with_bullet(line: TextLine, dots: Pixels) -> TextLine:
    """The line, marked and widened when a bullet stands right in front of it."""
    left, top, right, bottom = line.box
    if bottom - top > right - left:
        return line
    x, y = (dots[:, 0] + dots[:, 2]) / 2, (dots[:, 1] + dots[:, 3]) / 2
    before = (x < left - 0.15 * line.height) & (x > left - BULLET_REACH * line.height)
    at = before & (np.abs(y - (top + bottom) / 2) < 0.35 * line.height)
    if not at.any():
        return line
    return replace(line, box=(float(dots[at, 0].min()), top, right, bottom), marked=True)


def _lines_of_layer(text: PageText) -> list[TextLine]:
    groups: dict[tuple[int, int], list[int]] = {}
    for index, word in enumerate(text.words):
        groups.setdefault((word.block, word.line), []).append(index)
    lines = []
    for indices in groups.values():
        run: list[int] = []
        for index in indices:
            if run and _far(text.words[run[-1]].box, text.words[index].box):
                lines.append(_line(text, run))
                run = []
            run.append(index)
        lines.append(_line(text, run))
    return lines


def _far(left: Box, right: Box) -> bool:
    height = min(left[3] - left[1], right[3] - right[1])
    upright = (left[3] - left[1]) > 2 * (left[2] - left[0])
    return not upright and right[0] - left[2] > WORD_GAP * height


def _line(text: PageText, run: Sequence[int]) -> TextLine:
    words = [text.words[index] for index in run]
    box = union([word.box for word in words])
    letters = sum(len(word.text) for word in words)
    tall, wide = box[3] - box[1], box[2] - box[0]
    if tall > 2 * wide and letters > 2:
        height = wide
    else:
        height = float(np.median([word.box[3] - word.box[1] for word in words]))
    first = words[0].text
    marked = first in BULLETS or (len(words) > 1 and _NUMBERING.fullmatch(first) is not None)
    return TextLine(box, letters, height, (box[1] + box[3]) / 2, marked)


def _lines_of_pixels(sheet: Sheet, boxes: Sequence[Box]) -> list[TextLine]:
    letters = [*_letters(sheet.strokes, sheet), *_letters(sheet.bright_strokes, sheet)]
    small = [box for box in boxes if box[3] - box[1] < MAX_LETTER_PX * sheet.scale / 2]
    letters = [letter for letter in letters if not any(share_inside(letter, box) > 0.6 for box in small)]
    if not letters:
        return []
    typical = float(np.median([box[3] - box[1] for box in letters]))
    letters = [
        box
        for box in letters
        if not (box[3] - box[1] > TALL_ASPECT * (box[2] - box[0]) and box[3] - box[1] > 1.6 * typical)
    ]
    width, height = sheet.size
    mask = np.zeros((height, width), np.uint8)
    for box in letters:
        reach = LETTER_GAP * min(box[3] - box[1], 2.5 * typical) / 2
        left, top, right, bottom = (round(v) for v in (box[0] - reach, box[1], box[2] + reach, box[3]))
        # Only the middle of a letter, so that tails of one line do not touch the next on a tilted page.
        core = (bottom - top) // 4
        cv2.rectangle(mask, (left, top + core), (right, bottom - core - 1), 255, -1)
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    members: dict[int, list[Box]] = {}
    for box in letters:
        x, y = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
        members.setdefault(int(labels[min(y, height - 1), min(x, width - 1)]), []).append(box)
    members.pop(0, None)
    lines = [found for found in _joined(list(members.values())) if _reads(found)]
    slope = _slope(lines)
    return [_line_of_letters(found, slope) for found in lines]


def _joined(words: Sequence[list[Box]]) -> list[list[Box]]:
    """Words put together to lines: each level with the one before, of one size, a space apart."""
    row = sorted(((_line_of_letters(word, 0.0), word) for word in words), key=lambda pair: pair[0].box[0])
    lines: list[tuple[TextLine, list[Box]]] = []
    for word, letters in row:
        for index, (before, earlier) in enumerate(lines):
            height = min(before.height, word.height)
            # A single mark a little off is as likely an arrow's head as a word of one letter.
            space = (SPACE if min(before.letters, word.letters) > 1 else MARK_SPACE) * height
            if (
                -height <= word.box[0] - before.box[2] <= space
                and abs(word.middle - before.middle) <= 0.45 * height
                and max(before.height, word.height) <= 2 * height
            ):
                lines[index] = (word, [*earlier, *letters])
                break
        else:
            lines.append((word, letters))
    return [letters for _, letters in lines]


def _reads(letters: Sequence[Box]) -> bool:
    """Whether components look like writing: several side by side, and not mostly dashes. One alone may be anything."""
    dashes = sum((box[2] - box[0]) > 2.4 * (box[3] - box[1]) for box in letters)
    box = union(letters)
    return len(letters) > 1 and dashes < len(letters) / 2 and box[2] - box[0] >= 0.8 * (box[3] - box[1])


def _slope(lines: Sequence[Sequence[Box]]) -> float:
    """Tilt of the page, from the long lines of text: dy/dx."""
    slopes = []
    for letters in lines:
        if len(letters) >= 12:
            x = np.array([(box[0] + box[2]) / 2 for box in letters])
            y = np.array([box[3] for box in letters])
            slopes.append(float(np.polyfit(x, y, 1)[0]))
    return float(np.median(slopes)) if slopes else 0.0


def _line_of_letters(letters: Sequence[Box], slope: float) -> TextLine:
    box = union(letters)
    height = float(np.quantile([letter[3] - letter[1] for letter in letters], 0.75))
    middle = float(np.median([(b[1] + b[3]) / 2 - slope * (b[0] + b[2]) / 2 for b in letters]))
    return TextLine(box, len(letters), height, middle)


def _letters(mask: Pixels, sheet: Sheet) -> list[Box]:
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    least, most = MIN_LETTER_PX * sheet.scale, MAX_LETTER_PX * sheet.scale
    x, y, w, h, ink = (stats[1:, column].astype(np.float64) for column in range(5))
    kept = (h >= least) & (h <= most) & (w > 1) & (w <= most)
    run_together = (w <= MAX_RUN_ASPECT * h) & (ink >= MIN_RUN_INK * w * h)
    kept &= ((w <= MAX_LETTER_ASPECT * h) | run_together) & (h <= 2 * MAX_LETTER_ASPECT * w)
    kept &= ink >= MIN_LETTER_INK * w * h
    return [
        (float(left), float(top), float(left + wide), float(top + tall))
        for left, top, wide, tall in zip(x[kept], y[kept], w[kept], h[kept], strict=True)
    ]


def _with_markers(lines: Sequence[TextLine]) -> list[TextLine]:
    """Join a bullet or number that stands on its own with the line to its right."""
    joined: list[TextLine] = []
    used: set[int] = set()
    for index, line in enumerate(lines):
        if line.letters > 3:
            continue
        beside = [
            other
            for other, candidate in enumerate(lines)
            if other != index and candidate.letters > 3 and _same_row(line, candidate)
        ]
        if beside:
            nearest = min(beside, key=lambda other: lines[other].box[0])
            if nearest not in used:
                used |= {index, nearest}
                text = lines[nearest]
                letters = line.letters + text.letters
                joined.append(replace(text, box=union([line.box, text.box]), letters=letters, marked=True))
    rest = [line for index, line in enumerate(lines) if index not in used]
    return sorted([*rest, *joined], key=lambda line: (line.middle, line.box[0]))


def _same_row(marker: TextLine, line: TextLine) -> bool:
    return shared_span(marker.box[1], marker.box[3], line.box[1], line.box[3]) > 0.6 and 0 <= line.box[0] - marker.box[
        2
    ] <= 2.5 * max(marker.height, line.height)


SIZE_RATIO = 1.22
"""Lines of one block have letters of about one size; letters seen in pixels differ by what the words are."""
SIZE_RATIO_PIXELS = 1.5
LINE_GAP = 0.7
"""Lines of one block are no further apart than this share of their height."""
LINE_GAP_PIXELS = 1.7
"""The same for lines seen in pixels, whose boxes hold no empty room above and below the letters."""
PITCH_SLACK = 0.25
"""The distance from line to line in a block varies by less than this share of their height, but for list entries."""


PIXEL_MARGIN = 0.25
"""Letters seen in pixels are mostly small ones; their line reaches this share of their height further."""


def group_lines(lines: Sequence[TextLine], from_layer: bool) -> list[TextBlock]:
    """Blocks of lines that follow one another closely and evenly, in one column and one size."""
    blocks: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: (line.middle, line.box[0])):
        home = next((block for block in reversed(blocks) if _follows(block, line, from_layer)), None)
        if home is None:
            blocks.append([line])
        else:
            home.append(line)
    margin = 0.0 if from_layer else PIXEL_MARGIN
    boxes = [grown(union([line.box for line in block]), margin * block[0].height) for block in blocks]
    return [TextBlock(box, tuple(block)) for box, block in zip(boxes, blocks, strict=True)]


def _follows(block: Sequence[TextLine], line: TextLine, from_layer: bool) -> bool:
    last = block[-1]
    height = min(last.height, line.height)
    if max(last.height, line.height) > (SIZE_RATIO if from_layer else SIZE_RATIO_PIXELS) * height:
        return False
    if shared_span(last.box[0], last.box[2], line.box[0], line.box[2]) <= 0.3:
        return False
    pitch = line.middle - last.middle
    down = pitch - (last.height + line.height) / 2
    if not -0.5 * height <= down <= (LINE_GAP if from_layer else LINE_GAP_PIXELS) * height:
        return False
    if line.marked:
        return block[0].marked
    if len(block) == 1:
        return True
    least = min(b.middle - a.middle for a, b in pairwise(block))
    return pitch <= least + PITCH_SLACK * height


def held(lines: Sequence[TextLine], box: Box, share: float = 0.6) -> list[TextLine]:
    """The lines that lie in a box."""
    return [line for line in lines if share_inside(line.box, box) > share]
