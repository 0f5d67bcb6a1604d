"""Boards, frames and tables that are easily taken for something else, on pages drawn for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.docparse.documents import draw_page
from pipeline.docparse.labels import LABELS
from pipeline.docparse.media import PDF
from pipeline.docparse.opencv.arrow import Stop, around
from pipeline.docparse.opencv.detector import OpenCvDetector
from pipeline.docparse.opencv.drawings import find_drawings
from pipeline.docparse.opencv.geometry import iou
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import Box, PageText
from tests.pipeline.documents import new_page, save

ZOOM = 150 / 72


def found(path: Path, drawer: Callable[[Any], None]) -> list[Detection]:
    page = draw_page(save(path, lambda document: drawer(new_page(document))), PDF, 1, 150, 50_000_000)
    height, width = page.pixels.shape[:2]
    return OpenCvDetector(0.3, LABELS).detect([(page.pixels, PageText(width, height, 150, page.words))])[0]


def only(regions: list[Detection], label: str) -> Box:
    """The box of the only region of a label, in points."""
    (one,) = [region for region in regions if region.label == label]
    left, top, right, bottom = (side / ZOOM for side in one.box)
    return left, top, right, bottom


def notes(page: Any, places: list[tuple[float, float]], width: float, height: float) -> None:
    for number, (x, y) in enumerate(places):
        page.draw_rect((x, y, x + width, y + height), color=(0.2, 0.3, 0.6), fill=(0.87, 0.91, 0.97))
        page.insert_text((x + 6, y + 16), f"Note {number}", fontsize=8)


def test_a_board_with_few_notes_of_one_size_is_a_canvas(tmp_path: Path) -> None:
    def board(page: Any) -> None:
        page.draw_rect((100, 100, 340, 340))
        notes(page, [(184, 110), (112, 184), (186, 186), (260, 183), (184, 260)], 58, 58)

    assert iou(only(found(tmp_path / "board.pdf", board), "canvas"), (100, 100, 340, 340)) > 0.9


def test_boxes_that_an_arrow_joins_in_a_frame_are_no_board(tmp_path: Path) -> None:
    def zone(page: Any) -> None:
        page.draw_rect((100, 100, 340, 340))
        notes(page, [(184, 110), (112, 184), (186, 186), (260, 183), (184, 260)], 58, 58)
        page.draw_line((172, 213), (180, 213), width=1.5)
        page.draw_polyline([(178, 208), (178, 218), (184, 213)], fill=(0, 0, 0), closePath=True)
        page.draw_line((213, 170), (213, 180), width=1.5)
        page.draw_polyline([(208, 178), (218, 178), (213, 184)], fill=(0, 0, 0), closePath=True)

    labels = [one.label for one in found(tmp_path / "zone.pdf", zone)]
    assert "diagram" in labels
    assert "node" in labels


def test_a_board_that_its_notes_fill_is_a_canvas(tmp_path: Path) -> None:
    def board(page: Any) -> None:
        page.draw_rect((54, 100, 544, 370))
        notes(page, [(60 + 161 * column, 106 + 87 * row) for row in range(3) for column in range(3)], 150, 76)

    regions = found(tmp_path / "board.pdf", board)
    assert iou(only(regions, "canvas"), (54, 100, 544, 370)) > 0.9
    assert not [one for one in regions if one.label == "diagram"]


def test_a_low_dashed_frame_around_a_row_of_nodes_is_a_canvas_in_the_diagram(tmp_path: Path) -> None:
    def zone(page: Any) -> None:
        page.draw_rect((100, 100, 430, 150), dashes="[5 3] 0", color=(0.3, 0.5, 0.2), radius=0.16)
        notes(page, [(112, 114), (232, 114), (352, 114)], 66, 26)
        for x in (178, 298):
            page.draw_line((x, 127), (x + 48, 127))
            page.draw_polyline([(x + 46, 124), (x + 46, 130), (x + 54, 127)], fill=(0, 0, 0), closePath=True)

    regions = found(tmp_path / "zone.pdf", zone)
    assert iou(only(regions, "canvas"), (100, 100, 430, 150)) > 0.85
    assert iou(only(regions, "diagram"), (100, 100, 430, 150)) > 0.85


def test_a_table_without_lines_takes_nothing_from_the_drawing_beside_it(tmp_path: Path) -> None:
    def beside(page: Any) -> None:
        for row in range(6):
            for column, word in enumerate(("Catalogue", f"{row}.8", "Gateway")):
                page.insert_text((60 + 76 * column, 120 + 20 * row), word, fontsize=8)
        for x, y, word in ((330, 128, "Courier"), (410, 128, "Pricing"), (330, 208, "Partner")):
            page.draw_oval((x, y, x + 56, y + 26), color=(0.3, 0.2, 0.5), fill=(0.9, 0.87, 0.95))
            page.insert_text((x + 14, y + 15), word, fontsize=8)
        page.draw_line((386, 141), (404, 141))
        page.draw_polyline([(403, 138), (403, 144), (410, 141)], fill=(0, 0, 0), closePath=True)

    assert iou(only(found(tmp_path / "beside.pdf", beside), "table"), (60, 113, 240, 222)) > 0.8


def test_round_nodes_in_rows_are_no_table(tmp_path: Path) -> None:
    def rows(page: Any) -> None:
        for row in range(4):
            for column, word in enumerate(("Courier", "Pricing", "Partner")):
                x, y = 80 + 130 * column, 100 + 50 * row
                page.draw_oval((x, y, x + 80, y + 28), color=(0.1, 0.1, 0.1), fill=(0.87, 0.91, 0.97), width=1.2)
                page.insert_text((x + 24, y + 17), word, fontsize=8)
                if column < 2:
                    page.draw_line((x + 80, y + 14), (x + 124, y + 14))
                    page.draw_polyline(
                        [(x + 122, y + 11), (x + 122, y + 17), (x + 130, y + 14)], fill=(0, 0, 0), closePath=True
                    )

    labels = [one.label for one in found(tmp_path / "rows.pdf", rows)]
    assert "table" not in labels
    assert labels.count("node") == 12


def test_a_ruled_table_of_numbers_is_no_chart(tmp_path: Path) -> None:
    def ruled(page: Any) -> None:
        for row in range(8):
            for column in range(5):
                x, y = 54 + 90 * column, 100 + 18 * row
                page.draw_rect((x, y, x + 90, y + 18), color=(0.35, 0.2, 0.5), width=0.6)
                text = "Quality gate" if column == 0 else f"{row}{column}.8"
                page.insert_text((x + (6 if column == 0 else 66), y + 12), text, fontsize=8)

    regions = found(tmp_path / "ruled.pdf", ruled)
    assert iou(only(regions, "table"), (54, 100, 504, 244)) > 0.95
    assert not [one for one in regions if one.label == "diagram"]


def test_a_stamp_is_no_text(tmp_path: Path) -> None:
    ink = (0.7, 0.45, 0.1)

    def stamp(page: Any) -> None:
        page.draw_circle((500, 780), 30, color=ink, width=1.6)
        page.draw_circle((500, 780), 26, color=ink, width=0.7)
        page.insert_text((480, 786), "APPROVED", fontsize=7, fontname="hebo", color=ink)

    assert not [one for one in found(tmp_path / "stamp.pdf", stamp) if one.label == "textbox"]


def test_names_at_the_left_and_numbers_at_the_right_of_columns_are_a_table(tmp_path: Path) -> None:
    def table(page: Any) -> None:
        for y, row in (
            (100, ("Delivery", "Payment", "Audit log")),
            (124, ("Cache", 65, 97)),
            (148, ("Mobile", 7, 833)),
        ):
            page.insert_text((60, y), row[0], fontsize=8.5)
            for left, right, cell in ((200, 260, row[1]), (290, 360, row[2])):
                text = str(cell)
                place = left if isinstance(cell, str) else right - 4.7 * len(text)
                page.insert_text((place, y), text, fontsize=8.5)
        for y, cells in ((172, ("Stream", "Forecast", 45)), (196, ("Refund", "Storage", 221))):
            page.insert_text((60, y), cells[0], fontsize=8.5)
            page.insert_text((200, y), cells[1], fontsize=8.5)
            page.insert_text((360 - 4.7 * len(str(cells[2])), y), str(cells[2]), fontsize=8.5)

    box = only(found(tmp_path / "table.pdf", table), "table")
    assert iou(box, (60, 94, 360, 196)) > 0.85


def test_a_board_with_three_notes_of_one_size_is_a_canvas(tmp_path: Path) -> None:
    for name, places in (
        ("a", [(110.0, 112.0), (250.0, 108.0), (112.0, 200.0)]),
        ("b", [(110.0, 112.0), (190.0, 200.0), (262.0, 198.0)]),
    ):

        def board(page: Any, places: list[tuple[float, float]] = places) -> None:
            page.draw_rect((100, 100, 334, 286))
            notes(page, places, 62, 74)

        assert iou(only(found(tmp_path / f"{name}.pdf", board), "canvas"), (100, 100, 334, 286)) > 0.9


def test_a_single_row_of_tall_cells_with_lists_is_a_canvas(tmp_path: Path) -> None:
    def sheet(page: Any) -> None:
        for column in range(3):
            x = 54 + 160 * column
            page.draw_rect((x, 100, x + 160, 200), color=(0.7, 0.45, 0.1), fill=(1, 0.92, 0.8) if column == 0 else None)
            for line in range(5):
                page.insert_text((x + 6, 116 + 10.5 * line), f"Line {line} of a list", fontsize=7.5)

    regions = found(tmp_path / "sheet.pdf", sheet)
    assert iou(only(regions, "canvas"), (54, 100, 534, 200)) > 0.95
    assert not [one for one in regions if one.label == "table"]


def test_a_dashed_frame_whose_sides_its_nodes_hide_is_a_canvas_in_the_diagram(tmp_path: Path) -> None:
    def zone(page: Any) -> None:
        page.draw_rect((100, 100, 334, 186), dashes="[5 3] 0", color=(0.3, 0.5, 0.2), radius=0.18)
        notes(page, [(100, 120), (272, 120)], 62, 46)
        page.draw_line((162, 143), (266, 143))
        page.draw_polyline([(265, 140), (265, 146), (271, 143)], fill=(0, 0, 0), closePath=True)

    regions = found(tmp_path / "zone.pdf", zone)
    assert iou(only(regions, "canvas"), (100, 100, 334, 186)) > 0.9
    assert iou(only(regions, "diagram"), (100, 100, 334, 186)) > 0.9


def test_a_frame_with_a_name_and_dots_is_a_canvas_in_the_diagram(tmp_path: Path) -> None:
    def zone(page: Any) -> None:
        page.draw_rect((100, 100, 400, 145), radius=0.18)
        page.insert_text((107, 110), "Search", fontsize=7.5, fontname="hebo")
        notes(page, [(86, 200), (350, 200)], 62, 40)
        for x in (117, 381):
            page.draw_circle((x, 127), 8, color=(0, 0, 0), fill=(0.76, 0.33, 0.23))
            page.draw_line((x, 135), (x, 194), width=1.2)
            page.draw_polyline([(x - 4, 192), (x + 4, 192), (x, 200)], fill=(0, 0, 0), closePath=True)

    regions = found(tmp_path / "zone.pdf", zone)
    assert iou(only(regions, "canvas"), (100, 100, 400, 145)) > 0.9
    assert len([one for one in regions if one.label == "node"]) == 4


def test_a_node_that_its_letters_cut_in_two_is_one_node_and_no_frame(tmp_path: Path) -> None:
    def drawing(page: Any) -> None:
        colours = {"color": (0.2, 0.23, 0.27), "fill": (0.9, 0.92, 0.93), "width": 1.2}
        page.draw_rect((300, 100, 378, 154), **colours)
        for x, y, text in ((322, 116, "Partner"), (322, 131, "and"), (302, 146, "agreementsagreem")):
            page.insert_text((x, y), text, fontsize=9)
        page.draw_rect((140, 114, 200, 140), **colours)
        page.insert_text((154, 130), "Billing", fontsize=9)
        page.draw_line((200, 127), (292, 127), width=1.2)
        page.draw_polyline([(291, 123), (291, 131), (299, 127)], fill=(0, 0, 0), closePath=True)

    regions = found(tmp_path / "node.pdf", drawing)
    assert not [one for one in regions if one.label == "canvas"]
    assert len([one for one in regions if one.label == "node"]) == 2


def test_a_stamp_whose_word_reaches_across_is_no_text(tmp_path: Path) -> None:
    ink = (0.2, 0.2, 0.2)

    def stamp(page: Any) -> None:
        page.draw_circle((500, 780), 24, color=ink, width=1.6)
        page.draw_circle((500, 780), 19.5, color=ink, width=0.7)
        page.insert_text((479.5, 790), "APPROVED", fontsize=7.5, fontname="hebo", color=ink)

    assert not [one for one in found(tmp_path / "stamp.pdf", stamp) if one.label == "textbox"]


def test_a_line_that_leads_back_to_its_own_shape_makes_no_diagram() -> None:
    ring = np.array([[480.0, 760.0], [540.0, 820.0]])
    stops = (Stop((510.0, 760.0), 0.0), Stop((511.0, 760.0), 0.0))
    shapes = [(484.0, 764.0, 536.0, 804.0), (490.0, 790.0, 530.0, 812.0)]
    assert not find_drawings(shapes, [around(ring, 0, 0, False, stops, 2.9)], [], [])
    assert find_drawings(shapes, [around(ring, 0, 1, False, stops, 2.9)], [], [])
