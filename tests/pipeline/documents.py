"""Documents that tests parse, drawn on the spot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pymupdf

Page = Any
TEAL = (0.1, 0.45, 0.42)
INK = (0.15, 0.2, 0.3)


def new_page(document: Any, width: float = 595, height: float = 842) -> Page:
    return document.new_page(width=width, height=height)


def write(
    page: Page, box: Sequence[float], text: str, size: float = 10, bold: bool = False, align: str = "left"
) -> None:
    """Text in Latin or Cyrillic letters."""
    weight = "bold" if bold else "normal"
    style = f"margin:0;font-family:sans-serif;font-size:{size}px;font-weight:{weight};text-align:{align}"
    html = f'<p style="{style}">{text}</p>'
    spare, _ = page.insert_htmlbox(pymupdf.Rect(*box), html)
    assert spare >= 0, f"{text!r} does not fit"


def node(
    page: Page, box: Sequence[float], text: str, form: str = "box", fill: Sequence[float] = (0.88, 0.95, 0.94)
) -> None:
    """A framed shape with centred text."""
    rect = pymupdf.Rect(*box)
    if form == "ellipse":
        page.draw_oval(rect, color=TEAL, fill=fill, width=1)
    elif form == "diamond":
        middle_x, middle_y = (rect.x0 + rect.x1) / 2, (rect.y0 + rect.y1) / 2
        corners = [
            (rect.x0, middle_y),
            (middle_x, rect.y0),
            (rect.x1, middle_y),
            (middle_x, rect.y1),
            (rect.x0, middle_y),
        ]
        page.draw_polyline(
            [pymupdf.Point(*corner) for corner in corners], color=TEAL, fill=fill, width=1, closePath=True
        )
    else:
        page.draw_rect(rect, color=TEAL, fill=fill, width=1)
    middle = (rect.y0 + rect.y1) / 2
    write(page, (rect.x0 + 4, middle - 8, rect.x1 - 4, middle + 8), text, 9, align="center")


def arrow(page: Page, start: tuple[float, float], end: tuple[float, float], dashed: bool = False) -> None:
    """A line with a filled head."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    back = (end[0] - 6 * math.cos(angle), end[1] - 6 * math.sin(angle))
    page.draw_line(start, back, color=INK, width=1, dashes="[3 3] 0" if dashed else None)
    side = [
        (back[0] + 3 * math.cos(angle + turn), back[1] + 3 * math.sin(angle + turn))
        for turn in (math.pi / 2, -math.pi / 2)
    ]
    page.draw_polyline(
        [pymupdf.Point(*point) for point in (end, *side, end)], color=INK, fill=INK, width=0.2, closePath=True
    )


def table(
    page: Page, left: float, top: float, widths: Sequence[float], rows: Sequence[Sequence[str]], height: float = 24
) -> None:
    """A ruled table with a dark head."""
    right, bottom = left + sum(widths), top + height * len(rows)
    page.draw_rect(pymupdf.Rect(left, top, right, top + height), color=None, fill=(0.14, 0.3, 0.5))
    for number in range(len(rows) + 1):
        page.draw_line((left, top + number * height), (right, top + number * height), color=INK, width=0.7)
    x = left
    for width in (0, *widths):
        x += width
        page.draw_line((x, top), (x, bottom), color=INK, width=0.7)
    for row, cells in enumerate(rows):
        x = left
        for width, cell in zip(widths, cells, strict=True):
            colour = "white" if row == 0 else "black"
            text = f'<span style="color:{colour}">{cell}</span>'
            write(page, (x + 4, top + row * height + 5, x + width - 2, top + (row + 1) * height), text, 9)
            x += width


def legend(page: Page, left: float, top: float, entries: Sequence[str]) -> None:
    """Swatches with text, in a frame under a title."""
    page.draw_rect(
        pymupdf.Rect(left, top, left + 170, top + 26 + 18 * len(entries)), color=(0.7, 0.72, 0.78), width=0.7
    )
    write(page, (left + 8, top + 5, left + 160, top + 20), "Legend", 9, bold=True)
    for number, entry in enumerate(entries):
        y = top + 24 + 18 * number
        page.draw_rect(
            pymupdf.Rect(left + 10, y, left + 26, y + 9), color=INK, fill=(0.9, 0.8 - number * 0.2, 0.6), width=0.7
        )
        write(page, (left + 34, y - 2, left + 165, y + 13), entry, 9)


def flow_page(document: Any) -> Page:
    """Three nodes in a row, one below, arrows between them, one labelled."""
    page = new_page(document)
    write(page, (60, 50, 540, 80), "Order flow", 20, bold=True)
    node(page, (60, 120, 170, 170), "Заказ")
    node(page, (240, 120, 350, 170), "Payment", "ellipse")
    node(page, (420, 120, 530, 170), "Delivery")
    node(page, (230, 260, 360, 340), "Refund?", "diamond")
    arrow(page, (172, 145), (238, 145))
    arrow(page, (352, 145), (418, 145), dashed=True)
    arrow(page, (295, 172), (295, 258))
    write(page, (302, 205, 360, 222), "failed", 8)
    legend(page, 60, 420, ["service", "storage", "partner"])
    return page


def table_page(document: Any) -> Page:
    """A heading, a paragraph and a ruled table."""
    page = new_page(document)
    write(page, (60, 50, 540, 80), "Роли на платформе", 20, bold=True)
    write(page, (60, 90, 540, 130), "Каждая роль отвечает за своё. Никто не держит больше двух ролей сразу.", 10)
    rows = [
        ("Role", "Decides", "Asks"),
        ("Owner", "scope", "Council"),
        ("Куратор", "жалобы", "Владелец"),
        ("Engineer", "release", "nobody"),
    ]
    table(page, 60, 160, (110, 160, 140), rows)
    return page


def text_page(document: Any, paragraphs: int = 3) -> Page:
    """A heading and paragraphs."""
    page = new_page(document)
    write(page, (60, 50, 540, 80), "What is a platform", 20, bold=True)
    for number in range(paragraphs):
        text = f"Paragraph {number + 1} says that a platform joins people. " * 3
        write(page, (60, 100 + 60 * number, 540, 150 + 60 * number), text, 10)
    return page


def save(path: Path, *drawers: Any, **options: Any) -> Path:
    """A PDF with one page per drawer."""
    document = pymupdf.open()
    for draw in drawers:
        draw(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document.tobytes(no_new_id=True, **options))
    return path
