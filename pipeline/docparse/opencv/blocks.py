"""Blocks of text: lines that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pipeline.docparse.opencv.geometry import shared_span, union
from pipeline.docparse.opencv.text import TextLine
from pipeline.docparse.words import Box

SIZE_RATIO = 1.15
"""Lines of one block have letters of one size; letters seen in pixels differ by what the words are."""
SIZE_RATIO_PIXELS = 1.32
SIZE_RATIO_SMALL = 1.5
SMALL_PX = 14.0
"""Of letters so small, a line of low ones counts as much lower than the next."""
HEADING_PITCH = 1.15
CORE_PITCH = 3.5
"""Lines of one block follow one another within so many heights of their low letters; a heading stands further off."""
CORE_RATIO = 1.25
"""Low letters of one block differ by no more, and a pixel."""
CORE_RATIO_SHORT = 1.5
CORE_EVENNESS = 1.15
LINE_LETTERS = 10
"""Of fewer letters all may be high ones."""
LINE_GAP = 1.2
"""Lines of one block have no more room between them than so many letter heights."""
LINE_GAP_PIXELS = 1.95
"""The same for lines seen in pixels, whose letters may all be low ones."""
PITCH_SLACK = 0.3
"""The distance from line to line in a block varies by less than this share of their height."""
JOIN_SPACE = 2.2
"""Pieces of a line so few letter heights apart are one line, once tables are known to be elsewhere."""


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Lines that belong together: a paragraph, a heading, a list."""

    box: Box
    lines: tuple[TextLine, ...]


def in_rows(lines: Sequence[TextLine]) -> list[TextLine]:
    """Lines with the pieces joined that a faint letter or a full stop tore apart."""
    joined: list[TextLine] = []
    for line in sorted(lines, key=lambda line: line.box[0]):
        home = next((index for index, other in enumerate(joined) if _continues(other, line)), None)
        if home is None:
            joined.append(line)
            continue
        other = joined[home]
        joined[home] = replace(
            other, box=union([other.box, line.box]), letters=other.letters + line.letters,
            height=max(other.height, line.height), middle=(other.middle + line.middle) / 2,
            core=max(other, line, key=lambda piece: piece.letters).core,
        )  # fmt: skip
    return joined


def _continues(line: TextLine, piece: TextLine) -> bool:
    height = min(line.height, piece.height)
    level = shared_span(line.box[1], line.box[3], piece.box[1], piece.box[3]) > 0.6
    return (
        level
        and -height <= piece.box[0] - line.box[2] <= JOIN_SPACE * height
        and max(line.height, piece.height) <= 2.2 * height
    )


def group_lines(lines: Sequence[TextLine], from_layer: bool) -> list[TextBlock]:
    """Blocks of lines that follow one another closely and evenly, in one column and one size."""
    blocks: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: (line.middle, line.box[0])):
        home = next((block for block in reversed(blocks) if _follows(block, line, from_layer)), None)
        if home is None:
            blocks.append([line])
        else:
            home.append(line)
    parts = [part for block in blocks for part in _without_heading(block)]
    return [TextBlock(union([line.box for line in part]), tuple(part)) for part in parts]


def _without_heading(block: list[TextLine]) -> list[list[TextLine]]:
    """The block, or its first line and the rest when that line stands further off than the others do."""
    if len(block) < 3:
        return [block]
    pitches = [b.middle - a.middle for a, b in pairwise(block)]
    others = float(np.median(pitches[1:]))
    if pitches[0] > HEADING_PITCH * others + 1 and block[0].height >= 1.04 * float(
        np.median([b.height for b in block[1:]])
    ):
        return [block[:1], block[1:]]
    return [block]


def _follows(block: Sequence[TextLine], line: TextLine, from_layer: bool) -> bool:
    last = block[-1]
    if shared_span(last.box[0], last.box[2], line.box[0], line.box[2]) <= 0.3:
        return False
    if last.core is not None and line.core is not None:
        return _next_by_core(block, line)
    height, larger = min(last.height, line.height), max(last.height, line.height)
    if larger > _size_ratio(larger, from_layer) * height:
        return False
    pitch = line.middle - last.middle
    down = pitch - (last.height + line.height) / 2
    if not -0.2 * height <= down <= (LINE_GAP if from_layer else LINE_GAP_PIXELS) * height:
        return False
    if len(block) == 1:
        return True
    least = min(b.middle - a.middle for a, b in pairwise(block))
    return pitch <= least + PITCH_SLACK * height


def _next_by_core(block: Sequence[TextLine], line: TextLine) -> bool:
    """Whether a line seen in pixels is the next of a block, by its low letters and what they stand on.

    Which of its letters are high differs from line to line; how low ones stand does not.
    """
    last = block[-1]
    (top, bottom), (upper, lower) = _core(last), _core(line)
    small, large = sorted((bottom - top, lower - upper))
    larger = last if bottom - top > lower - upper else line
    if large > (CORE_RATIO_SHORT if larger.letters < LINE_LETTERS else CORE_RATIO) * small + 1:
        return False
    pitch = lower - bottom
    if not 1.2 * large <= pitch <= CORE_PITCH * small:
        return False
    least = min((_core(b)[1] - _core(a)[1] for a, b in pairwise(block)), default=pitch)
    return pitch <= CORE_EVENNESS * least + 1


def _core(line: TextLine) -> tuple[float, float]:
    return line.core or (line.box[1], line.box[3])


def _size_ratio(height: float, from_layer: bool) -> float:
    """How much letters of a block may differ."""
    if from_layer:
        return SIZE_RATIO
    return SIZE_RATIO_SMALL if height <= SMALL_PX else SIZE_RATIO_PIXELS
