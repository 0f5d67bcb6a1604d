"""Diagrams: nodes, the arrows that join them, zones and legends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drawing.geometry import Box, Point, along, border_point, moved_toward, quadratic
from drawing.lettering import DoesNotFit, break_lines
from drawing.sheet import Sheet
from drawing.style import (
    INK,
    LINE,
    MUTED,
    NAVY,
    NODE_NOTE,
    NODE_TITLE,
    SLATE,
    SMALL,
    SMALL_BOLD,
    WHITE,
    Tone,
    Type,
)

_GAP = 2.5


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a diagram: a shape (box, ellipse, diamond) with a title and an optional note."""

    key: str
    title: str
    box: Box
    note: str = ""
    shape: str = "box"
    tone: Tone = NAVY
    solid: bool = False
    title_style: Type = NODE_TITLE
    note_style: Type = NODE_NOTE


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow between two nodes.

    An end is a node's key (the line aims at the centres) or `key:side` or `key:side:share` for a fixed point of its
    border. `via` bends the line through points, `curve` bows it around one; `at` places the label along the way.
    """

    source: str
    target: str
    label: str = ""
    tone: Tone = SLATE
    via: tuple[Point, ...] = ()
    curve: Point | None = None
    dashed: bool = False
    both: bool = False
    at: float = 0.5
    shift: Point = (0.0, 0.0)
    label_width: float = 76.0


def draw_node(sheet: Sheet, node: Node) -> int:
    """Draw one node with its text in the middle; returns the id of its region."""
    box, tone = node.box, node.tone
    fill = tone.strong if node.solid else tone.soft
    match node.shape:
        case "box":
            sheet.box(box, fill=fill, stroke=tone.strong, width=1, radius=5)
            inner = box.width - 12
        case "ellipse":
            sheet.ellipse(box, fill, tone.strong, 1)
            inner = box.width * 0.8
        case "diamond":
            sheet.polygon([box.side(side) for side in ("top", "right", "bottom", "left")], fill, tone.strong, 1)
            inner = box.width * 0.62
        case _:
            raise ValueError(f"unknown shape {node.shape!r}: use box, ellipse or diamond")
    title = break_lines(node.title, node.title_style, inner)
    note = break_lines(node.note, node.note_style, inner) if node.note else []
    gap = 1.5 if note else 0.0
    height = len(title) * node.title_style.pitch + gap + len(note) * node.note_style.pitch
    if height > box.height - 4:
        raise DoesNotFit(f"the node {node.title!r} needs {height + 4:.0f} pt of height, it has {box.height:.0f}")
    x, y = box.centre[0] - inner / 2, box.centre[1] - height / 2
    sheet.lines(title, x, y, inner, node.title_style, WHITE if node.solid else tone.text, "centre")
    if note:
        y += len(title) * node.title_style.pitch + gap
        sheet.lines(note, x, y, inner, node.note_style, WHITE if node.solid else INK, "centre")
    return sheet.record.mark("node", box.grown(0.5), f"{node.title} {node.note}", node.shape)


def draw_graph(sheet: Sheet, nodes: Sequence[Node], links: Sequence[Link]) -> dict[str, int]:
    """Draw nodes, then the arrows between them, then the arrows' labels; returns the nodes' region ids."""
    shapes = {node.key: node for node in nodes}
    ids = {node.key: draw_node(sheet, node) for node in nodes}
    routes = [(link, _route(link, shapes)) for link in links]
    for link, path in routes:
        ink = sheet.arrow(path, link.tone.strong, 1.2, link.dashed, link.both)
        joins = (ids[link.source.split(":")[0]], ids[link.target.split(":")[0]])
        sheet.record.mark("arrow", ink, link.label, "dashed" if link.dashed else "solid", joins)
    for link, path in routes:
        if link.label:
            x, y = along(path, link.at)
            sheet.tag(link.label, (x + link.shift[0], y + link.shift[1]), SMALL, link.tone.text, link.label_width)
    return ids


def _route(link: Link, shapes: Mapping[str, Node]) -> list[Point]:
    source, target = shapes[link.source.split(":")[0]], shapes[link.target.split(":")[0]]
    bends = [link.curve] if link.curve else list(link.via)
    start_aim = bends[0] if bends else target.box.centre
    end_aim = bends[-1] if bends else source.box.centre
    if ":" in link.source and not bends:
        end_aim = _end(link.source, source, end_aim)
    if ":" in link.target and not bends:
        start_aim = _end(link.target, target, start_aim)
    start, end = _end(link.source, source, start_aim), _end(link.target, target, end_aim)
    start = moved_toward(start, bends[0] if bends else end, _GAP)
    end = moved_toward(end, bends[-1] if bends else start, _GAP)
    return quadratic(start, link.curve, end) if link.curve else [start, *bends, end]


def _end(anchor: str, node: Node, aim: Point) -> Point:
    _, *fixed = anchor.split(":")
    if not fixed:
        return border_point(node.box, aim, node.shape)
    x, y = node.box.side(fixed[0], float(fixed[1]) if len(fixed) > 1 else 0.5)
    if node.shape == "ellipse" and fixed[0] in ("top", "bottom"):
        # The side belongs to the bounding box; drop the point onto the curve.
        (cx, cy), half_w, half_h = node.box.centre, node.box.width / 2, node.box.height / 2
        y = cy + math.copysign(half_h * math.sqrt(1 - ((x - cx) / half_w) ** 2), y - cy)
    return x, y


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend: a swatch (fill, line, dashed) of a tone, and what it means."""

    swatch: str
    tone: Tone
    meaning: str


