"""One page's finds, each explained once: legends and grids first, then boards, diagrams, and what is left is text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.docparse.labels import Label
from pipeline.docparse.opencv import score
from pipeline.docparse.opencv.arrows import find_arrows
from pipeline.docparse.opencv.drawings import Drawing, find_drawings
from pipeline.docparse.opencv.frames import find_frames
from pipeline.docparse.opencv.geometry import area, grown, overlap, share_inside
from pipeline.docparse.opencv.grids import (
    CANVAS_CELL_PX,
    Grid,
    completed,
    crowd,
    find_grids,
    is_canvas,
    is_table,
)
from pipeline.docparse.opencv.legends import find_legends
from pipeline.docparse.opencv.shapes import Shape, find_shapes
from pipeline.docparse.opencv.sheet import Sheet
from pipeline.docparse.opencv.text import TextLine, find_lines, group_lines, held
from pipeline.docparse.opencv.unexplained import drawn_all_round, unexplained
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import Box, PageText

NODE_MAX_PAGE_SHARE = 0.2
BOARD_MIN_PAGE_SHARE = 0.12
CONTAINER_MIN_HEIGHT_PX = 40.0


class PageFinds:
    """Looks at one page; `detections` tells all that it shows, unsorted and with doubles."""

    def __init__(self, sheet: Sheet, text: PageText) -> None:
        self._sheet = sheet
        self._from_layer = bool(text.words)
        self._page_area = float(sheet.size[0] * sheet.size[1])
        shapes = find_shapes(sheet)
        self._lines = find_lines(sheet, text, [shape.box for shape in shapes if shape.form == "box"])
        self._shapes = [shape for shape in shapes if not (self._from_layer and self._is_letter(shape))]
        self._found: list[Detection] = []
        self._zones: list[Box] = []
        """Boxes of a board that are text already; what stands in them directly needs no region of its own."""

    def detections(self) -> list[Detection]:
        """Everything found, related by index."""
        taken, lanes = self._explain_grids_and_legends()
        self._explain_boards(taken)
        candidates = self._candidates(taken)
        known = {id(shape) for shape in candidates}
        containers = [
            shape.box
            for shape in self._shapes
            if id(shape) not in known
            and shape.height > CONTAINER_MIN_HEIGHT_PX * self._sheet.scale
            and drawn_all_round(self._sheet, shape.box)
        ]
        texts = [line.box for line in self._lines]
        frames = find_frames(unexplained(self._sheet, texts, taken, candidates, []), self._sheet)
        strokes = unexplained(self._sheet, texts, taken, candidates, [*frames, *containers])
        boxes = [shape.box for shape in candidates]
        free = [line for line in self._lines if not any(share_inside(line.box, box) > 0.6 for box in [*taken, *boxes])]
        arrows = find_arrows(strokes, candidates, free, self._sheet)
        nodes: set[int] = set()
        for drawing in find_drawings(boxes, arrows, frames, lanes, self._sheet.scale):
            self._add_drawing(drawing, candidates)
            nodes |= set(drawing.nodes)
        self._add_texts([shape for index, shape in enumerate(candidates) if index not in nodes], free)
        return self._found

    def _is_letter(self, shape: Shape) -> bool:
        return any(
            share_inside(shape.box, grown(line.box, 3)) > 0.8 and shape.width < 3 * line.height for line in self._lines
        )

    def _add(self, label: Label, box: Box, value: float, **relations: Any) -> int:
        self._found.append(Detection(label, box, value, **relations))
        return len(self._found) - 1

    def _text_in(self, box: Box) -> list[TextLine]:
        return held(self._lines, box)

    def _explain_grids_and_legends(self) -> tuple[list[Box], list[Box]]:
        """Add legends, tables and canvases; returns (what they take up, grids that are lanes of a diagram)."""
        scale = self._sheet.scale
        grids = find_grids(self._shapes, scale)
        cells = [cell for grid in grids for cell in grid.cells]
        legends = find_legends(self._shapes, self._lines, cells, self._sheet.size, scale)
        for legend in legends:
            self._add("legend", legend.box, score.of_legend(legend))
        taken = [legend.box for legend in legends]
        grids = [grid for grid in grids if not any(overlap(grid.box, box) > 0.5 * area(grid.box) for box in taken)]
        lanes = [grid for grid in grids if self._holds_nodes(grid)]
        for grid in grids:
            if grid not in lanes:
                self._add_grid(grid)
                taken.append(grid.box)
        return taken, [grid.box for grid in lanes]

    def _holds_nodes(self, grid: Grid) -> bool:
        """Whether shapes with text stand in the cells: lanes of a diagram, then."""
        members = {id(cell) for cell in grid.cells}
        most = 0.6 * max(area(cell.box) for cell in grid.cells)
        standing = [
            shape
            for shape in self._shapes
            if id(shape) not in members
            and area(shape.box) < most
            and share_inside(shape.box, grid.box) > 0.9
            and self._text_in(shape.box)
        ]
        return len(standing) >= 2

    def _add_grid(self, grid: Grid) -> None:
        """Add a grid as what it is: canvas, table, or cells in a row that are no more than text."""
        scale = self._sheet.scale
        if is_canvas(grid, self._lines, scale):
            self._add("canvas", grid.box, score.of_grid(grid), grid=(grid.columns, grid.rows))
            for cell in grid.cells:
                if cell.height > 0.5 * CANVAS_CELL_PX * scale and self._text_in(cell.box):
                    self._add("textbox", cell.box, 0.9)
            return
        grid = completed(grid, self._lines)
        if is_table(grid, self._lines):
            self._add("table", grid.box, score.of_grid(grid), grid=(grid.columns, grid.rows))
            return
        for cell in grid.cells:
            if self._text_in(cell.box):
                self._add("textbox", cell.box, 0.9 * cell.fit)

    def _explain_boards(self, taken: Sequence[Box]) -> None:
        """Add large frames that boxes fill: a canvas whose zones are text."""
        boards: list[Box] = []
        for frame in self._shapes:
            big = area(frame.box) >= BOARD_MIN_PAGE_SHARE * self._page_area
            if frame.form != "box" or not big or any(share_inside(frame.box, box) > 0.7 for box in [*taken, *boards]):
                continue
            zones = [zone for zone in crowd(self._shapes, frame) if self._text_in(zone.box)]
            if len(zones) < 3:
                continue
            boards.append(frame.box)
            self._zones += [zone.box for zone in zones]
            self._add("canvas", frame.box, score.of_board(len(zones)))
            for zone in zones:
                self._add("textbox", zone.box, 0.9 * zone.fit)

    def _candidates(self, taken: Sequence[Box]) -> list[Shape]:
        """Shapes that hold text and no other shape with text: nodes, notes, callouts, cards."""
        with_text = [
            shape
            for shape in self._shapes
            if area(shape.box) < NODE_MAX_PAGE_SHARE * self._page_area
            and not any(share_inside(shape.box, box) > 0.8 for box in taken)
            and self._text_in(shape.box)
        ]
        return [shape for shape in with_text if not any(_holds(shape, other) for other in with_text)]

    def _add_drawing(self, drawing: Drawing, candidates: Sequence[Shape]) -> None:
        self._add("diagram", drawing.box, score.of_diagram(len(drawing.nodes), drawing.joined))
        number: dict[int | None, int] = {}
        for index in drawing.nodes:
            touching = sum(index in (arrow.start, arrow.end) for arrow in drawing.arrows)
            number[index] = self._add("node", candidates[index].box, score.of_node(candidates[index], touching))
        for arrow in drawing.arrows:
            start, end = number.get(arrow.start), number.get(arrow.end)
            self._add("arrow", arrow.box, score.of_arrow(arrow), start=start, end=end, both_ways=arrow.both_ways)
        for zone in drawing.zones:
            self._add("canvas", zone, score.DASHED_ZONE)

    def _add_texts(self, shapes: Sequence[Shape], lines: Sequence[TextLine]) -> None:
        """Add what is left of shapes with text, and text without a shape."""
        for shape in shapes:
            self._add("textbox", shape.box, 0.9 * shape.fit)
        free = [line for line in lines if not any(share_inside(line.box, zone) > 0.8 for zone in self._zones)]
        for block in group_lines(free, self._from_layer):
            self._add("textbox", block.box, score.of_text(block))


def _holds(outer: Shape, inner: Shape) -> bool:
    return outer is not inner and area(inner.box) < 0.9 * area(outer.box) and share_inside(inner.box, outer.box) > 0.9
