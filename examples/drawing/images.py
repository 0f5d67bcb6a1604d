"""The documents without a text layer: a board with notes (PNG) and a scanned two-page sheet (TIFF)."""

from __future__ import annotations

from dataclasses import dataclass

from drawing.book import Book, Drawing
from drawing.flow import Column
from drawing.geometry import Box
from drawing.graph import Entry, Link, Node, draw_graph, draw_legend
from drawing.grid import Table, draw_table
from drawing.scan import as_png, as_scan
from drawing.sheet import Sheet
from drawing.style import (
    AMBER,
    CORAL,
    INK,
    LEAF,
    LINE,
    MARGIN,
    MUTED,
    NAVY,
    PAPER,
    PLUM,
    SLATE,
    SMALL,
    TEAL,
    WHITE,
    Tone,
    Type,
    rgb,
)

# ---------------------------------------------------------------------- board content


@dataclass(frozen=True, slots=True)
class _Area:
    """One field of the board: its box in grid units, its names and the notes stuck on it."""

    column: int
    row: int
    columns: int
    title: str
    english: str
    tone: Tone
    notes: tuple[str, ...]


_BOARD_TITLE = "Полотно платформы: городские кухни"
_BOARD_NOTE = "Platform Architecture Canvas · pilot · 12.03.2025"
_AREAS = (
    _Area(0, 0, 2, "Участники", "participants", TEAL, ("38 кухонь", "повара на час", "соседние дома")),
    _Area(2, 0, 2, "Взаимодействие", "core interaction", NAVY, ("кухня сдаёт плиту", "повар бронирует", "дом ужинает")),
    _Area(4, 0, 2, "Обещание", "value promise", LEAF, ("плита не простаивает", "еда за 20 минут")),
    _Area(0, 1, 2, "Слои", "layers", PLUM, ("Engagement: бронь", "Exchange: залог", "Data: смены")),
    _Area(2, 1, 2, "Интеграции", "integrations", AMBER, ("замки дверей", "банк", "надзор")),
    _Area(4, 1, 2, "Управление", "governance", SLATE, ("совет кухонь", "чистота:\n5 правил")),
    _Area(0, 2, 3, "Деньги", "money", LEAF, ("12 % с брони", "залог 50 €", "страховка", "вода и газ")),
    _Area(3, 2, 3, "Риски", "risks", CORAL, ("ночной шум", "пожар", "нет поваров зимой", "один замок на всех")),
)
_NOTE_PAPER = {TEAL: "#bfe6e1", NAVY: "#c7dcf2", LEAF: "#d7ecb9", PLUM: "#dccff0", AMBER: "#fbe3a6"}
_NOTE_PAPER_ELSE = {SLATE: "#dde3e9", CORAL: "#f7c9bb"}

# ----------------------------------------------------------------------- scan content
_SHEET_INTRO = (
    "Fill in one line for every cold store before 9:00. A store above 6 degrees is closed until the duty engineer "
    "has signed. Keep this sheet for two years."
)
_SHEET = Table(
    shares=(1.35, 0.8, 0.95, 0.95, 1.9, 1.0),
    header=("Cold store", "Time", "Degrees", "Humidity", "Remark", "Signed"),
    centred=(1, 2, 3),
    tone=SLATE,
    rows=(
        ("**North Gate**", "07:10", "3.8", "88 %", "door seal replaced", "Lind"),
        ("**Harbour**", "07:25", "4.1", "91 %", "none", "Lind"),
        ("**Mill Street**", "07:40", "6.4", "84 %", "closed, compressor too loud", "Sato"),
        ("**Old Market**", "07:55", "3.2", "90 %", "sensor 2 answers late", "Sato"),
        ("**University**", "08:05", "4.6", "87 %", "none", "Novak"),
        ("**Riverside**", "08:20", "5.2", "93 %", "water on the floor, mopped", "Novak"),
        ("**Hilltop**", "08:30", "3.9", "86 %", "forty crates waiting", "Haddad"),
        ("**Station**", "08:45", "4.4", "89 %", "none", "Haddad"),
    ),
)
_SHEET_AFTER = (
    "Mill Street was reopened at 11:20 with 4.9 degrees after the compressor had been exchanged. Twelve crates of "
    "lettuce were given to the neighbours; the farm was paid in full."
)
_FLOW_INTRO = (
    "Порядок приёма урожая на складе. Стрелка «нет» никогда не ведёт к водителю: решение принимает дежурный, а не тот, "
    "кто привёз."
)


# ------------------------------------------------------------------------------ board
def board() -> Drawing:
    """The photographed board: 1600 x 1000 pixels."""
    book = Book("Полотно городских кухонь.png", _BOARD_TITLE, "ru")
    sheet = book.page((800.0, 500.0))
    sheet.box(sheet.frame, fill=PAPER)
    with sheet.record.group("canvas", _BOARD_TITLE):
        _board_frame(sheet)
        for area in _AREAS:
            _board_area(sheet, area)
    return as_png(book, dpi=144)


def _board_frame(sheet: Sheet) -> None:
    sheet.box(Box(26, 24, 774, 476), fill=WHITE, stroke=NAVY.text, width=1.6, radius=6)
    sheet.text(_BOARD_TITLE, 42, 35, 440, Type(17, 22, "bold"), NAVY.text)
    sheet.text(_BOARD_NOTE, 42, 39, 716, Type(9.5, 13), MUTED, "right")


