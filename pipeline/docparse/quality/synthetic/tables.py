"""Tables: fully ruled, with merged cells, with a few rules, striped, and with no line at all.

A table without lines is one only where a reader could not take it for anything else: three columns and four rows or
more.
"""

from __future__ import annotations

from pipeline.docparse.quality.synthetic.ink import Colour, Ink, Path, text_width
from pipeline.docparse.quality.synthetic.outline import outline
from pipeline.docparse.quality.synthetic.running_text import broken, set_lines
from pipeline.docparse.quality.synthetic.sketch import Sketch

STYLES = ("ruled", "ruled", "merged", "booktabs", "striped", "rows", "bare")
_LIGHT_RULE: Colour = (0.72, 0.75, 0.79)


def table(sketch: Sketch, x: float, y: float, width: float) -> float:
    """Draw a table; returns its bottom edge."""
    theme, random = sketch.theme, sketch.random
    style = random.choice(STYLES)
    least = 3 if style in ("bare", "booktabs", "rows") else 2
    most = max(least, min(6, int(width / 70)))
    columns, rows = random.randint(least, most), random.randint(4, 9)
    size = random.choice((8.0, 8.5, 9.0))
    edges = _edges(sketch, x, width, columns)
    pad, row_pad = 6.0, random.choice((3.0, 4.5, 6.0))
    group = sketch.add("table", ())
    tone = random.choice(theme.tones)
    dark_head = style in ("ruled", "merged", "striped") and random.random() < 0.5
    rule = random.choice((theme.ink, _LIGHT_RULE if not theme.dark else theme.faint, tone.strong))
    weight = random.choice((0.5, 0.8, 1.1))
    cells: list[list[tuple[list[str], str, float]]] = []
    heights = []
    for row in range(rows):
        line = []
        for column in range(columns):
            inner = edges[column + 1] - edges[column] - 2 * pad
            if row == 0:
                text, face = sketch.phrases.name(), theme.bold
            elif column == 0 or random.random() < 0.35:
                text, face = sketch.phrases.name(), theme.face
            else:
                text, face = sketch.phrases.figure(), theme.face
            line.append((broken(text, face, size, inner), face, inner))
        cells.append(line)
        heights.append(max(len(lines) for lines, _, _ in line) * 1.3 * size + 2 * row_pad)
    tops = [y]
    for height in heights:
        tops.append(tops[-1] + height)
    right_numbers = random.random() < 0.4
    spans = _spans(sketch, rows, columns) if style == "merged" else {}
    covered = {
        (r + i, c + j) for (r, c), (down, across) in spans.items() for i in range(down) for j in range(across)
    } - set(spans)
    inks: list[Ink] = []
    if dark_head:
        inks.append(Path(tuple(outline("box", (x, y, edges[-1], tops[1]))), True, tone.strong))
    if style == "striped":
        for row in range(2 if dark_head else 0, rows, 2):
            inks.append(Path(tuple(outline("box", (x, tops[row], edges[-1], tops[row + 1]))), True, tone.soft))
    inks += _rules(style, edges, tops, spans, covered, rule, weight, theme.ink)
    for row in range(rows):
        for column in range(columns):
            if (row, column) in covered:
                continue
            lines, face, inner = cells[row][column]
            colour = tone.on_strong if dark_head and row == 0 else theme.ink
            align = (
                "right"
                if right_numbers and column and row and face == theme.face and lines[0][:1].isdigit()
                else "left"
            )
            _, across = spans.get((row, column), (1, 1))
            extra = edges[column + across] - edges[column + 1]
            letters, _ = set_lines(
                lines, edges[column] + pad, tops[row] + row_pad, inner + extra, face, size, colour, align, 1.3
            )
            inks += letters
    sketch.add(None, inks, group)
    return tops[-1]


def _edges(sketch: Sketch, x: float, width: float, columns: int) -> list[float]:
    random = sketch.random
    shares = [random.uniform(0.8, 1.4) for _ in range(columns)]
    shares[0] *= 1.3
    used = width if random.random() < 0.7 else max(width * 0.65, min(width, columns * 75.0))
    edges = [x]
    for share in shares:
        edges.append(edges[-1] + used * share / sum(shares))
    return edges


def _spans(sketch: Sketch, rows: int, columns: int) -> dict[tuple[int, int], tuple[int, int]]:
    """First cell → (rows, columns) that it spans."""
    random = sketch.random
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    if columns >= 3:
        spans[0, 1] = (1, random.randint(2, columns - 1))
    row = 1
    while row + 1 < rows:
        down = random.randint(1, min(3, rows - row))
        if down > 1:
            spans[row, 0] = (down, 1)
        row += down
    return spans


def _rules(
    style: str, edges: list[float], tops: list[float], spans: dict[tuple[int, int], tuple[int, int]],
    covered: set[tuple[int, int]], rule: Colour, weight: float, strong: Colour,
) -> list[Ink]:  # fmt: skip
    def line(a: tuple[float, float], b: tuple[float, float], colour: Colour = rule, width: float = weight) -> Ink:
        return Path((a, b), stroke=colour, width=width)

    left, right = edges[0], edges[-1]
    if style == "booktabs":
        return [line((left, tops[i]), (right, tops[i]), strong, w) for i, w in ((0, 1.2), (1, 0.7), (-1, 1.2))]
    if style == "rows":
        return [line((left, top), (right, top)) for top in tops]
    if style in ("striped", "bare"):
        return []
    inks: list[Ink] = []
    for row in range(len(tops) - 1):
        for column in range(len(edges) - 1):
            if (row, column) in covered:
                continue
            down, across = spans.get((row, column), (1, 1))
            cell = (edges[column], tops[row], edges[column + across], tops[row + down])
            inks.append(Path(tuple(outline("box", cell)), True, None, rule, weight))
    return inks


def least_width(texts: list[str], face: str, size: float) -> float:
    """Width that the longest of some texts needs on one line."""
    return max(text_width(text, face, size) for text in texts)
