"""Lines that pass close by other things: nodes, other lines, their own heads, text; on pages drawn for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.docparse.opencv.ends import End, Nearness, reaching
from pipeline.docparse.opencv.interrupted import parted
from pipeline.docparse.opencv.shapes import Shape
from pipeline.docparse.opencv.skeleton import Graph, Way
from tests.pipeline.test_opencv_arrows import LINE, among, arrows, head, node
from tests.pipeline.test_opencv_boards import found
from tests.pipeline.test_opencv_scans import boxes, scanned

INK = (0.1, 0.12, 0.15)
DASHES = "[4 3] 0"
CLEAN: Any = {"blur": 0.01, "grain": 0.0, "paper": 255.0, "toner": 0.0, "quality": 100}
"""A picture of a page without a text layer, as sharp as the page."""


def box_shape(left: int, top: int, right: int, bottom: int, ring: int | None = None) -> Shape:
    """A white box with an outline."""
    contour = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.int32)[:, None]
    inside = (float(left), float(top), float(right), float(bottom))
    return Shape(inside, inside, contour, 1.0, 1.0, (255, 255, 255), False, False, "lined", ring)


def test_a_dashed_elbow_whose_corner_lies_at_a_node_is_one_arrow(tmp_path: Path) -> None:
    def tree(page: Any) -> None:
        page.draw_line((145, 124), (206, 124), dashes=DASHES, **LINE)
        page.draw_line((206, 126), (206, 206), dashes=DASHES, **LINE)
        page.draw_line((209, 212.5), (265, 212.5), dashes=DASHES, **LINE)
        head(page, 270, 212.5, "right")
        node(page, (85, 106, 145, 140), "Gateway")
        page.draw_oval((148, 198, 202, 227), color=(0.3, 0.2, 0.5), width=1)
        page.insert_text((164, 215), "API", fontsize=8)
        node(page, (272, 198, 330, 227), "Courier")

    seen = arrows(found(tmp_path / "tree.pdf", tree))
    assert among(seen, (145, 123, 270, 216), 0.85)
    assert len(seen) == 1


def test_an_elbow_that_starts_with_another_and_passes_at_the_side_of_its_node_is_one_arrow(tmp_path: Path) -> None:
    def fork(page: Any) -> None:
        page.draw_polyline([(108, 144), (132, 144), (132, 233), (138, 233)], **LINE)
        head(page, 144, 233, "right")
        page.draw_polyline([(108, 144), (230, 144), (230, 234), (300, 234)], dashes=DASHES, **LINE)
        head(page, 308, 234, "right")
        node(page, (48, 130, 108, 158), "Gateway")
        node(page, (146, 220, 230, 248), "Courier")
        node(page, (308, 220, 372, 248), "Partner")

    seen = arrows(found(tmp_path / "fork.pdf", fork))
    assert among(seen, (108, 144, 308, 238), 0.85)
    assert among(seen, (108, 144, 144, 237), 0.8)
    assert len(seen) == 2


def test_lines_that_cross_at_a_flat_angle_go_straight_on(tmp_path: Path) -> None:
    def cross(page: Any) -> None:
        for (x0, y0), (x1, y1) in (((120, 132), (304, 200)), ((304, 132), (120, 200))):
            page.draw_line((x0, y0), (x1, y1), color=INK, width=2)
            onward = 8 if x1 > x0 else -8
            page.draw_polyline(
                [(x1 - onward, y1 - 6), (x1 - onward - onward / 8, y1 + 1), (x1, y1)],
                color=INK,
                fill=INK,
                closePath=True,
            )
        node(page, (50, 112, 120, 142), "Gateway")
        node(page, (304, 112, 374, 142), "Courier")
        node(page, (50, 192, 120, 222), "Pricing")
        node(page, (304, 192, 374, 222), "Partner")

    seen = arrows(found(tmp_path / "cross.pdf", cross))
    assert len(seen) == 2
    assert all(box[3] - box[1] > 55 for box in seen)


def test_a_head_before_the_tip_of_a_thick_outline_ends_before_it(tmp_path: Path) -> None:
    def chain(page: Any) -> None:
        page.draw_line((130, 155), (286, 155), color=(0.45, 0.48, 0.53), width=2)
        head(page, 293, 155, "right")
        node(page, (70, 140, 130, 170), "Gateway")
        hexagon = [(300, 155), (346, 138), (400, 138), (446, 155), (400, 172), (346, 172)]
        page.draw_polyline(hexagon, color=(0, 0, 0), fill=(0.92, 0.92, 0.92), width=2, closePath=True)
        page.insert_text((348, 158), "Audit log", fontsize=8)

    (seen,) = arrows(found(tmp_path / "chain.pdf", chain))
    assert 291 <= seen[2] <= 298
    assert seen[3] - seen[1] <= 9


def test_a_line_that_glances_at_an_outline_ends_where_it_meets_it() -> None:
    shape = box_shape(100, 50, 200, 100, ring=8)
    whole = np.zeros((150, 300), np.uint8)
    whole[101:109, 92:208] = 1
    whole[104:107, 180:260] = 1
    way = np.stack([np.linspace(250, 190, 31), np.full(31, 105.0)], axis=1)
    ((x, y),) = reaching(End(0, (190.0, 105.0), 0, 8.0, 1.0), way, shape, whole, bare=True)
    assert (x, y) == (190.0, 105.0)


def test_the_first_dash_of_a_short_arrow_is_its_own(tmp_path: Path) -> None:
    def pair(page: Any) -> None:
        page.draw_line((160.5, 115), (164, 115), color=INK, width=1)
        page.draw_line((167, 115), (172, 115), color=INK, width=1)
        page.draw_polyline([(170, 112), (170, 118), (177, 115)], color=INK, fill=INK, closePath=True)
        for x, word in ((90, "Gateway"), (180, "Courier")):
            page.draw_rect((x, 96, x + 70, 134), color=(0.1, 0.2, 0.35), fill=(0.14, 0.31, 0.5), width=1)
            page.insert_text((x + 16, 118), word, fontsize=8, color=(1, 1, 1))

    (seen,) = arrows(found(tmp_path / "pair.pdf", pair))
    assert seen[0] <= 162


def test_a_short_arrow_to_a_dark_node_is_no_mark_before_its_text(tmp_path: Path) -> None:
    def pair(page: Any) -> None:
        page.draw_line((154, 115), (163, 115), color=(0.4, 0.43, 0.48), width=1.5)
        page.draw_polyline(
            [(162, 111.2), (162, 118.8), (170, 115)], color=(0.4, 0.43, 0.48), fill=(0.4, 0.43, 0.48), closePath=True
        )
        for x, word in ((90, "Gateway"), (173, "Courier")):
            page.draw_rect((x, 100, x + 60, 130), color=(0, 0, 0), fill=(0.76, 0.32, 0.23), width=1)
            page.insert_text((x + 8, 118), word, fontsize=9, color=(1, 1, 1))

    regions = scanned(tmp_path / "pair.pdf", pair, **CLEAN)
    assert among(boxes(regions, "arrow"), (154, 111, 170, 119))
    assert len(boxes(regions, "node")) == 2


def test_the_head_behind_a_label_of_a_dashed_line_is_no_letter_of_it(tmp_path: Path) -> None:
    def pair(page: Any) -> None:
        page.draw_line((142, 115), (166, 115), color=INK, width=2.4, dashes="[5 4] 0")
        page.insert_text((165, 118), "HTTP", fontsize=8)
        page.draw_line((188, 115), (198, 115), color=INK, width=2.4, dashes="[4 3] 0")
        page.draw_polyline([(194, 111), (194, 119), (203, 115)], color=INK, fill=(1, 1, 1), width=1.5, closePath=True)
        for x, word in ((80, "Gateway"), (206, "Courier")):
            page.draw_rect((x, 98, x + 60, 132), color=(0.4, 0.3, 0.55), fill=(0.44, 0.31, 0.56), width=1)
            page.insert_text((x + 10, 118), word, fontsize=9, color=(1, 1, 1))

    regions = scanned(tmp_path / "pair.pdf", pair, **CLEAN)
    assert among(boxes(regions, "arrow"), (141, 110, 204, 120))


def test_a_node_over_whose_corner_and_text_a_line_passes_stays_whole(tmp_path: Path) -> None:
    def chain(page: Any) -> None:
        page.draw_line((255, 130), (255, 192), color=INK, width=1)
        head(page, 255, 197, "down")
        node(page, (210, 100, 300, 130), "Gateway")
        page.draw_oval((210, 198, 300, 230), color=(0.3, 0.5, 0.2), fill=(0.88, 0.94, 0.82), width=1)
        page.insert_text((232, 217), "Warehouse", fontsize=8)
        node(page, (340, 198, 400, 230), "Courier")
        page.draw_polyline([(340, 115), (276, 115), (276, 214), (332, 214)], color=INK, width=1)
        head(page, 338, 214, "right")
        node(page, (340, 100, 400, 130), "Partner")

    regions = found(tmp_path / "chain.pdf", chain)
    assert among(boxes(regions, "node"), (210, 198, 300, 230), 0.9)
    assert among(arrows(regions), (251, 130, 259, 197))


@pytest.mark.parametrize(("back", "lines"), [(20, 2), (160, 1)])
def test_a_line_that_turns_back_at_a_third_shape_is_two_arrows_whose_heads_touch(back: int, lines: int) -> None:
    shapes = [box_shape(0, 80, 60, 120), box_shape(220, 80, 300, 120), box_shape(0, 180, 60 + back, 220)]
    near = Nearness(shapes, (150, 200))
    there = [(x, 50) for x in range(34, 106)]
    low = [(round(105 - (105 - 34 - back / 2) * step / 45), 50 + step) for step in range(1, 46)]
    graph = Graph({0: there[0], 1: low[-1]}, [Way(0, 1, [*there, *low])])
    parted(graph, near)
    assert len(graph.ways) == lines
    assert sum(len(way.pixels) for way in graph.ways) == len(there) + len(low) + lines - 1


def test_a_corner_that_was_mended_off_the_page_is_as_far_away_as_the_page_s_edge() -> None:
    near = Nearness([box_shape(0, 80, 60, 120)], (150, 200))
    assert near.away([(-3, 50), (260, 10)]).tolist() == near.away([(0, 50), (199, 10)]).tolist()
