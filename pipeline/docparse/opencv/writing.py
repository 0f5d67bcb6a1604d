"""Whether components, alone or several side by side, look like writing: no arrows, and not mostly dashes of a line."""

from __future__ import annotations

from collections.abc import Container, Sequence

from pipeline.docparse.opencv.geometry import share_inside, union
from pipeline.docparse.opencv.letters import WORD_ASPECT
from pipeline.docparse.words import Box

BAR_INK = 0.68
"""A component with more ink in its box is a bar."""
WORD_DENSITY = 0.33
THIN_WORD_DENSITY = 0.25
"""Of what is so wide that its columns were looked at: an arrow is gone already."""


def is_word(box: Box, density: float) -> bool:
    """Whether a component may be a whole word that blur ran together; an arrow is as wide, but thinner."""
    wide, tall = box[2] - box[0], box[3] - box[1]
    return wide >= 1.2 * tall and density >= (THIN_WORD_DENSITY if wide > WORD_ASPECT * tall else WORD_DENSITY)


def may_join(box: Box) -> bool:
    """Whether a component may be a word of one letter; alone it is none, beside other words it is."""
    wide, tall = box[2] - box[0], box[3] - box[1]
    return wide <= 2 * tall and tall <= 3.5 * wide


def reads(letters: Sequence[Box], bars: Container[Box], on_dark: bool) -> bool:
    """Whether components look like writing: several side by side, or one word, and not mostly dashes of a line.

    `bars` are the components that are full of ink; low letters that run together are not.
    """
    low = [box for box in letters if (box[2] - box[0]) > 2.4 * (box[3] - box[1]) and box[3] - box[1] < 8]
    dashes = sum(box in bars for box in low)
    if on_dark and len(letters) > 1:
        dashes = 0
    box = union(letters)
    if not on_dark and len(letters) == 2 and any(share_inside(a, b) > 0.9 for a, b in (letters, letters[::-1])):
        return False  # an open head with the last dash of its line in it
    wide, tall = box[2] - box[0], box[3] - box[1]
    return dashes < len(letters) / 2 and wide >= (0.8 if len(letters) > 1 else 1.2) * tall
