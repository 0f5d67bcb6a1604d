"""The look of one page: colours, faces, strokes, drawn at random from what documents look like."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pipeline.docparse.quality.synthetic.ink import Colour


def rgb(code: str) -> Colour:
    """A colour from `rrggbb`, channels 0 to 1."""
    return int(code[0:2], 16) / 255, int(code[2:4], 16) / 255, int(code[4:6], 16) / 255


@dataclass(frozen=True, slots=True)
class Tone:
    """One hue: strokes and solid fills, tinted fills, text on the tint, text on the solid fill."""

    strong: Colour
    soft: Colour
    text: Colour
    on_strong: Colour


@dataclass(frozen=True, slots=True)
class Theme:
    """The look of one page."""

    page: Colour
    ink: Colour
    faint: Colour
    tones: tuple[Tone, ...]
    face: str
    bold: str
    body_pt: float
    stroke_pt: float
    tremble_pt: float
    dark: bool
    russian: bool


_LIGHT_PAGES = ("ffffff", "ffffff", "ffffff", "fdfaf2", "f6f8fa")
_DARK_PAGES = ("1e222a", "101418", "22272e", "14213d", "2b2b2b")
_LIGHT = (
    ("24507f", "dde8f4", "163558"), ("1b7f79", "d8efec", "0e4f4b"), ("b8760a", "fbeacb", "6b4208"),
    ("c2533a", "f9ddd5", "72281a"), ("6d4f91", "e6def1", "432e5e"), ("4f7f24", "e2efd2", "365617"),
    ("333b46", "e7eaee", "1f2731"), ("000000", "efefef", "000000"),
)  # fmt: skip
_DARK = (
    ("7fb2e5", "2a4360", "e4f0fc"), ("6fd0c8", "1f4a48", "def7f5"), ("f0b955", "54401a", "fdf1d8"),
    ("f0927c", "5a2c22", "fde6e0"), ("bd9fe0", "41325a", "f0e8fa"), ("a4d077", "34491f", "edf8e0"),
    ("d5dae1", "3c434d", "f4f6f8"),
)  # fmt: skip
_FACES = (("helv", "hebo"), ("helv", "hebo"), ("helv", "hebo"), ("tiro", "tibo"), ("cour", "cobo"))


def draw_theme(random: Random, dark: bool) -> Theme:
    """A theme at random."""
    tones = random.sample(_DARK if dark else _LIGHT, 4)
    page = rgb(random.choice(_DARK_PAGES if dark else _LIGHT_PAGES))
    dark_text, light_text = rgb("10151b"), rgb("ffffff")
    face, bold = random.choice(_FACES)
    return Theme(
        page=page,
        ink=rgb("e8ecf1") if dark else rgb(random.choice(("18222f", "000000", "2a2a2a"))),
        faint=rgb("9aa5b3") if dark else rgb("6f7986"),
        tones=tuple(Tone(rgb(a), rgb(b), rgb(c), dark_text if dark else light_text) for a, b, c in tones),
        face=face,
        bold=bold,
        body_pt=random.choice((8.5, 9, 9.5, 10, 10.5, 11)),
        stroke_pt=random.choice((0.7, 0.9, 1.0, 1.2, 1.5, 1.8)),
        tremble_pt=random.choice((0.5, 0.8)) if random.random() < 0.15 else 0.0,
        dark=dark,
        russian=random.random() < 0.4,
    )
