"""The English document: Verba's platform architecture playbook, five pages."""

from __future__ import annotations

from drawing import playbook_text as text
from drawing.book import Book, Drawing
from drawing.flow import Column, furniture
from drawing.geometry import Box
from drawing.graph import Entry, Link, Node, draw_graph, draw_legend, draw_node
from drawing.grid import draw_canvas, draw_table
from drawing.sheet import Sheet
from drawing.style import (
    AMBER,
    CORAL,
    FAINT,
    LINE,
    MARGIN,
    MUTED,
    NAVY,
    PAPER,
    PLUM,
    SLATE,
    SMALL,
    SMALL_BOLD,
    TEAL,
    WHITE,
    Type,
    rgb,
)


def playbook() -> Drawing:
    """Draw the whole document."""
    book = Book("platform-architecture-playbook.pdf", f"Verba - {text.NAME}", "en")
    _cover(book.page())
    for number, (section, draw) in enumerate(
        (
            ("Platform Value Stack", _value_stack),
            ("Platform Architecture Canvas", _canvas),
            ("Architecture assessment", _assessment),
            ("Platform roadmap", _roadmap),
        ),
        2,
    ):
        sheet = book.page()
        furniture(sheet, text.NAME, section, number)
        draw(sheet)
    return book.finished()


def _cover(sheet: Sheet) -> None:
    sheet.box(Box(0, 0, sheet.frame.width, 352), fill=NAVY.text)
    for index, colour in enumerate((TEAL.strong, rgb("#4b80b8"), PLUM.strong, AMBER.strong, FAINT)):
        top = 100 + index * 33
        sheet.polygon([(424, top + 19), (481, top), (538, top + 19), (481, top + 38)], colour, NAVY.text, 1.6)
    sheet.text("VERBA  ·  EXPERT GUIDE", MARGIN, 108, 340, SMALL_BOLD, AMBER.soft)
    title = sheet.text("Platform\nArchitecture\nPlaybook", MARGIN, 128, 340, Type(35, 40, "bold"), WHITE)
    sheet.record.mark("textbox", title, text.NAME, "title")
    sheet.text("How we design, assess and change our platform", MARGIN, 262, 360, Type(12, 16), NAVY.soft)
    sheet.text("Version 3.2  ·  March 2025", MARGIN, 284, 360, SMALL, NAVY.soft)
    column = Column(sheet, 390)
    column.heading("About this playbook")
    column.paragraph(text.ABOUT)
    column.paragraph(text.AUDIENCE)
    column.space(6)
    column.heading("What is inside")
    column.space(5)
    for page, chapter, about in text.CHAPTERS:
        sheet.text(page, MARGIN, column.y + 1, 20, Type(16, 19, "bold"), TEAL.strong)
        sheet.text(chapter, MARGIN + 30, column.y - 1, 450, Type(10.4, 13.4, "bold"))
        sheet.text(about, MARGIN + 30, column.y + 13, 450, Type(9.4, 12.5), MUTED)
        column.y += 37
    notice = "Verba is a fictional company; people, numbers and decisions in this document are invented."
    sheet.text(notice, MARGIN, sheet.frame.y1 - 48, 487, SMALL, FAINT)


def _value_stack(sheet: Sheet) -> None:
    column = Column(sheet, 62)
    column.title("Chapter 1", "Platform Value Stack")
    column.lead(text.STACK_LEAD)
    left, top, pitch, height = MARGIN + 52, column.y + 6, 63.0, 52.0
    with sheet.record.group("diagram", "Platform Value Stack"):
        layer_width = 272.0
        for index, (key, title, note, tone) in enumerate(text.LAYERS):
            box = Box.at(left, top + index * pitch, layer_width, height)
            big = Type(11, 14, "bold")
            draw_node(sheet, Node(key, title, box, note, tone=tone, title_style=big, note_style=Type(8.4, 11)))
        bottom = top + 4 * pitch + height
        for index, pillar in enumerate(text.PILLARS):
            box = Box(left + layer_width + 13 + index * 38, top, left + layer_width + 48 + index * 38 + 0.2, bottom)
            _pillar(sheet, pillar, box)
        for x, start, end, tone, word in (
            (MARGIN + 5, bottom, top, TEAL, "value"),
            (MARGIN + 29, top, bottom, CORAL, "feedback"),
        ):
            ink = sheet.arrow([(x, start), (x, end)], tone.strong, 2)
            sheet.record.mark("arrow", ink, word, "solid")
            sheet.upright(word, Box(x + 4, top, x + 16, bottom), SMALL_BOLD, tone.text)
    legend = (
        Entry("fill", NAVY, "layer"),
        Entry("solid", SLATE, "pillar, crosses every layer"),
        Entry("line", TEAL, "value, from the bottom to the top"),
        Entry("line", CORAL, "feedback, from the top to the bottom"),
    )
    box = draw_legend(sheet, "Legend", legend, left, bottom + 14, columns=2)
    column.y = box.y1 + 14
    column.heading("How to read it")
    column.bullets(text.STACK_READING)
    column.callout("The rule of one layer", text.STACK_RULE, AMBER)


