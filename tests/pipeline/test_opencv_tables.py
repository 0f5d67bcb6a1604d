"""Tables that only the alignment of their text shows, on pages drawn for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.docparse.opencv.geometry import iou
from tests.pipeline.test_opencv_boards import found, only

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
