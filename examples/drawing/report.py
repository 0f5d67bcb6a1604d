"""The mixed document: an assessment report in English and Russian; a portrait, a landscape and a sideways page."""

from __future__ import annotations

from drawing.book import Book, Drawing
from drawing.flow import Column, furniture
from drawing.geometry import Box, Point
from drawing.graph import Entry, Link, Node, draw_graph, draw_legend, draw_zone
from drawing.grid import Table, draw_table
from drawing.sheet import Sheet
from drawing.style import (
    A4_LANDSCAPE,
    AMBER,
    CORAL,
    LEAF,
    LINE,
    MARGIN,
    MUTED,
    NAVY,
    PLUM,
    SLATE,
    SMALL,
    TEAL,
    WHITE,
    Tone,
    Type,
)

_NAME = "Assessment report · Отчёт об оценке"

# ---------------------------------------------------------------------------- content
_SUMMARY_EN = (
    "In March 2025 eleven engineers assessed the five layers of Verba against four pillars. The platform stands at "
    "**3.2** of 5. Engagement meets its target and Foundation is one level short; Intelligence is two levels short: "
    "nobody is warned when the demand forecast drifts, and no one owns the model at night."
)
_SUMMARY_RU = (
    "**Кратко.** Средний балл платформы вырос с 2,8 до 3,2. Сильнее всего выросла надёжность: учения показали, что "
    "город переводится в другой регион за 11 минут. Слабое место — слой интеллекта: у модели прогноза нет дежурного, "
    "а её ошибку замечают покупатели."
)
_CARDS = (
    ("3.2", "overall maturity\nобщая зрелость", NAVY),
    ("+0.4", "since September\nс сентября", LEAF),
    ("11 min", "to move a city\nперевод города", TEAL),
    ("23 %", "forecast error\nошибка прогноза", CORAL),
)
_LOOP = (
    "The **double loop** keeps discovery and delivery apart: what we learn on the left decides what we build on the "
    "right. Двойная петля: слева мы узнаём, справа строим, а встречаются они в одном решении."
)
_NEXT = (
    "До 15 апреля: назначить владельца модели прогноза и включить сигнал о её дрейфе.",
    "By 30 April: three people, not one, may settle a dispute of up to 200 euros.",
    "До 31 мая: повторить учения для двух городов сразу и записать время каждого шага.",
)
_LIMITS = (
    "Partners were asked but not visited, so their cells rest on contracts. Партнёров мы спросили, но не посетили: "
    "осенью начнём с лаборатории, потому что она одна на четыре города."
)

_HEAT = Table(
    shares=(1.25, 1.5, 1.5, 1.5, 1.5, 0.85),
    header=(
        "Layer / Слой",
        "Operational Excellence",
        "Security / Безопасность",
        "Reliability / Надёжность",
        "Cost Discipline / Затраты",
        "Mean / Балл",
    ),
    centred=(5,),
    tinted=(1, 2, 3, 4),
    rows=(
        (
            "**Engagement**\nвовлечение",
            "**4**\nreleases without stopping",
            "**4**\nsign-in tested monthly",
            "**4**\nworks with a weak network",
            "**3**\ncost of a session known",
            "3.8",
        ),
        (
            "**Exchange**\nобмен",
            "**3**\nспоры ждут одного человека",
            "**4**\nплатежи делит банк",
            "**3**\none queue for all cities",
            "**3**\ncost of an order known",
            "3.3",
        ),
        (
            "**Intelligence**\nинтеллект",
            "**2**\nнет дежурного у модели",
            "**3**\naccess by role",
            "**2**\nno alarm on drift",
            "**2**\nобучение без бюджета",
            "2.3",
        ),
        (
            "**Data**\nданные",
            "**3**\n87 % событий с владельцем",
            "**3**\npassports are signed",
            "**3**\nevents kept for a week",
            "**2**\nкопии без счёта",
            "2.8",
        ),
        (
            "**Foundation**\nоснование",
            "**5**\n22 выпуска в день",
            "**4**\nkeys changed weekly",
            "**4**\nregion moved in 11 minutes",
            "**3**\nidle hour costs 40 euros",
            "4.0",
        ),
    ),
)
_LEVELS = {"2": CORAL, "3": AMBER, "4": LEAF, "5": TEAL}
_HEAT_LEGEND = (
    Entry("fill", CORAL, "2  repeated · повторяется"),
    Entry("fill", AMBER, "3  described · описано"),
    Entry("fill", LEAF, "4  measured · измеряется"),
    Entry("fill", TEAL, "5  improving · улучшается"),
)
_HEAT_RU = (
    "**Строка говорит о слое, столбец — о столпе.** Две красные клетки подряд по горизонтали — забота владельца слоя, "
    "по вертикали — забота Совета платформы."
)
_HEAT_EN = (
    "**One score, one sentence.** Every cell names the fact that decided its level. The average is only for the cover; "
    "decisions are made by the lowest cell of a row."
)

