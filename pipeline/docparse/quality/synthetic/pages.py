"""Pages: what stands on one, in which order, and the seeds that name them.

A page is named by split, seed and number and is the same everywhere and always; `VERSION` is part of its seed, so that
a changed generator never passes off its pages as the old ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Literal

from pipeline.docparse.quality.synthetic import distractors, running_text
from pipeline.docparse.quality.synthetic.boards import canvas
from pipeline.docparse.quality.synthetic.charts import chart
from pipeline.docparse.quality.synthetic.diagrams import diagram
from pipeline.docparse.quality.synthetic.legends import legend
from pipeline.docparse.quality.synthetic.scanning import scanned
from pipeline.docparse.quality.synthetic.sketch import Sketch, render
from pipeline.docparse.quality.synthetic.tables import table
from pipeline.docparse.quality.synthetic.theme import draw_theme
from pipeline.docparse.quality.truth import TruePage

VERSION = "1"
Split = Literal["dev", "test", "hard-dev", "hard"]
SPLITS: tuple[Split, ...] = ("dev", "test", "hard-dev", "hard")
"""`dev` and `hard-dev` are for tuning; `test` and `hard` are for figures only."""
A4 = (595.0, 842.0)
MARGIN = 54.0
Block = Callable[[Sketch, float, float, float], float]
TEXTS: tuple[Block, ...] = (running_text.paragraph, running_text.paragraph, running_text.bullets, running_text.callout)


def pages(split: Split, seed: int, count: int) -> Iterator[TruePage]:
    """The first `count` pages of a split under a seed."""
    for number in range(count):
        yield page(split, seed, number)


def page(split: Split, seed: int, number: int) -> TruePage:
    """One page with its truth; hard ones went through a scanner or are dark, and have no text layer."""
    random = Random(f"spotter pages {VERSION} {split} {seed} {number}")  # noqa: S311 - the same pages everywhere
    hard = split.startswith("hard")
    dark = random.random() < (0.25 if hard else 0.08)
    lying = random.random() < 0.2
    size = (A4[1], A4[0]) if lying else A4
    sketch = Sketch(*size, draw_theme(random, dark), random)
    _fill(sketch, touching=random.random() < (0.6 if hard else 0.3))
    name = f"{split}-{seed}-{number:04d}"
    if not hard:
        sideways = random.random() < 0.1
        # One page in five is a picture of a page: no text layer.
        return render(sketch, name, sideways=sideways, words=random.random() >= 0.2)
    # A screenshot lies straight; paper does not.
    tilt = 0.0 if dark else random.choice((-1, 1)) * random.uniform(0.2, 2.5)
    return scanned(render(sketch, name, tilt_degrees=round(tilt, 2), words=False), random, dark)


def _fill(sketch: Sketch, touching: bool) -> None:
    random, theme = sketch.random, sketch.theme
    width, height = sketch.width_pt - 2 * MARGIN, sketch.height_pt - MARGIN - 40
    y = MARGIN
    if random.random() < 0.5:
        running_text.small_line(sketch, sketch.phrases.title(), MARGIN, 26, width, random.choice(("left", "right")))
        if random.random() < 0.6:
            distractors.rule(sketch, MARGIN, 42, width)
    if random.random() < 0.25:
        distractors.logo(sketch, sketch.width_pt - MARGIN - 26, y)
        y = running_text.heading(sketch, MARGIN, y, width - 60, 18) + 14
    elif random.random() < 0.6:
        y = running_text.heading(sketch, MARGIN, y, width, 18) + 14
    if random.random() < 0.5:
        running_text.small_line(
            sketch,
            str(random.randint(1, 300)),
            MARGIN,
            sketch.height_pt - 34,
            width,
            random.choice(("left", "centre", "right")),
        )
    figures = _figures(sketch, touching)
    if random.random() < 0.3:
        gutter = 22.0
        column = (width - gutter) / 2
        split_at = (len(figures) + 1) // 2
        _column(sketch, MARGIN, y, column, height, figures[:split_at])
        _column(sketch, MARGIN + column + gutter, y, column, height, figures[split_at:])
    else:
        _column(sketch, MARGIN, y, width, height, figures)
    if random.random() < 0.1 and not theme.dark:
        distractors.stamp(sketch, sketch.width_pt - 92, sketch.height_pt - 58)


def _figures(sketch: Sketch, touching: bool) -> list[str]:
    random = sketch.random
    wanted = []
    for kind, share in (
        ("diagram", 0.85),
        ("diagram", 0.3),
        ("table", 0.55),
        ("canvas", 0.4),
        ("chart", 0.25),
        ("legend", 0.35),
    ):
        if random.random() < share:
            wanted.append(kind + (" touching" if touching and kind == "diagram" else ""))
    random.shuffle(wanted)
    return wanted


def _column(sketch: Sketch, x: float, y: float, width: float, limit: float, figures: list[str]) -> None:
    """Set figures one under the other with text between them, as many as there is room for."""
    random = sketch.random
    for figure in [*figures, "text", "text", "text"]:
        if random.random() < 0.45:
            y = _tried(sketch, lambda y: running_text.heading(sketch, x, y, width), y, limit, 6)
        if (figure != "text" and random.random() < 0.35) or figure == "text":
            y = _tried(sketch, lambda y: random.choice(TEXTS)(sketch, x, y, width), y, limit, random.uniform(11, 18))
        if figure == "text":
            continue
        before = y
        y = _tried(sketch, lambda y, figure=figure: _figure(sketch, figure, x, y, width, limit), y + 4, limit, 0)  # type: ignore[misc]
        if y > before + 4 and random.random() < 0.3:
            y = _tried(sketch, lambda y: running_text.caption(sketch, x, y, width), y + 7, limit, 0)
        y += random.uniform(18, 26)


def _tried(sketch: Sketch, block: Callable[[float], float], y: float, limit: float, after: float) -> float:
    """Draw a block if it fits; the y below it, or the same y."""
    count = len(sketch.elements)
    bottom = block(y)
    if bottom > limit or math.isinf(bottom):
        sketch.forget(count)
        return y
    return bottom + after


def _figure(sketch: Sketch, kind: str, x: float, y: float, width: float, limit: float) -> float:
    if kind.startswith("diagram"):
        for _ in range(3):
            count = len(sketch.elements)
            bottom = diagram(sketch, x, y, width, limit - y, kind.endswith("touching"))
            if bottom <= limit:
                break
            sketch.forget(count)
        if bottom < limit - 60 and sketch.random.random() < 0.3:
            return legend(sketch, x, bottom + 16, width)
        return bottom
    blocks: dict[str, Block] = {"table": table, "canvas": canvas, "chart": chart, "legend": legend}
    return blocks[kind](sketch, x, y, width)
