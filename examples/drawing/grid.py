"""Ruled tables and multi-cell canvases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drawing.geometry import Box
from drawing.lettering import DoesNotFit, break_lines
from drawing.sheet import Sheet
from drawing.style import CELL, CELL_BOLD, INK, LINE, NAVY, PAPER, WHITE, Colour, Tone, Type

_PAD_X = 6.0
_PAD_Y = 5.0


@dataclass(frozen=True, slots=True)
class Table:
    """A ruled table: relative column widths, a header, rows of marked-up text, columns centred and tinted by value."""

    shares: tuple[float, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    centred: tuple[int, ...] = ()
    tinted: tuple[int, ...] = ()
    tone: Tone = NAVY


def draw_table(
    sheet: Sheet,
    table: Table,
    x: float,
    y: float,
    width: float,
    tints: Mapping[str, Tone] | None = None,
    style: Type = CELL,
    least_height: float = 0.0,
) -> Box:
    """Draw a table with rows as high as their text; `tints` colours tinted cells by their first word."""
    columns = [width * share / sum(table.shares) for share in table.shares]
    with sheet.record.group("table", " | ".join(table.header)):
        top = _row(sheet, table, table.header, x, y, columns, {}, CELL_BOLD, table.tone.strong, WHITE, 0.0)
        for index, row in enumerate(table.rows):
            fill = PAPER if index % 2 else WHITE
            top = _row(sheet, table, row, x, top, columns, tints or {}, style, fill, INK, least_height)
        edges = [x]
        for column in columns:
            edges.append(edges[-1] + column)
        for edge in edges:
            sheet.line([(edge, y), (edge, top)], LINE, 0.7)
        sheet.line([(x, y), (x + width, y)], table.tone.strong, 0.9)
        sheet.line([(x, top), (x + width, top)], table.tone.strong, 0.9)
    return Box(x, y, x + width, top)


def _row(
    sheet: Sheet,
    table: Table,
    texts: Sequence[str],
    x: float,
    y: float,
    columns: Sequence[float],
    tints: Mapping[str, Tone],
    style: Type,
    fill: Colour,
    ink: Colour,
    least_height: float,
) -> float:
    if len(texts) != len(columns):
        raise ValueError(f"the row {texts!r} has {len(texts)} cells, the table has {len(columns)} columns")
    broken = [break_lines(text, style, column - 2 * _PAD_X) for text, column in zip(texts, columns, strict=True)]
    height = max(least_height, max(len(lines) for lines in broken) * style.pitch + 2 * _PAD_Y)
    sheet.box(Box.at(x, y, sum(columns), height), fill=fill)
    left = x
    for index, (text, lines, column) in enumerate(zip(texts, broken, columns, strict=True)):
        centred = index in table.centred
        tone = tints.get(text.split()[0].strip("*")) if index in table.tinted else None
        if tone:
            sheet.box(Box.at(left, y, column, height), fill=tone.soft)
        offset = (height - len(lines) * style.pitch) / 2 if centred or ink is WHITE or least_height else _PAD_Y
        align = "centre" if centred else "left"
        colour = tone.text if tone else ink
        sheet.lines(lines, left + _PAD_X, y + offset, column - 2 * _PAD_X, style, colour, align)
        left += column
    sheet.line([(x, y + height), (x + sum(columns), y + height)], LINE, 0.7)
    return y + height


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a canvas: its place on the grid (column, row, spans), its title and its points."""

    column: int
    row: int
    title: str
    points: tuple[str, ...]
    columns: int = 1
    rows: int = 1
    tone: Tone = NAVY


@dataclass(frozen=True, slots=True)
class Canvas:
    """A canvas: a title bar over fields on a grid of relative widths and heights."""

    title: str
    note: str
    column_shares: tuple[float, ...]
    row_shares: tuple[float, ...]
    cells: tuple[Cell, ...]


def draw_canvas(sheet: Sheet, canvas: Canvas, place: Box, style: Type = CELL) -> None:
    """Draw a canvas into its place; a field whose text needs more room raises DoesNotFit."""
    bar = 24.0
    with sheet.record.group("canvas", canvas.title):
        sheet.box(place, fill=WHITE, stroke=NAVY.text, width=1.2)
        sheet.box(Box(place.x0, place.y0, place.x1, place.y0 + bar), fill=NAVY.text)
        title_style = Type(10, 13, "bold")
        sheet.text(canvas.title, place.x0 + 9, place.y0 + 5.5, place.width - 18, title_style, WHITE)
        sheet.text(canvas.note, place.x0 + 9, place.y0 + 6.5, place.width - 18, CELL, NAVY.soft, "right")
        xs = _edges(place.x0, place.width, canvas.column_shares)
        ys = _edges(place.y0 + bar, place.height - bar, canvas.row_shares)
        for cell in canvas.cells:
            box = Box(xs[cell.column], ys[cell.row], xs[cell.column + cell.columns], ys[cell.row + cell.rows])
            _field(sheet, cell, box, style)


def _edges(start: float, length: float, shares: Sequence[float]) -> list[float]:
    edges = [start]
    for share in shares:
        edges.append(edges[-1] + length * share / sum(shares))
    return edges


def _field(sheet: Sheet, cell: Cell, box: Box, style: Type) -> None:
    head = Type(style.size + 0.3, style.pitch + 0.6, "bold")
    sheet.box(box, stroke=NAVY.text, width=0.9)
    sheet.box(Box(box.x0 + 0.45, box.y0 + 0.45, box.x1 - 0.45, box.y0 + 3.4), fill=cell.tone.strong)
    inner = box.width - 16
    y = sheet.text(cell.title, box.x0 + 8, box.y0 + 8, inner, head, cell.tone.text).y1 + 3
    for point in cell.points:
        lines = break_lines(point, style, inner - 9)
        dot = Box.at(box.x0 + 8.5, y + style.pitch / 2 - 1.4, 2.8, 2.8)
        sheet.ellipse(dot, cell.tone.strong, cell.tone.strong, 0)
        y = sheet.lines(lines, box.x0 + 17, y, inner - 9, style, INK).y1 + 1.8
    if y > box.y1 - 2:
        raise DoesNotFit(f"the canvas field {cell.title!r} needs {y - box.y1 + 2:.0f} pt more height")
    sheet.record.mark("textbox", box, f"{cell.title}: " + "; ".join(cell.points), "cell")
