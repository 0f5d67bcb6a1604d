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
