"""Lines of text and the blocks that they form; from the text layer where there is one, else from letters' shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline.docparse.lines import BULLETS
from pipeline.docparse.opencv.components import components
from pipeline.docparse.opencv.geometry import share_inside, shared_span, union
from pipeline.docparse.opencv.letters import letter_ink, letters_of, without_outlines
from pipeline.docparse.opencv.marks import DASH_MOST_PX, goes_on, small_marks, stands_alone
from pipeline.docparse.opencv.passing import without_passing
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.opencv.writing import BAR_INK, is_word, may_join, reads
from pipeline.docparse.words import Box, PageText

TALL_ASPECT = 2.6
"""What is higher than so many times its width and than its neighbours is a line or an arrow, no letter."""
LONE_WORD_ASPECT = 1.9
"""What is wider may be a word, or an arrow."""
CORE_INK = 0.45
"""A row of pixels through a line's low letters has so much of the ink of its fullest row."""
SPREAD_PX = 0.35
"""Ink of a scan spreads so far on either side."""
MARK_LETTERS = 3
MARK_OFF = 0.15
"""Of the height of a line, room between its letters and a mark above them."""
DASH_LETTERS = 4
LAYER_HEIGHT = 0.62
"""Of the room that a text layer gives a line, what its larger letters fill."""

LETTER_GAP = 0.55
"""Letters further apart than this share of their height are in different words."""
SPACE = 2.0
"""Words further apart than so many letter heights are in different columns; a full stop is too small to be seen."""
MARK_SPACE = 1.8
PLACE_LEAST_PX = 22.0
"""Smaller shapes are insides of letters, and swatches."""
WORD_GAP = 2.2
"""Words of one line further apart than so many letter heights are told apart: columns, cells."""

BULLET_PX = (3.0, 10.0)
BULLET_CLEAR_PX = 9
BULLET_REACH = 1.8
"""A bullet stands no further in front of its line than so many letter heights."""

MARKER_LARGEST = 1.6
"""Of its line's letter height."""

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
    core: tuple[float, float] | None = None
    """Top and bottom of its low letters, of which most of it consists; None where a text layer tells its size."""


def find_lines(sheet: Sheet, text: PageText, shapes: Sequence[Shape]) -> list[TextLine]:
    """The page's lines of text from the top; `shapes` are what else may look like letters, or holds light ones."""
    ink = letter_ink(sheet, shapes)
    parts = components(ink, 8)
    if text.words:
        lines = [_tight(line, ink) for line in _lines_of_layer(text, sheet)]
    else:
        lines = [_with_core(line, ink, sheet.noisy) for line in _lines_of_pixels(ink, parts, shapes)]
    dots = _dots(parts[1])
    dots = dots[_clear_before(ink, dots)]
    return _with_markers(
        sorted((_with_bullet(line, dots) for line in lines), key=lambda line: (line.middle, line.box[0])), shapes
    )


def _tight(line: TextLine, ink: Pixels) -> TextLine:
    """The line with its box drawn in to its ink: a text layer tells the room of a line, not its letters."""
    left, top, right, bottom = (round(side) for side in line.box)
    left, top = max(0, left), max(0, top)
    part = without_passing(ink, left, top, max(left, right), max(top, bottom))
    ys, xs = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(ys):
        return line
    return replace(
        line, box=(float(left + xs[0]), float(top + ys[0]), float(left + xs[-1] + 1), float(top + ys[-1] + 1))
    )


def _with_core(line: TextLine, ink: Pixels, noisy: bool) -> TextLine:
    """The line with the rows told that have much of its ink: few letters reach above or below them."""
    spread = SPREAD_PX if noisy else 0.0
    left, top, right, bottom = (max(0, round(side)) for side in line.box)
    rows = ink[top:bottom, left:right].sum(axis=1, dtype=np.int32)
    if not rows.size or bottom - top > right - left:
        return replace(line, core=(line.box[1], line.box[3]))
    much = np.flatnonzero(rows >= CORE_INK * rows.max())
    return replace(line, core=(top + much[0] + spread, top + much[-1] + 1 - spread))


