"""Tables that only the alignment of their text shows, on pages drawn for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.docparse.opencv.geometry import iou
from tests.pipeline.test_opencv_boards import ZOOM, found, only

SIZE = 8.5
DIGIT = 4.7
"""Width of a digit in points."""

Row = tuple[str | int, ...]


def set_rows(page: Any, rows: Sequence[Row], columns: Sequence[tuple[float, float]], top: float, pitch: float) -> None:
    """Set names at the left of their columns and numbers at the right."""
    for number, row in enumerate(rows):
        for (left, right), cell in zip(columns, row, strict=True):
            x = left if isinstance(cell, str) else right - DIGIT * len(str(cell))
            page.insert_text((x, top + number * pitch), str(cell), fontsize=SIZE)


def drawn(rows: Sequence[Row], columns: Sequence[tuple[float, float]], pitch: float = 24) -> Callable[[Any], None]:
    return lambda page: set_rows(page, rows, columns, 100, pitch)


def test_cells_far_apart_are_one_table(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("Schema registry", "Invoice", "Billing"),
        ("Identity", "Order", "Registry"),
        ("Order", 868, 25042026),
        ("Partner", 569, 44),
        ("Review board", 79, 734),
        ("Courier", "Council", 4588),
    ]
    box = only(found(tmp_path / "wide.pdf", drawn(rows, [(40, 300), (400, 445), (460, 550)])), "table")
    assert iou(box, (40, 94, 550, 221)) > 0.9


def test_rows_that_share_nothing_but_the_first_column_are_one_table(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("Customer", "Review board", "Pricing"),
        ("Billing", 7363, 1340),
        ("Pricing", "Cache", "Mobile app"),
        ("Catalogue", 4042026, 301),
        ("Contract", 25102026, "Monitoring"),
        ("Courier", 85, 12),
    ]
    box = only(found(tmp_path / "mixed.pdf", drawn(rows, [(60, 150), (160, 230), (245, 310)])), "table")
    assert iou(box, (60, 94, 310, 221)) > 0.9


def test_a_number_right_before_the_next_name_is_a_cell_of_its_own(tmp_path: Path) -> None:
    rows: list[Row] = [
        ("Customer", "Review board", "Pricing"),
        ("Billing", 7363, "Gateway"),
        ("Pricing", 816, "Mobile app"),
        ("Catalogue", 4042026, 301),
        ("Contract", 251, "Monitoring"),
        ("Courier", "Cache", 12),
    ]
    box = only(found(tmp_path / "close.pdf", drawn(rows, [(60, 150), (160, 230), (242, 310)])), "table")
    assert iou(box, (60, 94, 310, 221)) > 0.9


def test_lines_of_a_column_beside_a_table_are_none_of_its_cells(tmp_path: Path) -> None:
    rows: list[Row] = [("Billing", "Audit", "Cache"), ("Order", 12, 345), ("Mobile", 7, 21), ("Refund", "Stock", 8)]

    def beside(page: Any) -> None:
        set_rows(page, rows, [(60, 120), (130, 180), (195, 240)], 100, 24)
        for number in range(9):
            page.insert_text((300, 100 + 15 * number), "A word of text, a short one"[: 20 + number % 3], fontsize=SIZE)

    assert iou(only(found(tmp_path / "beside.pdf", beside), "table"), (60, 94, 240, 173)) > 0.9


def ruled(page: Any, left: float, right: float, top: float, rows: int = 4, pitch: float = 20) -> float:
    """A table of three columns with three rules; returns its last one's y."""
    step = (right - left) / 3
    columns = [(left + step * place + 6, left + step * (place + 1) - 6) for place in range(3)]
    set_rows(page, [("Order", "Cache", "Audit log")] * rows, columns, top + 13, pitch)
    for y in (top, top + pitch, top + rows * pitch):
        page.draw_line((left, y), (right, y), width=1)
    return top + rows * pitch


def test_a_rule_over_the_page_is_none_of_a_table_s_though_as_wide(tmp_path: Path) -> None:
    def page_of_two(page: Any) -> None:
        page.draw_line((54, 42), (540, 42), width=0.6)
        ruled(page, 54, 380, 120)
        ruled(page, 54, 540, 240)

    boxes = [one.box for one in found(tmp_path / "two.pdf", page_of_two) if one.label == "table"]
    assert len(boxes) == 2
    for wanted in ((54, 120, 380, 200), (54, 240, 540, 320)):
        assert any(iou(tuple(side / ZOOM for side in box), wanted) > 0.9 for box in boxes)  # type: ignore[arg-type]


def test_a_box_under_a_table_as_wide_is_none_of_it(tmp_path: Path) -> None:
    rows: list[Row] = [("Billing", "Audit", "Cache"), ("Order", 12, 345), ("Mobile", 7, 21), ("Refund", "Stock", 8)]

    def between(page: Any) -> None:
        bottom = ruled(page, 54, 540, 100)
        set_rows(page, rows, [(60, 160), (170, 260), (280, 380)], bottom + 40, 18)
        page.draw_rect((54, bottom + 150, 540, bottom + 200), color=(0.2, 0.2, 0.3))
        page.insert_text((66, bottom + 170), "Anyone may read the minutes of the meeting", fontsize=9)

    boxes = [one.box for one in found(tmp_path / "under.pdf", between) if one.label == "table"]
    assert any(iou(tuple(side / ZOOM for side in box), (54, 100, 540, 180)) > 0.9 for box in boxes)  # type: ignore[arg-type]
    assert len(boxes) == 2


def test_a_tall_cell_that_lines_close_in_leaves_a_torn_table_whole(tmp_path: Path) -> None:
    tops = (100, 120, 140, 174, 194, 214)

    def torn(page: Any) -> None:
        for top, bottom in pairwise(tops):
            for x, word in ((66, "Order"), (206, "Audit log"), (346, "Cache")):
                page.insert_text((x, top + 13), word, fontsize=SIZE)
                if bottom - top > 20:
                    page.insert_text((x, top + 26), "and more", fontsize=SIZE)
        for top in tops:
            page.draw_line((60, top), (480, top), width=0.8)
        for x in (200, 340, 480):
            page.draw_line((x, 140), (x, 174), width=0.8)

    assert iou(only(found(tmp_path / "torn.pdf", torn), "table"), (60, 100, 480, 214)) > 0.9


def test_a_note_under_a_striped_table_is_none_of_its_stripes(tmp_path: Path) -> None:
    lilac, green = (0.9, 0.87, 0.95), (0.85, 0.94, 0.92)

    def page_of(page: Any) -> None:
        for row in range(7):
            if row % 2 == 0:
                page.draw_rect((60, 100 + 14 * row, 220, 114 + 14 * row), color=None, fill=lilac)
            for column, word in enumerate(("Search", "45 %", "Payment")):
                page.insert_text((64 + 56 * column, 110 + 14 * row), word, fontsize=6)
        page.insert_text((60, 216), "Figure 2. above it and may rely", fontsize=5.5)
        page.draw_rect((60, 236, 220, 264), color=None, fill=green)
        page.insert_text((68, 248), "Meet on the first Tuesday of the month", fontsize=6)
        page.insert_text((68, 257), "and settle what two people describe", fontsize=6)

    box = only(found(tmp_path / "striped.pdf", page_of), "table")
    assert iou(box, (60, 100, 220, 198)) > 0.9
