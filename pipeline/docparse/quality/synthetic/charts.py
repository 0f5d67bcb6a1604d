"""Charts: axes with bars or lines. A chart is a `diagram` without nodes: its ticks and numbers are part of it, its
legend a `legend` inside it, its title above it a `textbox` of its own.
"""

from __future__ import annotations

from pipeline.docparse.quality.synthetic.ink import Ink, Path, Point
from pipeline.docparse.quality.synthetic.legends import legend
from pipeline.docparse.quality.synthetic.outline import arc, outline
from pipeline.docparse.quality.synthetic.running_text import set_lines
from pipeline.docparse.quality.synthetic.sketch import Sketch


def chart(sketch: Sketch, x: float, y: float, width: float) -> float:
    """Draw a chart with a legend to its right or none; returns its bottom edge."""
    theme, random = sketch.theme, sketch.random
    with_legend = random.random() < 0.7 and width > 240
    plot_width = min(width - (120 if with_legend else 0) - 34, random.uniform(200, 360))
    height = random.choice((110.0, 135.0, 160.0))
    left, bottom = x + 30, y + height
    right = left + plot_width
    group = sketch.add("diagram", ())
    inks: list[Ink] = []
    steps, size = random.randint(4, 6), 7.0
    gridded = random.random() < 0.5
    for step in range(steps + 1):
        level = bottom - step * (height - 8) / steps
        if gridded and step:
            inks.append(Path(((left, level), (right, level)), stroke=theme.faint, width=0.4))
        inks.append(Path(((left - 3, level), (left, level)), stroke=theme.ink, width=0.8))
        letters, _ = set_lines([str(step * 20)], x, level - 4.4, 24, theme.face, size, theme.ink, "right")
        inks += letters
    series = random.randint(2, 3)
    count = random.randint(4, 7)
    tones = theme.tones[:series]
    slot = plot_width / count
    values = [[random.uniform(0.15, 0.95) for _ in range(count)] for _ in range(series)]
    if random.random() < 0.6:
        for index, row in enumerate(values):
            wide = slot * 0.75 / series
            for place, value in enumerate(row):
                start = left + place * slot + slot * 0.12 + index * wide
                bar = (start, bottom - value * (height - 10), start + wide, bottom)
                inks.append(Path(tuple(outline("box", bar)), True, tones[index].strong))
    else:
        for index, row in enumerate(values):
            way: list[Point] = [
                (left + (place + 0.5) * slot, bottom - v * (height - 10)) for place, v in enumerate(row)
            ]
            inks.append(Path(tuple(way), stroke=tones[index].strong, width=1.6))
            inks += [Path(tuple(arc(px, py, 2, 2, 0, 360, 12)), True, tones[index].strong) for px, py in way]
    for place in range(count):
        letters, _ = set_lines(
            [str(2019 + place)], left + place * slot, bottom + 3, slot, theme.face, size, theme.ink, "centre"
        )
        inks += letters
    inks.append(Path(((left, y), (left, bottom), (right, bottom)), stroke=theme.ink, width=1.1))
    sketch.add(None, inks, group)
    if with_legend:
        legend(sketch, right + 14, y + random.choice((4.0, height * 0.3)), 110, group, narrow=True, entries=3)
    return bottom + 14
