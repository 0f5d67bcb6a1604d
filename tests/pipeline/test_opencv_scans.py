"""Scans and dark screenshots, whose noise tears areas and runs letters together, on pages drawn for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.docparse.documents import draw_page
from pipeline.docparse.labels import LABELS
from pipeline.docparse.media import PDF
from pipeline.docparse.opencv.detector import OpenCvDetector
from pipeline.docparse.opencv.enclosed import without_enclosed
from pipeline.docparse.opencv.geometry import iou
from pipeline.docparse.opencv.shapes import find_shapes
from pipeline.docparse.opencv.sheet import make_sheet
from pipeline.docparse.regions import Detection
from pipeline.docparse.words import Box, PageText
from tests.pipeline.documents import new_page, save
from tests.pipeline.test_opencv_boards import ZOOM

Pixels = np.ndarray[Any, Any]


def scanned(
    path: Path,
    drawer: Callable[[Any], None],
    *,
    blur: float = 0.8,
    grain: float = 3.0,
    paper: float = 240.0,
    toner: float = 30.0,
    cloud: float = 0.0,
    quality: int = 60,
) -> list[Detection]:
    """What is found on a drawn page after a journey: blurred, grainy, clouded, compressed, without its text layer."""
    page = draw_page(save(path, lambda document: drawer(new_page(document))), PDF, 1, 150, 50_000_000)
    height, width = page.pixels.shape[:2]
    noise = np.random.default_rng(4)
    pixels = page.pixels.astype(np.float32) * (paper / 255) + toner * (1 - page.pixels.astype(np.float32) / 255)
    texture = noise.normal(0, 1, (height // 24 + 2, width // 24 + 2)).astype(np.float32)
    pixels += cloud * cv2.resize(texture, (width, height), interpolation=cv2.INTER_CUBIC)[:, :, None]
    pixels = cv2.GaussianBlur(pixels, (0, 0), blur) + noise.normal(0, grain, (height, width, 1))
    ok, data = cv2.imencode(".jpg", np.clip(pixels, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return OpenCvDetector(0.3, LABELS).detect([(seen, PageText(width, height, 150, ()))])[0]


def boxes(regions: list[Detection], label: str) -> list[Box]:
    """The boxes of a label in points."""
    found = []
    for one in regions:
        if one.label == label:
            left, top, right, bottom = (side / ZOOM for side in one.box)
            found.append((left, top, right, bottom))
    return found


def among(found: list[Box], wanted: Box, least: float = 0.6) -> bool:
    return any(iou(box, wanted) >= least for box in found)


def head(page: Any, x: float, y: float, colour: tuple[float, float, float]) -> None:
    """A filled head that points down to a point."""
    page.draw_polyline([(x - 4, y - 8), (x + 4, y - 8), (x, y)], color=colour, fill=colour, closePath=True)


def test_fills_a_little_lighter_than_a_dark_page_are_nodes(tmp_path: Path) -> None:
    line, light = (0.6, 0.6, 0.65), (0.9, 0.92, 0.95)

    def drawing(page: Any) -> None:
        page.draw_rect(page.rect, fill=(0.07, 0.08, 0.1), color=None)
        for y in (100, 220):
            page.draw_oval((100, y, 200, y + 50), color=line, fill=(0.24, 0.22, 0.32))
            page.insert_text((124, y + 29), "Approval", fontsize=11, color=light)
        page.draw_line((150, 150), (150, 214), color=line)
        head(page, 150, 220, line)

    regions = scanned(tmp_path / "dark.pdf", drawing, paper=255, toner=0, grain=2.0, blur=0.5)
    nodes = boxes(regions, "node")
    assert among(nodes, (100, 100, 200, 150))
    assert among(nodes, (100, 220, 200, 270))


def test_spots_of_the_paper_do_not_break_a_canvas(tmp_path: Path) -> None:
    def sheet(page: Any) -> None:
        for row in range(2):
            for column in range(3):
                left, top = 60 + 155 * column, 100 + 100 * row
                page.draw_rect((left, top, left + 155, top + 100), color=(0.2, 0.3, 0.5))
                for number, words in enumerate(("Payment", "– what moves", "– next quarter")):
                    page.insert_text((left + 6, top + 14 + 11 * number), words, fontsize=7.5)
                # Not a fill of its own, but a spot of the paper.
                page.draw_rect((left + 110, top + 60, left + 127, top + 77), fill=(0.95, 0.95, 0.95), color=None)

    regions = scanned(tmp_path / "sheet.pdf", sheet, grain=2.0)
    assert among(boxes(regions, "canvas"), (60, 100, 525, 300), 0.9)


def test_a_faint_tint_that_noise_tears_is_one_callout(tmp_path: Path) -> None:
    def callout(page: Any) -> None:
        page.draw_rect((54, 300, 540, 350), fill=(0.955, 0.955, 0.96), color=None)
        page.draw_rect((54, 300, 57, 350), fill=(0.2, 0.3, 0.5), color=None)
        page.insert_text((70, 320), "On one page what moves and why which arrows break", fontsize=10)
        page.insert_text((70, 334), "and who pays for the change that the teams meet.", fontsize=10)

    regions = scanned(tmp_path / "callout.pdf", callout, cloud=1.5, grain=4.0)
    assert among(boxes(regions, "textbox"), (54, 300, 540, 350), 0.8)


def test_a_heading_over_one_line_is_a_block_of_its_own(tmp_path: Path) -> None:
    def text(page: Any) -> None:
        page.insert_text((54, 100), "An offer a rating", fontsize=12, fontname="hebo")
        page.insert_text((54, 121), "Aloud and settle what two people describe in different words.", fontsize=10)

    assert len(boxes(scanned(tmp_path / "text.pdf", text), "textbox")) == 2


def test_lines_of_which_some_have_low_letters_only_are_one_block(tmp_path: Path) -> None:
    lines = (
        "Модель а отчёт уходит в совет до начала квартала",
        "становится понятно, кто сам моет окна, а кто не моет",
        "и почему они рвутся на своём месте или на чужом.",
    )

    def text(page: Any) -> None:
        for number, line in enumerate(lines):
            place = (54, 100 + 13.8 * number, 500, 120 + 13.8 * number)
            page.insert_htmlbox(place, f'<p style="margin:0;font-family:serif;font-size:10px">{line}</p>')

    assert len(boxes(scanned(tmp_path / "text.pdf", text, paper=255), "textbox")) == 1


def test_dashes_of_a_slanting_line_are_no_text(tmp_path: Path) -> None:
    def line(page: Any) -> None:
        for x, y, word in ((60, 100, "Gateway"), (400, 180, "Courier")):
            page.draw_rect((x, y, x + 80, y + 40), color=(0.2, 0.2, 0.2), width=1.5)
            page.insert_text((x + 16, y + 24), word, fontsize=9)
        page.draw_line((142, 130), (398, 190), color=(0.3, 0.3, 0.3), width=2.4, dashes="[6 4] 0")

    assert not boxes(scanned(tmp_path / "line.pdf", line, blur=1.0, grain=4.0), "textbox")


def test_a_dot_with_a_dark_edge_and_a_head_at_it_is_no_letter(tmp_path: Path) -> None:
    ink = (0.1, 0.12, 0.15)

    def start(page: Any) -> None:
        page.draw_rect((200, 100, 280, 130), color=(0.2, 0.3, 0.6), fill=(0.87, 0.91, 0.97))
        page.insert_text((206, 116), "Note 0", fontsize=8)
        page.draw_circle((120, 115), 7, color=ink, fill=(0.45, 0.3, 0.55), width=1.5)
        page.draw_line((200, 115), (140, 115), color=ink, width=1.5)
        page.draw_polyline([(136, 111), (136, 119), (127, 115)], color=ink, fill=ink, closePath=True)

    regions = scanned(tmp_path / "start.pdf", start, blur=0.01, grain=0.0, paper=255, toner=0, quality=100)
    assert len(boxes(regions, "node")) == 2
    assert not boxes(regions, "textbox")


def test_what_arrows_close_in_is_no_shape() -> None:
    page = np.full((500, 900, 3), 250, np.uint8)
    cv2.rectangle(page, (150, 100), (750, 400), (20, 20, 20), 3)
    for x, y in ((150, 100), (750, 100), (150, 400), (750, 400)):
        cv2.rectangle(page, (x - 60, y - 30), (x + 60, y + 30), (90, 90, 90), -1)
    for x in (300, 500):
        cv2.rectangle(page, (x, 200), (x + 100, 260), (20, 20, 20), 2)
    shapes = find_shapes(make_sheet(page, 150))
    kept = without_enclosed(shapes)
    assert [round(shape.width / 100) for shape in shapes if shape not in kept] == [6]


def test_two_strips_without_a_row_between_them_are_no_table(tmp_path: Path) -> None:
    def strips(page: Any) -> None:
        for y in (100, 170):
            page.draw_rect((100, y, 300, y + 34), fill=(0.35, 0.35, 0.4), color=None)
            page.insert_text((112, y + 20), "Platform", fontsize=9, color=(1, 1, 1))
            page.insert_text((200, y + 20), "Quality", fontsize=9, color=(1, 1, 1))

    assert not boxes(scanned(tmp_path / "strips.pdf", strips), "table")


def test_a_short_page_number_is_text(tmp_path: Path) -> None:
    def number(page: Any) -> None:
        page.insert_text((54, 100), "Every layer offers something to the layer above it", fontsize=10)
        page.insert_text((400, 800), "73", fontsize=8, color=(0.4, 0.4, 0.4))

    regions = scanned(tmp_path / "number.pdf", number, blur=1.2)
    assert among(boxes(regions, "textbox"), (400, 794, 409, 800), 0.5)