def _pillar(sheet: Sheet, title: str, box: Box) -> None:
    """A tall narrow node with its title written upwards."""
    sheet.box(box, fill=SLATE.strong, radius=4)
    sheet.upright(title, box, Type(9.4, 12, "bold"), WHITE)
    sheet.record.mark("node", box, title, "pillar")


def _canvas(sheet: Sheet) -> None:
    column = Column(sheet, 62)
    column.title("Chapter 2", "Platform Architecture Canvas")
    column.lead(text.CANVAS_LEAD)
    place = Box.at(MARGIN, column.y + 2, column.width, 330)
    draw_canvas(sheet, text.CANVAS, place, Type(9, 12.6))
    column.y = place.y1 + 14
    column.heading("Fill it in within two hours")
    column.bullets(text.CANVAS_STEPS, numbered=True)
    column.callout("When is it finished?", text.CANVAS_HINT, TEAL)


def _assessment(sheet: Sheet) -> None:
    column = Column(sheet, 62)
    column.title("Chapter 3", "Architecture assessment")
    column.lead(text.ASSESSMENT_LEAD)
    box = draw_table(sheet, text.ASSESSMENT, MARGIN, column.y + 2, column.width, text.LEVELS, Type(9, 12.4), 46)
    legend = draw_legend(sheet, "Maturity levels", text.SCALE, MARGIN, box.y1 + 14, columns=3)
    column.y = legend.y1 + 14
    column.heading("What we conclude from it")
    column.bullets(text.FINDINGS, tone=CORAL)
    column.callout(
        "Next assessment: 16 September",
        "Owners send their evidence a week before. Levels are agreed in the room and are not averaged afterwards.",
        TEAL,
    )


def _roadmap(sheet: Sheet) -> None:
    column = Column(sheet, 62)
    column.title("Chapter 4", "Platform roadmap")
    column.lead(text.ROADMAP_LEAD)
    with sheet.record.group("diagram", "Platform roadmap"):
        bottom = _lanes(sheet, column.y + 2)
    legend = tuple(Entry("fill", tone, name) for name, tone in text.LANES)
    box = draw_legend(sheet, "Legend", (*legend, Entry("line", SLATE, "must be in use before")), MARGIN, bottom + 13, 3)
    column.y = box.y1 + 14
    column.heading("Who approves a change")
    column.paragraph(text.ROADMAP_CHANGE)
    column.bullets(text.ROADMAP_STEPS, numbered=True)
    column.heading("Recent decisions")
    column.space(3)
    draw_table(sheet, text.DECISIONS, MARGIN, column.y, column.width)


def _lanes(sheet: Sheet, top: float) -> float:
    """Lanes by layer, columns by quarter, pieces of work and the arrows between them; returns the lower edge."""
    left, lane_height, head = MARGIN + 78, 50.0, 20.0
    quarter = (sheet.frame.x1 - MARGIN - left) / len(text.QUARTERS)
    bottom = top + head + lane_height * len(text.LANES)
    for index, name in enumerate(text.QUARTERS):
        sheet.text(f"{name} 2025", left + index * quarter, top + 4, quarter, SMALL_BOLD, MUTED, "centre")
    for index, (name, tone) in enumerate(text.LANES):
        y = top + head + index * lane_height
        sheet.box(Box(MARGIN, y, sheet.frame.x1 - MARGIN, y + lane_height), fill=WHITE if index % 2 else PAPER)
        sheet.text(name, MARGIN + 7, y + lane_height / 2 - 6, 70, Type(9, 12, "bold"), tone.text)
    for index in range(len(text.QUARTERS)):
        x = left + index * quarter
        sheet.line([(x, top + head), (x, bottom)], LINE, 0.6, dashed=index > 0)
    sheet.box(Box(MARGIN, top + head, sheet.frame.x1 - MARGIN, bottom), stroke=LINE, width=0.8)
    nodes = [
        Node(
            key,
            title,
            Box.at(
                left + start * quarter + 11,
                top + head + lane * lane_height + 9,
                length * quarter - 22,
                lane_height - 18,
            ),
            tone=text.LANES[lane][1],
            title_style=Type(8.2, 10.4, "bold"),
        )
        for key, title, lane, start, length in text.PIECES
    ]
    draw_graph(sheet, nodes, _dependencies({node.key: node.box for node in nodes}))
    return bottom


def _dependencies(boxes: dict[str, Box]) -> list[Link]:
    """Straight arrows inside a lane; elsewhere through the gap before the later quarter."""
    links = []
    for source, target in text.DEPENDENCIES:
        y, end = boxes[source].centre[1], boxes[target]
        x = end.x0 - 11
        bends = () if y == end.centre[1] else ((x, y), (x, end.centre[1]))
        links.append(Link(f"{source}:right", f"{target}:left", via=bends))
    corner = (boxes["fifth"].centre[0], boxes["groups"].centre[1])
    return [*links, Link("groups:right", "fifth:bottom", via=(corner,))]