_FLOW = (
    "How an order travels through the integrations of Verba. Сплошные стрелки — запросы, пунктирные — события; "
    "everything that crosses a dashed boundary has a contract."
)


# ------------------------------------------------------------------------------ pages
def report() -> Drawing:
    """Draw the whole document."""
    book = Book("assessment-report.pdf", "Verba - Assessment report", "en")
    first = book.page()
    furniture(first, _NAME, "Spring 2025 · весна 2025", 1, "Verba · Верба")
    _summary(first)
    second = book.page(A4_LANDSCAPE)
    furniture(second, _NAME, "Layers and pillars · слои и столпы", 2, "Verba · Верба")
    _heat_map(second)
    third = book.page(A4_LANDSCAPE)
    furniture(third, _NAME, "Integrations · интеграции", 3, "Verba · Верба")
    _integrations(third)
    book.store_sideways(third)
    return book.finished()


def _summary(sheet: Sheet) -> None:
    column = Column(sheet, 62)
    column.title("Spring 2025 · весна 2025", "Architecture assessment report")
    column.lead(_SUMMARY_EN)
    column.paragraph(_SUMMARY_RU)
    column.space(5)
    width = (column.width - 3 * 12) / 4
    for index, (figure, meaning, tone) in enumerate(_CARDS):
        _card(sheet, Box.at(MARGIN + index * (width + 12), column.y, width, 66), figure, meaning, tone)
    column.space(66 + 13)
    column.heading("The double loop · Двойная петля")
    column.paragraph(_LOOP)
    with sheet.record.group("diagram", "Double loop"):
        _double_loop(sheet, column.y + 98)
    column.space(210)
    column.heading("What happens next · Что дальше")
    column.bullets(_NEXT, numbered=True, tone=CORAL)
    column.space(2)
    column.callout("What we did not assess · Чего мы не оценили", _LIMITS, AMBER)


def _card(sheet: Sheet, box: Box, figure: str, meaning: str, tone: Tone) -> None:
    sheet.box(box, fill=WHITE, stroke=LINE, width=0.8, radius=4)
    sheet.box(Box(box.x0 + 10, box.y0, box.x0 + 38, box.y0 + 3), fill=tone.strong)
    sheet.text(figure, box.x0 + 10, box.y0 + 9, box.width - 20, Type(18, 23, "bold"), tone.text)
    sheet.text(meaning, box.x0 + 10, box.y0 + 36, box.width - 16, SMALL, MUTED)
    sheet.record.mark("textbox", box, f"{figure} {meaning}", "card")


def _double_loop(sheet: Sheet, middle: float) -> None:
    """Two loops that meet in one decision: an eight lying on its side."""

    def place(x: float, dy: float, width: float = 88.0, height: float = 38.0) -> Box:
        return Box.at(x - width / 2, middle + dy - height / 2, width, height)

    centre = sheet.frame.width / 2
    nodes = (
        Node("decide", "Decide", place(centre, 0, 104, 58), "решить", "ellipse", NAVY, solid=True),
        Node("build", "Build", place(centre + 100, -68), "построить", tone=TEAL),
        Node("release", "Release", place(centre + 199, 0), "выпустить", tone=TEAL),
        Node("measure", "Measure", place(centre + 100, 68), "измерить", tone=TEAL),
        Node("discover", "Discover", place(centre - 100, 68), "исследовать", tone=PLUM),
        Node("frame", "Frame", place(centre - 199, 0), "сформулировать", tone=PLUM),
        Node("assess", "Assess", place(centre - 100, -68), "оценить", tone=PLUM),
    )

    def corner(x: float, dy: float) -> Point:
        return centre + x, middle + dy

    links = (
        Link("decide:top:0.72", "build:left", tone=TEAL, curve=corner(28, -62)),
        Link("build:right", "release:top", tone=TEAL, curve=corner(199, -68)),
        Link("release:bottom", "measure:right", tone=TEAL, curve=corner(199, 68)),
        Link("measure:left", "decide:bottom:0.72", tone=TEAL, curve=corner(28, 62)),
        Link("decide:bottom:0.28", "discover:right", tone=PLUM, curve=corner(-28, 62)),
        Link("discover:left", "frame:bottom", tone=PLUM, curve=corner(-199, 68)),
        Link("frame:top", "assess:left", tone=PLUM, curve=corner(-199, -68)),
        Link("assess:right", "decide:top:0.28", tone=PLUM, curve=corner(-28, -62)),
    )
    draw_graph(sheet, nodes, links)
    for x, word, tone in ((-108.0, "learn · узнать", PLUM), (108.0, "deliver · дать", TEAL)):
        sheet.text(word, centre + x - 45, middle - 6, 90, Type(9, 12), tone.text, "centre")


