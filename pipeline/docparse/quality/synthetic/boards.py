"""Canvases: sheets of large cells that hold lists, and boards with notes on them.

A canvas's cells and notes are `textbox` regions of the size of their frames. What tells a canvas from a table is that
its cells are large and hold lists; a table's hold a phrase.
"""

from __future__ import annotations

from pipeline.docparse.quality.synthetic.ink import Ink, Path, Rect
from pipeline.docparse.quality.synthetic.outline import outline, trembling
from pipeline.docparse.quality.synthetic.running_text import broken, set_lines
from pipeline.docparse.quality.synthetic.sketch import Sketch

CELL_HEIGHT_PT = (74.0, 86.0, 100.0)


def canvas(sketch: Sketch, x: float, y: float, width: float) -> float:
    """Draw a canvas; returns its bottom edge."""
    return _sheet(sketch, x, y, width) if sketch.random.random() < 0.6 else _board(sketch, x, y, width)


def _sheet(sketch: Sketch, x: float, y: float, width: float) -> float:
    """Cells edge to edge, some two rows high or two columns wide."""
    theme, random = sketch.theme, sketch.random
    columns = random.randint(3, 5) if width > 420 else random.randint(2, 3)
    rows, height = random.randint(2, 3), random.choice(CELL_HEIGHT_PT)
    pitch = width / columns
    tone = random.choice(theme.tones)
    filled = random.random() < 0.5
    group = sketch.add("canvas", ())
    taken: set[tuple[int, int]] = set()
    for row in range(rows):
        for column in range(columns):
            if (row, column) in taken:
                continue
            # Three cells at least: two alone would be two notes.
            spare = rows * columns - len(taken) > 3 or len(taken) >= 3
            down = 2 if row + 1 < rows and random.random() < 0.2 and spare else 1
            across = (
                2
                if column + 1 < columns
                and (row, column + 1) not in taken
                and random.random() < 0.15
                and down == 1
                and columns > 2
                else 1
            )
            taken |= {(row + i, column + j) for i in range(down) for j in range(across)}
            box = (x + column * pitch, y + row * height, x + (column + across) * pitch, y + (row + down) * height)
            fill = random.choice((tone.soft, theme.page)) if filled else theme.page
            frame = Path(tuple(outline("box", box)), True, fill, tone.strong, theme.stroke_pt)
            _list(sketch, frame, box, group, 3 if down == 1 else 6)
    return y + rows * height


def _list(sketch: Sketch, frame: Path, box: Rect, group: int, entries: int) -> None:
    """One cell: a bold name over short lines."""
    theme, random = sketch.theme, sketch.random
    size, pad = 7.5, 6.0
    inner = box[2] - box[0] - 2 * pad
    name = sketch.phrases.name()
    inks, y = set_lines(
        broken(name, theme.bold, size + 0.5, inner)[:2],
        box[0] + pad,
        box[1] + pad,
        inner,
        theme.bold,
        size + 0.5,
        theme.ink,
    )
    lines: list[str] = []
    for _ in range(random.randint(2, entries)):
        lines += broken("– " + sketch.phrases.words(2, 4), theme.face, size, inner)
    room = int((box[3] - pad - y) / (1.38 * size))
    more, _ = set_lines(lines[:room], box[0] + pad, y, inner, theme.face, size, theme.ink)
    sketch.add("textbox", [frame, *inks, *more], group, text=name)


def _board(sketch: Sketch, x: float, y: float, width: float) -> float:
    """A frame with notes in rows, each a little out of line."""
    theme, random = sketch.theme, sketch.random
    columns = random.randint(3, 5) if width > 400 else random.randint(2, 3)
    rows = random.randint(2, 3)
    pitch_x, pitch_y = (width - 16) / columns, random.choice((72.0, 84.0))
    height = rows * pitch_y + 16
    backing = random.choice((theme.page, theme.page, theme.tones[0].soft))
    outer = trembling(
        outline(random.choice(("box", "round")), (x, y, x + width, y + height)), random, theme.tremble_pt, True
    )
    group = sketch.add("canvas", [Path(tuple(outer), True, backing, theme.ink, max(1.0, theme.stroke_pt))])
    tones = [tone for tone in theme.tones if tone.soft != backing]
    framed = backing != theme.page or random.random() < 0.5
    left_out = 0
    for row in range(rows):
        for column in range(columns):
            if random.random() < 0.1 and left_out + 4 <= rows * columns:
                left_out += 1
                continue
            tone = random.choice(tones)
            left = x + 8 + column * pitch_x + random.uniform(3, 7)
            top = y + 8 + row * pitch_y + random.uniform(3, 7)
            box = (left, top, left + pitch_x - 12, top + pitch_y - 12)
            stroke = tone.strong if framed else None
            points = trembling(outline("box", box), random, theme.tremble_pt, True)
            frame = Path(tuple(points), True, tone.soft if framed else tone.strong, stroke, theme.stroke_pt)
            colour = tone.text if framed else tone.on_strong
            _note(sketch, frame, box, group, colour)
    return y + height


def _note(sketch: Sketch, frame: Path, box: Rect, group: int, colour: tuple[float, float, float]) -> None:
    theme, size, pad = sketch.theme, 8.0, 6.0
    inner = box[2] - box[0] - 2 * pad
    text = sketch.phrases.name() + " " + sketch.phrases.words(3, 7)
    room = int((box[3] - box[1] - 2 * pad) / (1.38 * size))
    lines = broken(text, theme.face, size, inner)[: max(1, room)]
    inks: list[Ink] = []
    inks, _ = set_lines(lines, box[0] + pad, box[1] + pad, inner, theme.face, size, colour)
    sketch.add("textbox", [frame, *inks], group, text=text)