def draw_legend(sheet: Sheet, title: str, entries: Sequence[Entry], x: float, y: float, columns: int = 1) -> Box:
    """Draw a bordered legend, entries filling columns from the left; returns its box."""
    pitch, pad, swatch = 14.5, 9.0, 18.0
    rows = -(-len(entries) // columns)
    widest = [
        max(break_lines(entry.meaning, SMALL, 400)[0].width for entry in entries[column * rows : (column + 1) * rows])
        for column in range(columns)
    ]
    widths = [swatch + 7 + text + 16 for text in widest]
    box = Box.at(x, y, sum(widths) - 16 + 2 * pad, pad + SMALL_BOLD.pitch + 4 + rows * pitch + pad - 3)
    with sheet.record.group("legend", f"{title}: " + "; ".join(entry.meaning for entry in entries)):
        sheet.box(box, fill=WHITE, stroke=LINE, width=0.8, radius=3)
        sheet.text(title, x + pad, y + pad - 1, box.width - 2 * pad, SMALL_BOLD, MUTED)
        for index, entry in enumerate(entries):
            column, row = divmod(index, rows)
            left = x + pad + sum(widths[:column])
            top = y + pad + SMALL_BOLD.pitch + 4 + row * pitch
            middle = top + SMALL.pitch / 2
            match entry.swatch:
                case "fill":
                    patch = Box.at(left, middle - 4.5, swatch, 9)
                    sheet.box(patch, fill=entry.tone.soft, stroke=entry.tone.strong, width=0.9, radius=2)
                case "solid":
                    sheet.box(Box.at(left, middle - 4.5, swatch, 9), fill=entry.tone.strong, radius=2)
                case "line" | "dashed":
                    ends = [(left, middle), (left + swatch, middle)]
                    sheet.arrow(ends, entry.tone.strong, 1.2, entry.swatch == "dashed")
                case _:
                    raise ValueError(f"unknown swatch {entry.swatch!r}: use fill, solid, line or dashed")
            sheet.text(entry.meaning, left + swatch + 7, top, widths[column], SMALL)
    return box


def draw_zone(sheet: Sheet, box: Box, title: str, tone: Tone) -> None:
    """A dashed enclosure with its name in the top left corner: a boundary that nodes lie in."""
    sheet.box(box, fill=WHITE, stroke=tone.strong, width=0.9, radius=7, dashed=True)
    sheet.text(title, box.x0 + 10, box.y0 + 7, box.width - 20, SMALL_BOLD, tone.text)
    sheet.record.mark("canvas", box.grown(0.5), title, "zone")
