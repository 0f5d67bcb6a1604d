"""One page's finds, each explained once: legends, charts, grids and tables first, then boards and diagrams; what is
left is text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from pipeline.docparse.labels import Label
from pipeline.docparse.opencv import score
from pipeline.docparse.opencv.arrows import find_arrows
from pipeline.docparse.opencv.bays import is_part, pieces_of, with_lids, without_bays
from pipeline.docparse.opencv.blocks import group_lines, in_rows
from pipeline.docparse.opencv.charts import find_charts, with_legend
from pipeline.docparse.opencv.drawings import Drawing, find_drawings
from pipeline.docparse.opencv.enclosed import without_enclosed
from pipeline.docparse.opencv.frames import find_frames
from pipeline.docparse.opencv.geometry import area, gap, grown, overlap, share_inside, union
from pipeline.docparse.opencv.grids import (
    BOARD_FILL,
    CANVAS_CELL_PX,
    Grid,
    completed,
    crowd,
    filled_share,
    find_grids,
    is_canvas,
    is_table,
)
from pipeline.docparse.opencv.legends import find_legends
from pipeline.docparse.opencv.rules import level_lines, upright_lines
from pipeline.docparse.opencv.shapes import Shape, find_shapes, holds
from pipeline.docparse.opencv.sheet import Pixels, Sheet
from pipeline.docparse.opencv.stamps import find_stamps
from pipeline.docparse.opencv.tables import between_rules, find_open_tables
from pipeline.docparse.opencv.text import TextLine, find_lines, held
from pipeline.docparse.opencv.unexplained import drawn_all_round, ink_of, unexplained, with_ring, without_outlines
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import Box, PageText

NODE_MAX_PAGE_SHARE = 0.2
NODE_LEAST_SIDE_PX = 20.0
NODE_SOLIDITY = 0.82
DOT_PX = (20.0, 64.0)
"""A node without text is a filled dot of this size."""
FRAMED_DOTS = 2
BOARD_MIN_PAGE_SHARE = 0.035
BOARD_MOST_INK_PX = 260
"""A board has no more ink between its notes: no arrows."""
SPARSE_MOST_INK_PX = 120
"""A board with few notes has less than a short arrow."""
CONTAINER_MIN_HEIGHT_PX = 40.0
OWN_SHARE = 0.6
"""A frame stands around several nodes, of which none fills so much of it."""
WORDED_CELLS = 0.6
"""A table has text in so many of its cells; what a chart's lines close in has none."""


