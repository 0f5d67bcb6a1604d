"""Legends: swatches with what they mean, in a frame or without, in rows, columns or one line."""

from __future__ import annotations

from pipeline.docparse.quality.synthetic.ink import Ink, Path, text_width
from pipeline.docparse.quality.synthetic.outline import arc, outline
from pipeline.docparse.quality.synthetic.running_text import set_lines
from pipeline.docparse.quality.synthetic.sketch import Sketch
from pipeline.docparse.quality.synthetic.theme import Tone

SIZE_PT = 7.8
SWATCH_PT = 16.0


def legend(
    sketch: Sketch,
    x: float,
    y: float,
    width: float,
    parent: int | None = None,
    narrow: bool = False,
    entries: int | None = None,
) -> float:
    """Draw a legend; returns its bottom edge. `narrow` keeps it in one column. A loose one has three or more."""
    theme, random = sketch.theme, sketch.random
    framed = random.random() < 0.6
    count = entries or random.randint(2 if framed else 3, 6)
    names = [sketch.phrases.name() for _ in range(count)]
    kind = random.choice(("patch", "patch", "outlined", "dot", "line", "mixed"))
    per_row = 1 if narrow else random.choice((1, 1, 2, count))
    widest = max(text_width(name, theme.face, SIZE_PT) for name in names)
    pitch_x = SWATCH_PT + 6 + widest + 16
    while per_row > 1 and per_row * pitch_x > width - 20:
        per_row -= 1
    rows = -(-count // per_row)
    pad = 8.0 if framed else 0.0
    titled = framed and random.random() < 0.5
    title_height = 12.0 if titled else 0.0
    pitch_y = random.choice((13.0, 14.5))
    inks: list[Ink] = []
    across = per_row * pitch_x - 16 + 2 * pad
    if titled:
        across = max(across, text_width(_title(sketch), theme.bold, SIZE_PT) + 2 * pad)
    bottom = y + 2 * pad + title_height + rows * pitch_y - (3 if not framed else 1)
    if framed:
        frame = outline(random.choice(("box", "round")), (x, y, x + across, bottom))
        inks.append(
            Path(tuple(frame), True, theme.page, random.choice((theme.ink, theme.faint)), random.choice((0.7, 1.0)))
        )
    if titled:
        letters, _ = set_lines([_title(sketch)], x + pad, y + pad - 2, across, theme.bold, SIZE_PT, theme.ink)
        inks += letters
    tones = list(theme.tones) * 2
    for index, name in enumerate(names):
        row, column = divmod(index, per_row)
        left, top = x + pad + column * pitch_x, y + pad + title_height + row * pitch_y
        swatch = kind if kind != "mixed" else random.choice(("patch", "line", "dashed"))
        inks += _swatch(sketch, swatch, tones[index], left, top + 4.8)
        letters, _ = set_lines([name], left + SWATCH_PT + 6, top - 0.6, widest, theme.face, SIZE_PT, theme.ink)
        inks += letters
    sketch.add("legend", inks, parent, text="; ".join(names))
    return bottom


def _title(sketch: Sketch) -> str:
    return "Обозначения" if sketch.theme.russian else "Legend"


def _swatch(sketch: Sketch, kind: str, tone: Tone, left: float, middle: float) -> list[Ink]:
    right, box = left + SWATCH_PT, (left, middle - 4.2, left + SWATCH_PT, middle + 4.2)
    if kind == "patch":
        return [Path(tuple(outline("box", box)), True, tone.strong)]
    if kind == "outlined":
        return [Path(tuple(outline("round", box)), True, tone.soft, tone.strong, 0.9)]
    if kind == "dot":
        return [Path(tuple(arc((left + right) / 2, middle, 4.2, 4.2, 0, 360, 24)), True, tone.strong)]
    dashes = "[3 2] 0" if kind == "dashed" else None
    shaft = Path(
        ((left, middle), (right - (4 if kind == "dashed" else 0), middle)), stroke=tone.strong, width=1.4, dashes=dashes
    )
    if kind != "dashed":
        return [shaft]
    return [shaft, Path(((right, middle), (right - 4.5, middle - 2.2), (right - 4.5, middle + 2.2)), True, tone.strong)]