def _dots(stats: Pixels) -> Pixels:
    """Boxes (n, 4) of small round spots, as bullets are that a document draws instead of writing them."""
    x, y, w, h, count = (stats[1:, column].astype(np.float64) for column in range(5))
    low, high = BULLET_PX
    kept = (np.minimum(w, h) >= low) & (np.maximum(w, h) <= high) & (np.abs(w - h) <= 2) & (count >= 0.6 * w * h)
    dots: Pixels = np.stack([x, y, x + w, y + h], axis=1)[kept]
    return dots


def _clear_before(ink: Pixels, dots: Pixels) -> Pixels:
    """Which dots (n, 4) have nothing right before them; an arrow's head has its line."""
    clear = np.ones(len(dots), bool)
    for index, (left, top, _, bottom) in enumerate(dots.astype(int).tolist()):
        clear[index] = not ink[top:bottom, max(0, left - BULLET_CLEAR_PX) : left].any()
    return clear


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


def _lines_of_layer(text: PageText, sheet: Sheet) -> list[TextLine]:
    boxes = [sheet.way.from_page(word.box) for word in text.words]
    groups: dict[tuple[int, int], list[int]] = {}
    for index, word in enumerate(text.words):
        groups.setdefault((word.block, word.line), []).append(index)
    lines = []
    for indices in groups.values():
        run: list[int] = []
        for index in indices:
            if run and _far(boxes[run[-1]], boxes[index]):
                lines.append(_line(text, boxes, run))
                run = []
            run.append(index)
        lines.append(_line(text, boxes, run))
    return lines


def _far(left: Box, right: Box) -> bool:
    height = min(left[3] - left[1], right[3] - right[1])
    upright = (left[3] - left[1]) > 2 * (left[2] - left[0])
    return not upright and right[0] - left[2] > WORD_GAP * height


def _line(text: PageText, boxes: Sequence[Box], run: Sequence[int]) -> TextLine:
    words = [text.words[index] for index in run]
    box = union([boxes[index] for index in run])
    letters = sum(len(word.text) for word in words)
    tall, wide = box[3] - box[1], box[2] - box[0]
    if tall > 2 * wide and letters > 2:
        height = wide
    else:
        height = LAYER_HEIGHT * float(np.median([boxes[index][3] - boxes[index][1] for index in run]))
    first = words[0].text
    marked = first in BULLETS or (len(words) > 1 and _NUMBERING.fullmatch(first) is not None)
    return TextLine(box, letters, height, (box[1] + box[3]) / 2, marked)


