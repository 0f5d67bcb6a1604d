"""Arrows that are easily lost, torn or joined wrongly, on pages drawn for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.docparse.opencv.geometry import iou
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import Box
from tests.pipeline.test_opencv_boards import ZOOM, found

LINE = {"color": (0.1, 0.12, 0.15), "width": 1.5}


def arrows(regions: list[Detection]) -> list[Box]:
    """Boxes of the arrows in points."""
    boxes = []
    for one in regions:
        if one.label == "arrow" and one.score >= 0.5:
            left, top, right, bottom = (side / ZOOM for side in one.box)
            boxes.append((left, top, right, bottom))
    return boxes


def among(boxes: list[Box], wanted: Box, least: float = 0.6) -> bool:
    return any(iou(box, wanted) >= least for box in boxes)


def node(page: Any, box: Box, word: str, **colours: Any) -> None:
    page.draw_rect(box, **({"color": (0.3, 0.2, 0.5), "fill": (0.9, 0.87, 0.95), "width": 1.5} | colours))
    page.insert_text((box[0] + 8, (box[1] + box[3]) / 2 + 3), word, fontsize=8)


def head(page: Any, x: float, y: float, way: str) -> None:
    """A filled head whose tip is at a point."""
    back, side = 8.0, 3.5
    corners = {
        "down": [(x - side, y - back), (x + side, y - back)],
        "up": [(x - side, y + back), (x + side, y + back)],
        "right": [(x - back, y - side), (x - back, y + side)],
        "left": [(x + back, y - side), (x + back, y + side)],
    }[way]
    page.draw_polyline([*corners, (x, y)], color=(0.1, 0.12, 0.15), fill=(0.1, 0.12, 0.15), closePath=True)


def test_an_elbow_that_passes_behind_a_node_is_one_arrow(tmp_path: Path) -> None:
    def tree(page: Any) -> None:
        page.draw_polyline([(180, 115), (278, 115), (278, 212), (400, 212)], **LINE)
        head(page, 400, 212, "right")
        page.draw_line((145, 130), (145, 200), **LINE)
        head(page, 145, 200, "down")
        node(page, (110, 100, 180, 130), "Gateway")
        node(page, (110, 200, 180, 226), "Courier")
        node(page, (210, 199, 300, 225), "Pricing")
        node(page, (400, 199, 480, 225), "Partner")

    boxes = arrows(found(tmp_path / "tree.pdf", tree))
    assert among(boxes, (180, 115, 400, 215), 0.85)
    assert among(boxes, (141, 130, 149, 200))
    assert len(boxes) == 2


def test_a_line_to_the_middle_of_a_node_ends_there(tmp_path: Path) -> None:
    def chain(page: Any) -> None:
        page.draw_line((255, 130), (255, 199), **LINE)
        page.draw_line((300, 212), (400, 212), **LINE)
        head(page, 400, 212, "right")
        node(page, (210, 100, 300, 130), "Gateway")
        node(page, (210, 199, 300, 225), "Pricing")
        node(page, (400, 199, 480, 225), "Partner")

    assert among(arrows(found(tmp_path / "chain.pdf", chain)), (300, 208, 400, 216))


def test_a_stem_whose_arms_leave_it_at_two_heights_belongs_to_both_arrows(tmp_path: Path) -> None:
    def fork(page: Any) -> None:
        page.draw_polyline([(255, 130), (255, 160), (160, 160), (160, 200)], **LINE)
        page.draw_polyline([(255, 130), (255, 162), (350, 162), (350, 200)], **LINE)
        head(page, 255, 130, "up")
        head(page, 160, 200, "down")
        head(page, 350, 200, "down")
        node(page, (210, 100, 300, 130), "Gateway")
        node(page, (120, 200, 200, 226), "Courier")
        node(page, (310, 200, 390, 226), "Partner")

    boxes = arrows(found(tmp_path / "fork.pdf", fork))
    assert among(boxes, (157, 130, 258, 200), 0.8)
    assert among(boxes, (252, 130, 353, 200), 0.8)


@pytest.mark.parametrize("width", [0.8, 3.0])
def test_an_open_head_at_an_outline_keeps_both_its_sides(tmp_path: Path, width: float) -> None:
    def up(page: Any) -> None:
        page.draw_line((145, 131), (145, 200), **LINE)
        page.draw_polyline([(140, 140), (145, 131), (150, 140)], **LINE)
        node(page, (110, 100, 180, 130), "Gateway", width=width)
        node(page, (110, 200, 180, 226), "Courier", width=width)

    assert among(arrows(found(tmp_path / "up.pdf", up)), (140, 130, 150, 200), 0.65)


def test_the_lid_of_a_filled_cylinder_is_no_arrow(tmp_path: Path) -> None:
    def store(page: Any) -> None:
        colour = (0.72, 0.45, 0.05)
        page.draw_oval((110, 200, 190, 214), color=colour, fill=colour)
        page.draw_rect((110, 207, 190, 240), color=colour, fill=colour)
        page.draw_oval((110, 233, 190, 247), color=colour, fill=colour)
        page.draw_bezier((110, 207), (115, 216), (185, 216), (190, 207), color=(1, 1, 1), width=1.5)
        page.insert_text((122, 232), "Registry", fontsize=9, color=(1, 1, 1))
        for x, word in ((110, "Gateway"), (230, "Courier")):
            node(page, (x, 100, x + 80, 126), word)
        page.draw_line((150, 126), (150, 199), **LINE)
        head(page, 150, 199, "down")
        page.draw_line((240, 126), (176, 199), **LINE)
        page.draw_polyline([(178, 191), (176, 199), (184, 197)], **LINE)

    boxes = arrows(found(tmp_path / "store.pdf", store))
    assert among(boxes, (146, 126, 154, 199))
    assert among(boxes, (176, 126, 240, 199), 0.8)
    assert len(boxes) == 2


def test_letters_that_touch_a_round_outline_take_no_node_away(tmp_path: Path) -> None:
    def pill(page: Any) -> None:
        page.draw_rect((110, 100, 190, 148), color=(0.3, 0.2, 0.5), fill=(0.9, 0.87, 0.95), radius=0.5, width=1.5)
        for line, (x, word) in enumerate(((120, "Procurement"), (117, "proposes some"), (136, "thing"))):
            page.insert_text((x, 114 + 13 * line), word, fontsize=9.5)
        node(page, (115, 200, 185, 226), "Courier")
        page.draw_line((150, 148), (150, 200), **LINE)
        head(page, 150, 200, "down")

    regions = found(tmp_path / "pill.pdf", pill)
    nodes = [tuple(side / ZOOM for side in one.box) for one in regions if one.label == "node"]
    assert len(nodes) == 2
    assert max(iou(box, (110, 100, 190, 148)) for box in nodes) > 0.85  # type: ignore[arg-type]


def test_a_crossing_arrow_with_two_heads_is_not_parted_where_it_crosses(tmp_path: Path) -> None:
    def crossing(page: Any) -> None:
        for box, word in (
            ((80, 90, 150, 118), "Gateway"),
            ((300, 90, 370, 118), "Courier"),
            ((80, 210, 150, 238), "Pricing"),
            ((300, 210, 370, 238), "Partner"),
        ):
            node(page, box, word)
        page.draw_line((150, 122), (300, 206), **LINE)
        slanted_head(page, (300, 206), (150, 122))
        page.draw_line((300, 122), (150, 206), **LINE)
        slanted_head(page, (150, 206), (300, 122))
        slanted_head(page, (300, 122), (150, 206))

    regions = [one for one in found(tmp_path / "crossing.pdf", crossing) if one.label == "arrow"]
    assert [among([box], (150, 122, 300, 206), 0.85) for box in arrows(regions)] == [True, True]
    assert sorted(one.both_ways for one in regions) == [False, True]


def slanted_head(
    page: Any, tip: tuple[float, float], start: tuple[float, float], length: float = 8.0, colour: Any = LINE["color"]
) -> None:
    """A filled head at the end of a line."""
    dx, dy = tip[0] - start[0], tip[1] - start[1]
    size = (dx * dx + dy * dy) ** 0.5
    dx, dy = dx / size, dy / size
    back, half = (tip[0] - length * dx, tip[1] - length * dy), 0.45 * length
    wings = [(back[0] - half * dy, back[1] + half * dx), (back[0] + half * dy, back[1] - half * dx)]
    page.draw_polyline([*wings, tip], color=colour, fill=colour, closePath=True, width=0.1)


def test_a_head_in_the_corner_that_a_round_outline_leaves_free_is_kept(tmp_path: Path) -> None:
    def pill(page: Any) -> None:
        node(page, (110, 100, 200, 130), "Gateway", radius=0.5)
        node(page, (213, 103, 313, 133), "Courier", radius=0.5)
        page.draw_bezier((182, 131), (192, 136), (206, 136), (215, 130), **LINE | {"dashes": "[4 3] 0"})
        slanted_head(page, (218, 128.5), (206, 135))

    assert among(arrows(found(tmp_path / "pill.pdf", pill)), (182, 128, 219, 136), 0.7)


def test_a_short_arrow_ends_before_the_outlines_that_it_keeps_away_from(tmp_path: Path) -> None:
    def chain(page: Any) -> None:
        for left, word in ((90, "Gateway"), (200, "Courier")):
            page.draw_oval((left, 100, left + 100, 140), color=(0.3, 0.2, 0.5), fill=(1, 1, 1), width=1.6)
            page.insert_text((left + 30, 123), word, fontsize=9)
        page.draw_line((187, 109), (197, 109), **LINE)
        slanted_head(page, (203, 109), (187, 109), 6.5)

    assert among(arrows(found(tmp_path / "chain.pdf", chain)), (187, 106, 203, 112), 0.75)


def test_a_dashed_arrow_goes_on_behind_a_frame_and_its_name(tmp_path: Path) -> None:
    def zone(page: Any) -> None:
        dashed = LINE | {"dashes": "[4 3] 0"}
        page.draw_rect((60, 80, 240, 150), color=(0.7, 0.3, 0.2), dashes="[5 3] 0", width=1.2)
        node(page, (70, 105, 130, 135), "Gateway")
        node(page, (160, 105, 220, 135), "Courier")
        node(page, (250, 196, 330, 226), "Partner")
        page.draw_line((130, 120), (160, 120), **LINE)
        head(page, 160, 120, "right")
        page.draw_line((200, 138), (284, 192), **dashed)
        slanted_head(page, (290, 196), (200, 138))

    assert among(arrows(found(tmp_path / "zone.pdf", zone)), (200, 138, 290, 196), 0.8)


def test_an_arrow_whose_head_a_name_hides_is_as_wide_as_others(tmp_path: Path) -> None:
    def zone(page: Any) -> None:
        page.draw_rect((60, 150, 300, 220), color=(0.7, 0.3, 0.2), width=1)
        node(page, (70, 175, 150, 205), "Gateway")
        node(page, (200, 175, 280, 205), "Courier")
        node(page, (70, 60, 150, 90), "Pricing")
        page.draw_line((151, 190), (194, 190), **LINE)
        head(page, 199, 190, "right")
        page.draw_line((110, 91), (110, 168), **LINE)
        head(page, 110, 173, "down")
        page.insert_text((66, 171), "Schema registry unit", fontsize=10)

    assert among(arrows(found(tmp_path / "zone.pdf", zone)), (106.5, 91, 113.5, 173), 0.7)


def test_the_tip_of_a_dark_diamond_joins_no_arrows(tmp_path: Path) -> None:
    dark = (0.2, 0.24, 0.3)
    line = {"color": dark, "width": 2.2}

    def tip(page: Any) -> None:
        corners = [(305, 150), (350, 124), (395, 150), (350, 176)]
        page.draw_polyline(corners, color=dark, fill=dark, closePath=True, width=1)
        page.insert_text((332, 153), "Partner", fontsize=9, color=(1, 1, 1))
        node(page, (110, 70, 180, 100), "Gateway", fill=dark, color=dark)
        node(page, (110, 200, 180, 230), "Courier", fill=dark, color=dark)
        page.draw_bezier((170, 100), (210, 135), (260, 145), (304, 145), **line)
        slanted_head(page, (312, 146), (290, 144.5), colour=dark)
        page.draw_bezier((312, 154), (260, 155), (220, 165), (175, 195), **line)
        slanted_head(page, (170, 200), (190, 184), colour=dark)

    boxes = arrows(found(tmp_path / "tip.pdf", tip))
    assert among(boxes, (170, 100, 312, 147), 0.8)
    assert among(boxes, (170, 154, 312, 200), 0.8)


def test_an_elbow_whose_corner_a_label_hides_is_one_arrow(tmp_path: Path) -> None:
    def elbow(page: Any) -> None:
        node(page, (80, 100, 150, 130), "Gateway")
        node(page, (210, 190, 290, 220), "Courier")
        page.draw_polyline([(153, 115), (250, 115), (250, 186)], **LINE | {"dashes": "[4 3] 0"})
        head(page, 250, 188, "down")
        page.draw_rect((236, 110, 266, 124), color=(1, 1, 1), fill=(1, 1, 1))
        page.insert_text((239, 121), "sends", fontsize=8)

    assert among(arrows(found(tmp_path / "elbow.pdf", elbow)), (153, 115, 254, 188), 0.8)
