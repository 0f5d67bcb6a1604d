"""A column of running text: headings, paragraphs, lists and callouts, set one under the other."""

from __future__ import annotations

from collections.abc import Sequence

from drawing.geometry import Box
from drawing.lettering import break_lines
from drawing.sheet import Sheet
from drawing.style import (
    BODY,
    BODY_BOLD,
    EYEBROW,
    FAINT,
    HEADING,
    INK,
    LEAD,
    LINE,
    MARGIN,
    NAVY,
    SMALL,
    TITLE,
    Tone,
    Type,
)


class Column:
    """A cursor that moves down the page; `y` is where the next part starts, in points."""

    def __init__(self, sheet: Sheet, y: float, x: float = MARGIN, width: float | None = None) -> None:
        self.sheet = sheet
        self.x = x
        self.y = y
        self.width = sheet.frame.width - 2 * MARGIN if width is None else width

    def title(self, eyebrow: str, text: str) -> None:
        """The page's title under a small line that says where we are."""
        self.sheet.text(eyebrow.upper(), self.x, self.y, self.width, EYEBROW, NAVY.strong)
        self.y += EYEBROW.pitch + 3
        self._set(text, TITLE, INK, "title")
        self.y += 9

    def heading(self, text: str) -> None:
        """A section heading."""
        self.y += 5
        self._set(text, HEADING, NAVY.text, "heading")
        self.y += 4

    def lead(self, text: str) -> None:
        """The opening paragraph, a little larger."""
        self._set(text, LEAD, INK, "paragraph")
        self.y += 10

    def paragraph(self, text: str) -> None:
        """A paragraph of body text."""
        self._set(text, BODY, INK, "paragraph")
        self.y += 7

    def bullets(self, items: Sequence[str], numbered: bool = False, tone: Tone = NAVY) -> None:
        """A list; each item hangs behind a dot or its number."""
        indent = 17.0
        with self.sheet.record.group("textbox", " ".join(items), "list"):
            for number, item in enumerate(items, 1):
                if numbered:
                    self.sheet.text(str(number), self.x, self.y, indent, BODY_BOLD, tone.strong)
                else:
                    dot = Box.at(self.x + 3, self.y + BODY.pitch / 2 - 1.7, 3.6, 3.6)
                    self.sheet.ellipse(dot, tone.strong, tone.strong, 0)
                letters = self.sheet.text(item, self.x + indent, self.y, self.width - indent, BODY)
                self.y = letters.y1 + 3.5
        self.y += 5

    def callout(self, title: str, text: str, tone: Tone = NAVY) -> Box:
        """A tinted note with a strong edge; returns its box."""
        inner = self.width - 30
        rows = len(break_lines(text, BODY, inner))
        box = Box.at(self.x, self.y, self.width, 11 + BODY_BOLD.pitch + 2 + rows * BODY.pitch + 11)
        self.sheet.box(box, fill=tone.soft)
        self.sheet.box(Box(box.x0, box.y0, box.x0 + 3.2, box.y1), fill=tone.strong)
        self.sheet.text(title, box.x0 + 17, box.y0 + 11, inner, BODY_BOLD, tone.text)
        self.sheet.text(text, box.x0 + 17, box.y0 + 11 + BODY_BOLD.pitch + 2, inner, BODY)
        self.sheet.record.mark("textbox", box, f"{title} {text}", "callout")
        self.y = box.y1 + 13
        return box

    def space(self, points: float) -> None:
        """Leave room."""
        self.y += points

    def _set(self, text: str, style: Type, colour: tuple[float, float, float], role: str) -> None:
        letters = self.sheet.text(text, self.x, self.y, self.width, style, colour)
        self.sheet.record.mark("textbox", letters, text, role)
        self.y = letters.y1


def furniture(sheet: Sheet, document: str, section: str, page: int, company: str = "Verba") -> None:
    """The running head and the page number."""
    width = sheet.frame.width - 2 * MARGIN
    sheet.text(document, MARGIN, 26, width, SMALL, FAINT)
    sheet.text(section, MARGIN, 26, width, SMALL, FAINT, "right")
    sheet.line([(MARGIN, 41), (sheet.frame.x1 - MARGIN, 41)], LINE, 0.6)
    sheet.text(str(page), MARGIN, sheet.frame.y1 - 36, width, SMALL, FAINT, "right")
    sheet.text(company, MARGIN, sheet.frame.y1 - 36, width, SMALL, FAINT)
