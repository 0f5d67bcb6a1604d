"""Things on a page that are no region: logos, rules, stamps."""

from __future__ import annotations

from pipeline.docparse.quality.synthetic.ink import Ink, Letters, Path, text_width
from pipeline.docparse.quality.synthetic.outline import arc, outline
from pipeline.docparse.quality.synthetic.sketch import Sketch


def logo(sketch: Sketch, x: float, y: float) -> None:
    """A wordless mark of two shapes."""
    first, second = sketch.random.sample(sketch.theme.tones, 2)
    kind = sketch.random.choice(("discs", "blocks", "peak"))
    if kind == "discs":
        inks = [
            Path(tuple(arc(x + 8, y + 9, 8, 8, 0, 360)), True, first.strong),
            Path(tuple(arc(x + 18, y + 9, 8, 8, 0, 360)), True, second.strong, opacity=0.8),
        ]
    elif kind == "blocks":
        inks = [
            Path(tuple(outline("box", (x, y, x + 10, y + 10))), True, first.strong),
            Path(tuple(outline("box", (x + 7, y + 7, x + 19, y + 19))), True, second.strong),
        ]
    else:
        inks = [
            Path(((x, y + 18), (x + 9, y), (x + 18, y + 18)), True, first.strong),
            Path(((x + 10, y + 18), (x + 17, y + 5), (x + 25, y + 18)), True, second.strong),
        ]
    sketch.add(None, inks)


def rule(sketch: Sketch, x: float, y: float, width: float) -> None:
    """A line across the column."""
    weight = sketch.random.choice((0.5, 0.8, 1.5))
    sketch.add(None, [Path(((x, y), (x + width, y)), stroke=sketch.theme.faint, width=weight)])


def stamp(sketch: Sketch, x: float, y: float) -> None:
    """A round stamp, turned, with a word across it."""
    theme, random = sketch.theme, sketch.random
    tone, radius, turn = random.choice(theme.tones), random.uniform(26, 34), random.uniform(12, 30)
    word = "УТВЕРЖДЕНО" if theme.russian else "APPROVED"
    size = 7.0
    inks: list[Ink] = [
        Path(tuple(arc(x, y, radius, radius, 0, 360, 60)), True, None, tone.strong, 1.6, opacity=0.8),
        Path(tuple(arc(x, y, radius - 4, radius - 4, 0, 360, 60)), True, None, tone.strong, 0.7, opacity=0.8),
    ]
    half = text_width(word, theme.bold, size) / 2
    from math import cos, radians, sin

    start = (x - half * cos(radians(turn)), y + half * sin(radians(turn)))
    inks.append(Letters(*start, word, theme.bold, size, tone.strong, turn=turn, opacity=0.8))
    sketch.add(None, inks)