def _lines_of_pixels(ink: Pixels, parts: Sequence[Pixels], shapes: Sequence[Shape]) -> list[TextLine]:
    letters, densities = letters_of(*parts)
    kept = without_outlines(letters, densities, shapes)
    letters, densities = letters[kept], densities[kept]
    if not len(letters):
        return []
    tall = letters[:, 3] - letters[:, 1]
    wide = letters[:, 2] - letters[:, 0]
    typical = float(np.median(tall))
    kept = ~((tall > TALL_ASPECT * wide) & (tall > 1.6 * typical))
    letters, densities, tall = letters[kept], densities[kept], tall[kept]
    height, width = ink.shape
    mask = np.zeros((height // 2 + 1, width // 2 + 1), np.uint8)
    reach = LETTER_GAP * np.minimum(tall, 2.5 * typical) / 2
    # Only the middle of a letter, so that tails of one line do not touch the next.
    core = (tall // 4).astype(int)
    bars = np.stack([letters[:, 0] - reach, letters[:, 1] + core, letters[:, 2] + reach, letters[:, 3] - core], axis=1)
    for left, top, right, bottom in np.round(bars / 2).astype(int).clip(0).tolist():
        mask[top : max(top + 1, bottom), left : max(left + 1, right)] = 1
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    x, y = ((letters[:, 0] + letters[:, 2]) / 2).astype(int), ((letters[:, 1] + letters[:, 3]) / 2).astype(int)
    names = labels[y // 2, x // 2]
    members: dict[int, list[Box]] = {}
    dense: dict[int, float] = {}
    for name, box, density in zip(names.tolist(), letters.tolist(), densities.tolist(), strict=True):
        members.setdefault(name, []).append((box[0], box[1], box[2], box[3]))
        dense[name] = max(density, dense.get(name, 0.0))
    members.pop(0, None)
    words = [
        found
        for name, found in members.items()
        if len(found) > 1 or is_word(found[0], dense[name]) or may_join(found[0])
    ]
    places = _places(shapes, ink.shape)
    joined = [
        found
        for found in _joined(words, places)
        if len(found) > 1 or not _may_be_head(found[0], places) or stands_alone(found[0], parts[1])
    ]
    full = {(box[0], box[1], box[2], box[3]) for box in letters[densities > BAR_INK].tolist()}
    well_read = [reads(found, full, _on_dark(found, places, shapes)) for found in joined]
    lines = [_line_of_letters(found) for found, well in zip(joined, well_read, strict=True) if well]
    pieces = [_line_of_letters(found) for found, well in zip(joined, well_read, strict=True) if not well]
    return [*_without_dashes(_without_accents(lines), parts[1]), *_last_words(lines, pieces)]


def _without_dashes(lines: Sequence[TextLine], stats: Pixels) -> list[TextLine]:
    """Lines but for dashes of slanting lines: marks that go on, alike, at two opposite corners."""
    marks = small_marks(stats)
    return [
        line
        for line in lines
        if line.letters > DASH_LETTERS or line.box[2] - line.box[0] > 2 * DASH_MOST_PX or not goes_on(line.box, marks)
    ]


def _without_accents(lines: Sequence[TextLine]) -> list[TextLine]:
    """Lines but for single marks that stand right above a letter of another one: й, ё, Ö."""
    marks = [line for line in lines if line.letters <= MARK_LETTERS]
    of_words = np.array([line.box for line in lines if line.letters > MARK_LETTERS]).reshape(-1, 4)
    heights = of_words[:, 3] - of_words[:, 1]
    dropped = set()
    for mark in marks:
        left, top, right, bottom = mark.box
        within = (of_words[:, 0] <= left) & (of_words[:, 2] >= right)
        over = (top < of_words[:, 1] + 0.3 * heights) & (bottom >= of_words[:, 1] - MARK_OFF * heights)
        if (within & over & (bottom - top < 0.5 * heights)).any():
            dropped.add(id(mark))
    return [line for line in lines if id(line) not in dropped]


def _on_dark(letters: Sequence[Box], places: Pixels, shapes: Sequence[Shape]) -> bool:
    """Whether letters stand in a dark shape, where no line is drawn."""
    box = union(letters)
    number = int(places[int((box[1] + box[3]) / 4), int((box[0] + box[2]) / 4)])
    return number > 0 and shapes[number - 1].dark


def _may_be_head(box: Box, places: Pixels) -> bool:
    """Whether a single component outside of all shapes is as likely an arrow's head with a dash as a short word."""
    wide, tall = box[2] - box[0], box[3] - box[1]
    outside = places[int((box[1] + box[3]) / 4), int((box[0] + box[2]) / 4)] == 0
    return bool(outside and 1.2 * tall <= wide < LONE_WORD_ASPECT * tall)


def _last_words(lines: Sequence[TextLine], pieces: Sequence[TextLine]) -> list[TextLine]:
    """Pieces too short to read alone that begin right under a line, as the last word of a paragraph does."""
    if not lines:
        return []
    boxes = np.array([line.box for line in lines])
    middles, heights = np.array([line.middle for line in lines]), np.array([line.height for line in lines])
    kept = []
    for piece in pieces:
        pitch = (piece.middle - middles) / heights
        under = (np.abs(boxes[:, 0] - piece.box[0]) <= 5) & (pitch >= 1.1) & (pitch <= 2.3)
        wide = boxes[:, 2] - boxes[:, 0] > 8 * heights
        if (under & wide & (piece.height <= 1.3 * heights) & (piece.height >= 0.6 * heights)).any():
            kept.append(piece)
    return kept


def _places(shapes: Sequence[Shape], size: tuple[int, ...]) -> Pixels:
    """int32 (height, width) at half size: number of the innermost shape at each place, 0 outside of all."""
    places = np.zeros((size[0] // 2 + 1, size[1] // 2 + 1), np.int32)
    for number, shape in enumerate(shapes, start=1):
        if min(shape.width, shape.height) >= PLACE_LEAST_PX:
            cv2.drawContours(places, [shape.contour // 2], -1, number, -1)
    return places


def _joined(words: Sequence[list[Box]], places: Pixels) -> list[list[Box]]:
    """Words put together to lines: each level with the one before, of one size, a space apart, in the same shape."""

    def place(box: Box) -> int:
        return int(places[int((box[1] + box[3]) / 4), int((box[0] + box[2]) / 4)])

    row = sorted(((_line_of_letters(word), word) for word in words), key=lambda pair: pair[0].box[0])
    lines: list[tuple[TextLine, list[Box], int]] = []
    for word, letters in row:
        home = place(word.box)
        for index, (before, earlier, there) in enumerate(lines):
            gap = word.box[0] - before.box[2]
            if gap > SPACE * word.height or home != there:
                continue
            height = min(before.height, word.height)
            # A single mark a little off is as likely an arrow's head as a word of one letter.
            space = (SPACE if min(before.letters, word.letters) > 1 else MARK_SPACE) * height
            if (
                -height <= gap <= space
                and abs(word.middle - before.middle) <= 0.45 * height
                and max(before.height, word.height) <= 2 * height
            ):
                lines[index] = (word, [*earlier, *letters], home)
                break
        else:
            lines.append((word, letters, home))
    return [letters for _, letters, _ in lines]


def _line_of_letters(letters: Sequence[Box]) -> TextLine:
    box = union(letters)
    heights = sorted(letter[3] - letter[1] for letter in letters)
    middles = sorted((letter[1] + letter[3]) / 2 for letter in letters)
    height = heights[(3 * (len(heights) - 1) + 2) // 4]
    middle = (middles[(len(middles) - 1) // 2] + middles[len(middles) // 2]) / 2
    # A word that blur ran together counts for the letters that it must hold.
    count = sum(max(1, round((b[2] - b[0]) / max(1.0, 0.9 * (b[3] - b[1])))) for b in letters)
    return TextLine(box, count, height, middle)


def _with_markers(lines: Sequence[TextLine], shapes: Sequence[Shape]) -> list[TextLine]:
    """Join a bullet or number that stands on its own with the line to its right, but not into a shape: that is no
    bullet, but the head of an arrow."""
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
            if nearest not in used and not _enters(line.box, lines[nearest].box, shapes):
                used |= {index, nearest}
                text = lines[nearest]
                letters = line.letters + text.letters
                joined.append(replace(text, box=union([line.box, text.box]), letters=letters, marked=True))
    rest = [line for index, line in enumerate(lines) if index not in used]
    return sorted([*rest, *joined], key=lambda line: (line.middle, line.box[0]))


def _enters(marker: Box, text: Box, shapes: Sequence[Shape]) -> bool:
    """Whether a shape holds a text and not what stands before it."""
    return any(share_inside(text, shape.box) > 0.9 and share_inside(marker, shape.box) < 0.1 for shape in shapes)


def _same_row(marker: TextLine, line: TextLine) -> bool:
    level = shared_span(marker.box[1], marker.box[3], line.box[1], line.box[3]) > 0.6
    away = line.box[0] - marker.box[2]
    # A dot that is a node of its own is larger than a bullet.
    return (
        level and 0 <= away <= 2.5 * max(marker.height, line.height) and marker.height <= MARKER_LARGEST * line.height
    )


def held(lines: Sequence[TextLine], box: Box, share: float = 0.6) -> list[TextLine]:
    """The lines that lie in a box."""
    return [line for line in lines if share_inside(line.box, box) > share]
