"""Swatches of legends, and what is easily taken for one, on pages drawn for it."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.docparse.opencv.legends import find_legends
from pipeline.docparse.opencv.letters import without_outlines
from pipeline.docparse.opencv.shapes import find_shapes
from pipeline.docparse.opencv.sheet import make_sheet
from pipeline.docparse.opencv.text import TextLine


def test_a_torn_swatch_is_no_word_of_its_text() -> None:
    page = np.full((300, 600, 3), 250, np.uint8)
    cv2.rectangle(page, (100, 100), (133, 117), (20, 120, 180), -1)
    shapes = find_shapes(make_sheet(page, 150))
    assert [round(shape.height) > 14 for shape in shapes] == [True]
    letters = np.array([[100, 101, 120, 116], [115, 101, 133, 117], [146, 102, 158, 115], [160, 105, 172, 115]], float)
    assert without_outlines(letters, np.full(4, 0.5), shapes).tolist() == [False, False, True, True]


def test_items_that_a_dash_and_a_short_word_begin_are_no_legend() -> None:
    page = np.full((300, 600, 3), 250, np.uint8)
    lines = []
    for top in (100, 124, 148, 172):
        cv2.rectangle(page, (100, top + 4), (109, top + 6), (20, 20, 20), -1)
        cv2.putText(page, "n", (113, top + 9), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1)
        cv2.putText(page, "council", (126, top + 9), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1)
        lines.append(TextLine((126.0, top - 1.0, 178.0, top + 10.0), 7, 11.0, top + 4.5))
    sheet = make_sheet(page, 150)
    assert not find_legends(sheet, (), lines)