class PageFinds:
    """Looks at one page; `detections` tells all that it shows, unsorted and with doubles."""

    def __init__(self, sheet: Sheet, text: PageText) -> None:
        self._sheet = sheet
        self._from_layer = bool(text.words)
        self._page_area = float(sheet.size[0] * sheet.size[1])
        shapes = find_shapes(sheet)
        self._lines = find_lines(sheet, text, shapes)
        self._line_boxes = (
            np.array([line.box for line in self._lines]).reshape(-1, 4),
            np.array([line.height for line in self._lines]),
        )
        drawn = [shape for shape in shapes if not self._is_letter(shape)]
        whole = with_lids(without_enclosed(drawn))
        most = NODE_MAX_PAGE_SHARE * self._page_area
        of_all = np.array([shape.box for shape in whole]).reshape(-1, 4)
        self._shapes = [self._without_bays(s, whole, of_all) if area(s.box) < most else s for s in whole]
        self._ink = ink_of(sheet)
        self._found: list[Detection] = []
        self._zones: list[Box] = []
        """Boxes of a board that are text already; what stands in them directly needs no region of its own."""

    def detections(self) -> list[Detection]:
        """Everything found, related by index, in pixels of the page."""
        taken, lanes = self._explain_tables_and_legends()
        self._explain_boards(taken)
        candidates = self._candidates(taken)
        known = {id(shape) for shape in candidates}
        containers = [
            shape.box
            for shape in self._shapes
            if id(shape) not in known
            and shape.height > CONTAINER_MIN_HEIGHT_PX
            and any(share_inside(other.box, shape.box) > 0.9 for other in candidates)
            # What one node fills is its own outline, seen twice.
            and not any(overlap(other.box, shape.box) > OWN_SHARE * area(shape.box) for other in candidates)
            and drawn_all_round(self._sheet, shape.box)
        ]
        if not self._sheet.noisy:
            candidates = [with_ring(shape, self._ink) for shape in candidates]
        texts = [line.box for line in self._lines]
        inked = without_outlines(unexplained(self._ink, texts, taken, candidates), containers)
        frames = find_frames(inked, [shape.box for shape in candidates])
        strokes = without_outlines(inked, frames)
        boxes = [shape.box for shape in candidates]
        free = [line for line in self._lines if not any(share_inside(line.box, box) > 0.6 for box in [*taken, *boxes])]
        arrows = find_arrows(strokes, candidates, free, self._ink)
        nodes: set[int] = set()
        framed = [
            box for box in containers if not any(share_inside(box, other) > 0.8 for other in [*taken, *self._zones])
        ]
        stamps = find_stamps(candidates)
        for drawing in find_drawings(boxes, arrows, [*frames, *framed], lanes):
            if any(share_inside(drawing.box, stamp) > 0.9 for stamp in stamps):
                continue  # a ring with a word across it, seen as areas and the line around them
            self._add_drawing(drawing, candidates)
            nodes |= set(drawing.nodes)
        self._add_texts([shape for index, shape in enumerate(candidates) if index not in nodes], free)
        return self._found

    def _without_bays(self, shape: Shape, shapes: Sequence[Shape], boxes: Pixels) -> Shape:
        pieces = pieces_of(shape, shapes, boxes) if shape.height >= CONTAINER_MIN_HEIGHT_PX else []
        return without_bays(shape, self._lines, pieces) if pieces or shape.solidity < NODE_SOLIDITY else shape

    def _is_letter(self, shape: Shape) -> bool:
        """Whether it is a letter's inside, or a thick letter."""
        left, top, right, bottom = shape.box
        boxes, heights = self._line_boxes
        near = (
            (boxes[:, 0] < right + 4) & (boxes[:, 2] > left - 4) & (boxes[:, 1] < bottom + 4) & (boxes[:, 3] > top - 4)
        )
        near &= shape.width < 3 * heights + 8
        return any(share_inside(shape.box, grown(self._lines[index].box, 4)) > 0.8 for index in np.flatnonzero(near))

    def _add(self, label: Label, box: Box, value: float, points: Any = None, **relations: Any) -> int:
        if points is None:
            placed = self._sheet.way.to_page(box)
        else:
            moved = self._sheet.way.points_to_page(points)
            low, high = moved.min(axis=0), moved.max(axis=0)
            placed = (float(low[0]), float(low[1]), float(high[0]) + 1, float(high[1]) + 1)
        self._found.append(Detection(label, placed, value, **relations))
        return len(self._found) - 1

    def _add_group(self, label: Label, box: Box, value: float, boxes: Sequence[Box], **relations: Any) -> int:
        """Add a group: on the page, its box is around its parts as they lie there, not around a turned box."""
        placed = union([self._sheet.way.to_page(one) for one in boxes] or [self._sheet.way.to_page(box)])
        self._found.append(Detection(label, placed, value, **relations))
        return len(self._found) - 1

    def _text_in(self, box: Box) -> list[TextLine]:
        return held(self._lines, box)

    def _explain_tables_and_legends(self) -> tuple[list[Box], list[Box]]:
        """Add legends, charts, tables and canvases; returns (what they take up, grids that are lanes of a diagram)."""
        upright, level = upright_lines(self._sheet), level_lines(self._sheet)
        legends = find_legends(self._sheet, self._shapes, self._lines)
        charts = self._charts(upright)
        legends = [
            legend
            for legend in legends
            if legend.framed
            or not any(share_inside(legend.box, chart) > 0.5 and len(legend.swatches) < 2 for chart in charts)
        ]
        taken = [legend.box for legend in legends]
        for index, chart in enumerate(charts):
            for legend in legends:
                if with_legend(chart, legend.box):
                    charts[index] = union([charts[index], legend.box])
        for legend in legends:
            self._add("legend", legend.box, score.of_legend(legend))
        for chart in charts:
            self._add("diagram", chart, score.CHART)
        taken += charts
        grids = find_grids([s for s in self._shapes if not any(share_inside(s.box, box) > 0.7 for box in taken)])
        grids = [grid for grid in grids if not any(overlap(grid.box, box) > 0.5 * area(grid.box) for box in taken)]
        lanes = [grid for grid in grids if self._holds_nodes(grid)]
        for grid in grids:
            if grid not in lanes and self._add_grid(grid):
                taken.append(grid.box)
        free = [line for line in self._lines if not any(share_inside(line.box, box) > 0.5 for box in taken)]
        shapes = [s for s in self._shapes if not any(share_inside(s.box, box) > 0.5 for box in taken)]
        enclosed = [
            s
            for s in shapes
            if s.solidity >= NODE_SOLIDITY
            # Cells are boxes, and may be filled.
            and s.height > (100.0 if s.filled and s.boxy else CONTAINER_MIN_HEIGHT_PX)
            and not between_rules(s, level)
        ]
        loose = [line for line in free if not any(share_inside(line.box, s.box) > 0.9 for s in enclosed)]
        rules = [rule for rule in level if not any(share_inside(rule, grown(box, 3)) > 0.5 for box in taken)]
        for table in find_open_tables(rules, shapes, loose, taken):
            self._add(
                "table", table.box, score.of_open_table(table), grid=self._rules_on_page(table.columns, table.rows)
            )
            taken.append(grown(table.box, 2))
        return taken, [grid.box for grid in lanes]

    def _charts(self, upright: Sequence[Box]) -> list[Box]:
        """Charts, but for what is a grid with text in its cells: a column's rule with numbers beside is no axis."""
        charts = find_charts(self._sheet, upright, self._lines)
        if not charts:
            return charts
        worded = [
            grid.box
            for grid in find_grids(self._shapes)
            if sum(bool(self._text_in(cell.box)) for cell in grid.cells) >= WORDED_CELLS * len(grid.cells)
        ]
        return [chart for chart in charts if not any(overlap(chart, box) > 0.5 * area(chart) for box in worded)]

    def _rules_on_page(
        self, columns: Sequence[float], rows: Sequence[float]
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Rules in pixels of the page: exact on an upright page, in the middle of a tilted one."""
        x, y = (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2
        way = self._sheet.way
        return (
            tuple(way.to_page((column, y, column, y))[0] for column in columns),
            tuple(way.to_page((x, row, x, row))[1] for row in rows),
        )

    def _holds_nodes(self, grid: Grid) -> bool:
        """Whether shapes with text stand in the cells: lanes of a diagram, then."""
        members = {id(cell) for cell in grid.cells}
        most = 0.6 * max(area(cell.box) for cell in grid.cells)
        standing = [
            shape
            for shape in self._shapes
            if id(shape) not in members
            and shape.height >= NODE_LEAST_SIDE_PX
            and area(shape.box) < most
            and share_inside(shape.box, grid.box) > 0.9
            and not any(_same_place(shape.box, cell.box) for cell in grid.cells)
            and not grid.rules_around(shape.box)
            and self._text_in(shape.box)
        ]
        return len(standing) >= 2

    def _add_grid(self, grid: Grid) -> bool:
        """Add a grid as a canvas or table; False when it is neither, and its cells are shapes like others."""
        if is_canvas(grid, self._lines):
            rules = self._rules_on_page(grid.columns, grid.rows)
            self._add("canvas", grid.box, score.of_grid(grid), grid=rules)
            for cell in grid.cells:
                if cell.height > 0.5 * CANVAS_CELL_PX and self._text_in(cell.box):
                    self._add("textbox", cell.box, 0.9)
            return True
        if len(grid.rows) == 2:
            return False
        grid = completed(grid, self._lines)
        if is_table(grid, self._lines):
            self._add("table", grid.box, score.of_grid(grid), grid=self._rules_on_page(grid.columns, grid.rows))
            return True
        return False

    def _explain_boards(self, taken: list[Box]) -> None:
        """Add large frames that boxes fill and no arrows join: a canvas whose notes are text."""
        boards: list[Box] = []
        for frame in self._shapes:
            big = area(frame.box) >= BOARD_MIN_PAGE_SHARE * self._page_area
            if (
                frame.fill < 0.85 * frame.solidity
                or not big
                or any(share_inside(frame.box, box) > 0.7 for box in [*taken, *boards])
            ):
                continue
            notes = crowd(self._shapes, frame)
            zones = [zone for zone in notes if self._text_in(zone.box)]
            if len(zones) < 3:
                continue
            sparse = filled_share(zones, frame) < BOARD_FILL
            if self._ink_between(frame, notes) > (SPARSE_MOST_INK_PX if sparse else BOARD_MOST_INK_PX):
                continue
            boards.append(frame.box)
            self._zones += [zone.box for zone in zones]
            self._add("canvas", frame.box, score.of_board(len(zones)))
            for zone in zones:
                self._add("textbox", zone.box, 0.9 * min(1.0, zone.fill))
        taken += boards

    def _ink_between(self, frame: Shape, zones: Sequence[Shape]) -> int:
        """Dark pixels inside a frame that belong to none of the boxes in it."""
        left, top, right, bottom = (max(0, round(side)) for side in frame.box)
        within = np.zeros((bottom - top, right - left), np.uint8)
        cv2.drawContours(within, [frame.contour], -1, 1, -1, offset=(-left, -top))
        part = self._ink[top:bottom, left:right] & cv2.erode(within, np.ones((9, 9), np.uint8))
        for box in [
            *(grown(zone.box, 6) for zone in zones),
            *(grown(line.box, 2) for line in self._text_in(frame.box)),
        ]:
            x0, y0, x1, y1 = (round(side) for side in box)
            part[max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) : max(0, x1 - left)] = 0
        return int(np.count_nonzero(part))

    def _candidates(self, taken: Sequence[Box]) -> list[Shape]:
        """Shapes that hold text and no other shape with text: nodes, notes, callouts, cards; and filled dots."""
        fitting = [
            shape
            for shape in self._shapes
            if area(shape.box) < NODE_MAX_PAGE_SHARE * self._page_area
            and min(shape.width, shape.height) >= NODE_LEAST_SIDE_PX
            and shape.solidity >= NODE_SOLIDITY
            and not any(share_inside(shape.box, box) > 0.8 for box in taken)
        ]
        fills = [shape for shape in fitting if shape.source == "tinted"]
        with_text = [
            shape for shape in fitting if self._text_in(shape.box) and not any(is_part(shape, fill) for fill in fills)
        ]
        leaves = [shape for shape in with_text if not any(holds(shape, other) for other in with_text)]
        leaves = [shape for shape in leaves if not _hemmed_in(shape, leaves)]
        dots = [
            shape
            for shape in fitting
            if shape.dark
            and DOT_PX[0] <= min(shape.width, shape.height)
            and max(shape.width, shape.height) <= DOT_PX[1]
            and 0.7 <= shape.width / shape.height <= 1.4
            and shape.solidity > 0.9
        ]
        # What holds text and several dots is a frame with its name.
        leaves = [shape for shape in leaves if sum(holds(shape, dot) for dot in dots) < FRAMED_DOTS]
        dots = [
            dot
            for dot in dots
            if not any(
                share_inside(dot.box, leaf.box) > 0.5 or share_inside(leaf.box, dot.box) > 0.5 for leaf in leaves
            )
        ]
        return _one_each([*leaves, *dots])

    def _add_drawing(self, drawing: Drawing, candidates: Sequence[Shape]) -> None:
        place = len(self._found)
        number: dict[int | None, int] = {}
        for index in drawing.nodes:
            touching = sum(index in (arrow.start, arrow.end) for arrow in drawing.arrows)
            number[index] = self._add("node", candidates[index].box, score.of_node(candidates[index], touching))
        for arrow in drawing.arrows:
            start, end = number.get(arrow.start), number.get(arrow.end)
            self._add(
                "arrow", arrow.box, score.of_arrow(arrow), arrow.points, start=start, end=end, both_ways=arrow.both_ways
            )
        for zone in drawing.zones:
            self._add("canvas", zone, score.DASHED_ZONE)
        box = union([one.box for one in self._found[place:]])
        self._found.append(Detection("diagram", box, score.of_diagram(len(drawing.nodes), drawing.joined)))

    def _add_texts(self, shapes: Sequence[Shape], lines: Sequence[TextLine]) -> None:
        """Add what is left of shapes with text, and text without a shape."""
        # A word across the whole of a stamp leaves parts of its inside without text.
        cut = [shape for shape in self._shapes if shape.source == "lined" and not self._text_in(shape.box)]
        stamps = find_stamps([*shapes, *cut])
        for shape in shapes:
            if self._text_in(shape.box) and not any(share_inside(shape.box, stamp) > 0.9 for stamp in stamps):
                self._add("textbox", self._with_bar(shape), 0.9 * min(1.0, shape.fill))
        said = [*self._zones, *stamps]
        free = [line for line in lines if not any(share_inside(line.box, zone) > 0.8 for zone in said)]
        for block in group_lines(in_rows(free), self._from_layer):
            self._add_group("textbox", block.box, score.of_text(block), [line.box for line in block.lines])

    def _with_bar(self, shape: Shape) -> Box:
        """A note's box with the strong bar at its left edge."""
        for other in self._shapes:
            upright = other.dark and other.width <= 16 and abs(other.height - shape.height) <= 14
            if upright and gap(other.box, shape.box) <= 6 and abs(other.box[1] - shape.box[1]) <= 10:
                return union([other.box, shape.box])
        return shape.box


def _same_place(a: Box, b: Box) -> bool:
    return overlap(a, b) > 0.75 * max(area(a), area(b))


def _hemmed_in(shape: Shape, others: Sequence[Shape]) -> bool:
    """Whether an area is what arrows between shapes close in: paper with several smaller shapes at its very edge."""
    if shape.filled or shape.source != "lined":
        return False
    near = [
        other
        for other in others
        if other is not shape
        and area(other.box) < area(shape.box)
        and gap(other.box, shape.box) <= 7
        and share_inside(other.box, shape.box) < 0.7
        and share_inside(shape.box, other.box) < 0.7
    ]
    return len(near) >= 2


def _one_each(shapes: Sequence[Shape]) -> list[Shape]:
    """Shapes of which none is nearly another one; the first of two stays."""
    kept: list[Shape] = []
    for shape in shapes:
        if not any(overlap(shape.box, other.box) > 0.6 * min(area(shape.box), area(other.box)) for other in kept):
            kept.append(shape)
    return kept