def _heat_map(sheet: Sheet) -> None:
    column = Column(sheet, 58)
    column.title("Scores · оценки", "Layers against pillars")
    box = draw_table(sheet, _HEAT, MARGIN, column.y, column.width, _LEVELS, Type(9, 12), 46)
    legend = draw_legend(sheet, "Levels · уровни", _HEAT_LEGEND, MARGIN, box.y1 + 13, columns=4)
    half = (column.width - 26) / 2
    left = Column(sheet, legend.y1 + 15, MARGIN, half)
    left.paragraph(_HEAT_RU)
    right = Column(sheet, legend.y1 + 15, MARGIN + half + 26, half)
    right.paragraph(_HEAT_EN)


def _integrations(sheet: Sheet) -> None:
    column = Column(sheet, 58)
    column.title("Map · схема", "Integrations of an order · интеграции заказа")
    column.paragraph(_FLOW)
    top = column.y + 6
    with sheet.record.group("diagram", "Integrations of an order"):
        zones = (
            (Box(54, top, 214, top + 318), "Channels · каналы", TEAL),
            (Box(282, top, 560, top + 318), "Verba platform · платформа", NAVY),
            (Box(640, top, 788, top + 318), "Partners · партнёры", PLUM),
        )
        for box, title, tone in zones:
            draw_zone(sheet, box, title, tone)
        draw_graph(sheet, _integration_nodes(top), _integration_links(top))
    entries = (
        Entry("fill", TEAL, "channel · канал"),
        Entry("fill", NAVY, "service · услуга"),
        Entry("fill", AMBER, "store · хранилище"),
        Entry("fill", PLUM, "partner · партнёр"),
        Entry("line", SLATE, "request · запрос"),
        Entry("dashed", SLATE, "event · событие"),
    )
    draw_legend(sheet, "Legend · обозначения", entries, MARGIN, top + 331, columns=6)


def _integration_nodes(top: float) -> tuple[Node, ...]:
    return (
        Node("shop", "Shop app", Box.at(70, top + 34, 128, 50), "приложение покупателя", tone=TEAL),
        Node("farm", "Farm app", Box.at(70, top + 134, 128, 50), "приложение фермы", tone=TEAL),
        Node("courier", "Courier app", Box.at(70, top + 244, 128, 50), "приложение курьера", tone=TEAL),
        Node("orders", "Orders", Box.at(298, top + 34, 96, 50), "заказы"),
        Node("catalogue", "Catalogue", Box.at(298, top + 134, 96, 50), "каталог"),
        Node("routing", "Routing", Box.at(298, top + 244, 96, 50), "маршруты"),
        Node("payments", "Payments", Box.at(448, top + 34, 96, 50), "платежи"),
        Node("events", "Event store", Box.at(444, top + 130, 104, 58), "события", "ellipse", AMBER),
        Node("forecast", "Forecast", Box.at(448, top + 244, 96, 50), "прогноз спроса"),
        Node("bank", "Bank", Box.at(656, top + 34, 116, 50), "счета и выплаты", tone=PLUM),
        Node("lab", "Laboratory", Box.at(656, top + 134, 116, 50), "сертификаты", tone=PLUM),
        Node("stores", "Cold stores", Box.at(656, top + 244, 116, 50), "датчики холода", tone=PLUM),
    )


def _integration_links(top: float) -> tuple[Link, ...]:
    return (
        Link("shop:right", "orders:left", "order\nзаказ", TEAL),
        Link("farm:right", "catalogue:left", "harvest\nурожай", TEAL),
        Link("routing:left", "courier:right", "route\nмаршрут", NAVY),
        Link("orders:right", "payments:left", "pay", NAVY),
        Link("orders:bottom", "catalogue:top", "reserve", NAVY),
        Link("payments:right", "bank:left", "split\nразделить", NAVY, at=0.56),
        Link("catalogue:right", "events:left", tone=SLATE, dashed=True),
        Link("events:bottom", "forecast:top", "history", SLATE, dashed=True),
        Link("forecast:left", "routing:right", "demand", NAVY),
        Link("payments:bottom", "events:top", "paid", SLATE, dashed=True),
        Link("lab:left", "events:right", "passport\nпаспорт", PLUM, dashed=True, at=0.42),
        Link("stores:left", "forecast:right", "degrees\nградусы", PLUM, dashed=True, at=0.44),
        Link("catalogue:bottom", "routing:top", "picked\nсобрано", SLATE, dashed=True),
    )