def _board_area(sheet: Sheet, area: _Area) -> None:
    left, top, unit, height = 38.0, 68.0, (774 - 26 - 24) / 6, 132.0
    box = Box.at(left + area.column * unit, top + area.row * height, area.columns * unit, height).grown(-4, -3)
    sheet.box(box, fill=PAPER, stroke=LINE, width=1, radius=4)
    name = sheet.text(area.title, box.x0 + 10, box.y0 + 8, box.width - 20, Type(11, 14, "bold"), area.tone.text)
    sheet.text(area.english, name.x1 + 6, box.y0 + 9, box.x1 - name.x1 - 10, Type(8.6, 13, "italic"), MUTED)
    paper = rgb((_NOTE_PAPER | _NOTE_PAPER_ELSE)[area.tone])
    gap = 9.0
    width = min(84.0, (box.width - 20 - gap * (len(area.notes) - 1)) / len(area.notes))
    for index, note in enumerate(area.notes):
        # Notes hang a little higher and lower, as hands put them.
        place = Box.at(box.x0 + 10 + index * (width + gap), box.y0 + 31 + (index * 5 + area.row * 3) % 9, width, 76)
        sheet.box(Box(place.x0 + 1.5, place.y0 + 2, place.x1 + 1.5, place.y1 + 2), fill=LINE)
        sheet.box(place, fill=paper)
        _note_text(sheet, note, place)
    sheet.record.mark("textbox", box, f"{area.title} {area.english}: " + "; ".join(area.notes), "cell")


def _note_text(sheet: Sheet, note: str, place: Box) -> None:
    style = Type(9.3, 12)
    height = sheet.height(note, style, place.width - 8)
    sheet.text(note, place.x0 + 4, place.centre[1] - height / 2, place.width - 8, style, INK, "centre")
    sheet.record.mark("textbox", place, note, "note")


# ------------------------------------------------------------------------------- scan
def scan() -> Drawing:
    """The scanned sheet: a table in English, a flow chart in Russian."""
    book = Book("cold-store-scan.tiff", "Cold store sheet", "en")
    _sheet_page(book.page())
    _flow_page(book.page())
    return as_scan(book, dpi=150, turns_degrees=(0.6, -0.4))


def _sheet_page(sheet: Sheet) -> None:
    column = Column(sheet, 70)
    column.title("Form 14", "Cold store inspection, 12 March")
    column.paragraph(_SHEET_INTRO)
    box = draw_table(sheet, _SHEET, MARGIN, column.y + 6, column.width, style=Type(9.6, 13), least_height=34)
    column.y = box.y1 + 18
    column.heading("After the inspection")
    column.paragraph(_SHEET_AFTER)
    y = column.y + 40
    sheet.line([(MARGIN, y), (MARGIN + 170, y)], SLATE.strong, 0.8)
    sheet.text("Duty engineer", MARGIN, y + 4, 170, SMALL, MUTED)
    sheet.text("P. Sato", MARGIN + 14, y - 24, 150, Type(16, 20, "italic"), NAVY.text)


def _flow_page(sheet: Sheet) -> None:
    column = Column(sheet, 70)
    column.title("Форма 15", "Приём урожая на складе")
    column.paragraph(_FLOW_INTRO)
    top = column.y + 12
    middle = sheet.frame.width / 2
    nodes = (
        Node("start", "Машина у ворот", Box.at(middle - 70, top, 140, 40), shape="ellipse", tone=SLATE),
        Node("scan", "Считать паспорт", Box.at(middle - 70, top + 72, 140, 42), "код на ящике"),
        Node("check", "Паспорт подписан?", Box.at(middle - 84, top + 146, 168, 84), shape="diamond", tone=AMBER),
        Node("weigh", "Взвесить и измерить", Box.at(middle - 70, top + 264, 140, 42), "масса, градусы"),
        Node("cold", "Не выше 6 °?", Box.at(middle - 84, top + 338, 168, 84), shape="diamond", tone=AMBER),
        Node("store", "Принять на хранение", Box.at(middle - 70, top + 456, 140, 42), "событие в журнал", tone=LEAF),
        Node("lab", "Проба в лабораторию", Box.at(433, top + 163, 108, 50), "ответ за час", tone=PLUM),
        Node("duty", "Позвать дежурного", Box.at(54, top + 359, 118, 42), "решает он", tone=CORAL),
        Node("back", "Вернуть на ферму", Box.at(54, top + 456, 118, 42), "ферме заплачено", tone=CORAL),
    )
    links = (
        Link("start", "scan"),
        Link("scan", "check"),
        Link("check:bottom", "weigh:top", "да", at=0.4),
        Link("weigh", "cold"),
        Link("cold:bottom", "store:top", "да", at=0.4),
        Link("check:right", "lab:left", "нет"),
        Link("lab:bottom", "weigh:right", "подписала", via=((487, top + 285),), at=0.3),
        Link("cold:left", "duty:right", "нет"),
        Link("duty:bottom", "back:top"),
        Link("duty:top", "weigh:left", "можно", via=((113, top + 285),), at=0.3),
    )
    with sheet.record.group("diagram", "Приём урожая на складе"):
        draw_graph(sheet, nodes, links)
    entries = (
        Entry("fill", NAVY, "действие"),
        Entry("fill", AMBER, "вопрос"),
        Entry("line", SLATE, "следующий шаг"),
    )
    draw_legend(sheet, "Обозначения", entries, MARGIN, top + 516, columns=3)
