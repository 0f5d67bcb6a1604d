"""A page to draw on: shapes, arrows and type, every mark of ink noted for the ground truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pymupdf

from drawing.geometry import Box, Point, moved_toward
from drawing.lettering import DoesNotFit, Line, break_lines, font, measure
from drawing.style import INK, WHITE, Colour, Type
from drawing.truth import Record

HEAD_LENGTH = 6.5
HEAD_HALF_WIDTH = 2.9


class Sheet:
    """One page of a PDF with drawing primitives in points; `record` holds what was drawn where."""

    def __init__(self, document: Any, size: tuple[float, float]) -> None:
        self.record = Record()
        self.frame = Box.at(0, 0, *size)
        self._page = document.new_page(width=size[0], height=size[1])
        self._document = document

    # ------------------------------------------------------------------ shapes
    def box(
        self,
        box: Box,
        fill: Colour | None = None,
        stroke: Colour | None = None,
        width: float = 0.9,
        radius: float = 0.0,
        dashed: bool = False,
    ) -> None:
        """A rectangle; `radius` in points rounds its corners."""
        share = min(0.5, radius / min(box.width, box.height)) or None
        self._page.draw_rect(
            (box.x0, box.y0, box.x1, box.y1),
            color=stroke,
            fill=fill,
            width=width,
            radius=share,
            dashes="[3 2.2] 0" if dashed else None,
        )
        self.record.ink(box.grown(width / 2 if stroke else 0))

    def ellipse(self, box: Box, fill: Colour, stroke: Colour, width: float = 0.9) -> None:
        """An ellipse that fills the box."""
        self._page.draw_oval((box.x0, box.y0, box.x1, box.y1), color=stroke, fill=fill, width=width)
        self.record.ink(box.grown(width / 2))

    def polygon(self, points: Sequence[Point], fill: Colour, stroke: Colour | None = None, width: float = 0.9) -> None:
        """A closed shape through the points."""
        self._page.draw_polyline(points, color=stroke, fill=fill, width=width, closePath=True)
        self.record.ink(Box.around(points).grown(width / 2 if stroke else 0))

    def line(self, points: Sequence[Point], colour: Colour, width: float = 0.7, dashed: bool = False) -> None:
        """A polyline."""
        self._page.draw_polyline(points, color=colour, width=width, dashes="[3 2.2] 0" if dashed else None)
        self.record.ink(Box.around(points).grown(width / 2))

    def arrow(
        self, points: Sequence[Point], colour: Colour, width: float = 1.2, dashed: bool = False, both: bool = False
    ) -> Box:
        """A polyline with a solid head at its last point (and first, if `both`); returns the box of its ink."""
        path = list(points)
        heads = [(path[-2], path[-1])] + ([(path[1], path[0])] if both else [])
        path[-1] = moved_toward(points[-1], points[-2], HEAD_LENGTH * 0.8)
        if both:
            path[0] = moved_toward(points[0], points[1], HEAD_LENGTH * 0.8)
        self.line(path, colour, width, dashed)
        inks = [Box.around(path).grown(width / 2)]
        for behind, tip in heads:
            triangle = _head(behind, tip)
            self.polygon(triangle, colour)
            inks.append(Box.around(triangle))
        return Box.union(inks)

    # -------------------------------------------------------------------- type
    def lines(
        self, lines: Sequence[Line], x: float, y: float, width: float, style: Type, colour: Colour, align: str = "left"
    ) -> Box:
        """Set lines from the top edge y downwards inside [x, x + width]; returns the box of the letters."""
        placed = []
        writer = pymupdf.TextWriter((0, 0, self.frame.width, self.frame.height))
        for index, line in enumerate(lines):
            start = x + {"left": 0.0, "centre": (width - line.width) / 2, "right": width - line.width}[align]
            top = y + index * style.pitch
            baseline = top + style.pitch / 2 + style.size * 0.35
            placed.append(Box.at(start, top, line.width, style.pitch))
            for run in line.runs:
                writer.append((start, baseline), run.text, font=font(run.face), fontsize=style.size)
                start += run.width
        writer.write_text(self._page, color=colour)
        box = Box.union(placed)
        if not (self.frame.x0 <= box.x0 and box.x1 <= self.frame.x1 and box.y1 <= self.frame.y1):
            raise DoesNotFit(f"the text {lines[0].text!r} leaves the page")
        self.record.ink(box)
        return box

    def text(
        self,
        text: str,
        x: float,
        y: float,
        width: float,
        style: Type,
        colour: Colour = INK,
        align: str = "left",
    ) -> Box:
        """Break a text to the width and set it from the top edge y; returns the box of the letters."""
        return self.lines(break_lines(text, style, width), x, y, width, style, colour, align)

    @staticmethod
    def height(text: str, style: Type, width: float) -> float:
        """How high a text would be when broken to the width, in points."""
        return len(break_lines(text, style, width)) * style.pitch

    def upright(self, text: str, box: Box, style: Type, colour: Colour) -> None:
        """One line of text turned to read from bottom to top, in the middle of a box."""
        length = measure(text, style)
        if length > box.height or style.pitch > box.width:
            raise DoesNotFit(f"the upright text {text!r} needs {length:.0f} x {style.pitch:.0f} pt")
        x = box.centre[0] + style.size * 0.35
        y = box.centre[1] + length / 2
        writer = pymupdf.TextWriter((0, 0, self.frame.width, self.frame.height))
        writer.append((x, y), text, font=font(style.face), fontsize=style.size)
        writer.write_text(self._page, color=colour, morph=(pymupdf.Point(x, y), pymupdf.Matrix(90)))

    def tag(self, text: str, centre: Point, style: Type, colour: Colour, width: float, fill: Colour = WHITE) -> Box:
        """A short text on a patch of background, centred on a point: the label of a connector."""
        lines = break_lines(text, style, width)
        longest = max(line.width for line in lines)
        patch = Box.at(0, 0, longest, len(lines) * style.pitch)
        place = Box.at(centre[0] - patch.width / 2, centre[1] - patch.height / 2, patch.width, patch.height)
        self.box(place.grown(2.5, 0.5), fill=fill)
        self.lines(lines, place.x0, place.y0, place.width, style, colour, "centre")
        self.record.mark("textbox", place, text, "arrow-label")
        return place

    # ------------------------------------------------------------------ finish
    def stored_sideways(self) -> None:
        """Store the page turned and ask the reader to turn it back: /Rotate 90, shown exactly as drawn."""
        width, height = self.frame.width, self.frame.height
        self._page.clean_contents()
        (xref,) = self._page.get_contents()
        drawn = self._document.xref_stream(xref)
        # A point (x, y) of the upright page goes to (height - y, x): a quarter turn against the clock.
        self._document.update_stream(xref, b"q 0 1 -1 0 %g 0 cm\n" % height + drawn + b"\nQ")
        self._page.set_mediabox((0, 0, height, width))
        self._page.set_rotation(90)


def _head(behind: Point, tip: Point) -> list[Point]:
    angle = math.atan2(tip[1] - behind[1], tip[0] - behind[0])
    back = (tip[0] - HEAD_LENGTH * math.cos(angle), tip[1] - HEAD_LENGTH * math.sin(angle))
    dx, dy = -math.sin(angle) * HEAD_HALF_WIDTH, math.cos(angle) * HEAD_HALF_WIDTH
    return [tip, (back[0] + dx, back[1] + dy), (back[0] - dx, back[1] - dy)]
