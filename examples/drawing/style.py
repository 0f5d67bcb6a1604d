"""The look of every page: one palette, one type scale, one set of distances."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]


def rgb(code: str) -> Colour:
    """A colour from `#rrggbb`, channels in 0..1."""
    return int(code[1:3], 16) / 255, int(code[3:5], 16) / 255, int(code[5:7], 16) / 255


WHITE = rgb("#ffffff")
INK = rgb("#18222f")
MUTED = rgb("#5a6675")
FAINT = rgb("#8a95a3")
LINE = rgb("#cbd3dc")
PAPER = rgb("#f5f7f9")


@dataclass(frozen=True, slots=True)
class Tone:
    """One hue in the strengths that drawings need: strokes and heads, fills, text on the fill."""

    strong: Colour
    soft: Colour
    text: Colour


NAVY = Tone(rgb("#24507f"), rgb("#e3ecf5"), rgb("#163558"))
TEAL = Tone(rgb("#1b7f79"), rgb("#dff1ef"), rgb("#0e4f4b"))
AMBER = Tone(rgb("#c98410"), rgb("#fcf0d9"), rgb("#76490a"))
CORAL = Tone(rgb("#c2533a"), rgb("#fae5df"), rgb("#792c19"))
PLUM = Tone(rgb("#6d4f91"), rgb("#ece6f4"), rgb("#432e5e"))
LEAF = Tone(rgb("#5b8a2c"), rgb("#e9f2dd"), rgb("#365617"))
SLATE = Tone(rgb("#5a6675"), rgb("#eef1f4"), rgb("#2b3644"))


@dataclass(frozen=True, slots=True)
class Type:
    """A text style: face (regular, bold, italic), size and line pitch in points."""

    size: float
    pitch: float
    face: str = "regular"


TITLE = Type(21, 26, "bold")
HEADING = Type(12.5, 16, "bold")
LEAD = Type(11, 15.8)
BODY = Type(9.8, 14.2)
BODY_BOLD = Type(9.8, 14.2, "bold")
NODE_TITLE = Type(9.4, 11.8, "bold")
NODE_NOTE = Type(7.9, 10.2)
CELL = Type(8.6, 11.6)
CELL_BOLD = Type(8.6, 11.6, "bold")
SMALL = Type(7.8, 10.4)
SMALL_BOLD = Type(7.8, 10.4, "bold")
EYEBROW = Type(8, 11, "bold")

A4 = (595.0, 842.0)
A4_LANDSCAPE = (842.0, 595.0)
MARGIN = 54.0
