"""What Verba's platform architecture playbook says: sentences, tables, layers, pieces of work."""

from __future__ import annotations

from drawing.graph import Entry
from drawing.grid import Canvas, Cell, Table
from drawing.style import (
    AMBER,
    CORAL,
    LEAF,
    NAVY,
    PLUM,
    SLATE,
    TEAL,
)

NAME = "Platform Architecture Playbook"

ABOUT = (
    "Verba connects **city farms**, **shops and kitchens**, **couriers** and **households** on one platform. A tomato "
    "picked at six in the morning is offered at seven, sold at eight and eaten at noon. This playbook says how the "
    "platform that makes this possible is structured, how we judge its health, and how we decide what to change next."
)
AUDIENCE = (
    "Read it if you design a service, own a part of the platform, or decide about money spent on it. Every chapter "
    "fits on one page, and every page can be put on a wall. Where a chapter asks you to fill something in, it says "
    "who should be in the room and how long it takes."
)
CHAPTERS = (
    ("2", "Platform Value Stack", "the five layers in which the platform creates value, and the pillars across them"),
    ("3", "Platform Architecture Canvas", "one sheet that describes a platform so that others can question it"),
    ("4", "Architecture assessment", "how mature each layer is today, where it should be, and what proves it"),
    ("5", "Platform roadmap", "what we build in the next four quarters, and who may change the plan"),
)

STACK_LEAD = (
    "The **Platform Value Stack** shows where value is created. It has five layers: **Engagement**, **Exchange**, "
    "**Intelligence**, **Data** and **Foundation**. Each layer offers something to the layer above it and may rely "
    "only on the layers below."
)
LAYERS = (
    ("engagement", "Engagement", "Shop app, farm app, courier app\nwhere people meet the platform", TEAL),
    ("exchange", "Exchange", "Catalogue, orders, payments, delivery\nwhat people do with each other", NAVY),
    ("intelligence", "Intelligence", "Demand forecast, matching, routing, pricing\nwhat the platform suggests", PLUM),
    ("data", "Data", "Events, product passports, customer profiles\nwhat the platform remembers", AMBER),
    ("foundation", "Foundation", "Compute, network, identity, delivery of code\nwhat everything stands on", SLATE),
)
PILLARS = ("Operational Excellence", "Security", "Reliability", "Cost Discipline")
STACK_READING = (
    "**Value flows upwards.** An event recorded in Data becomes a forecast in Intelligence, the forecast becomes an "
    "offer in Exchange, and the offer reaches a household through Engagement.",
    "**Feedback flows downwards.** A rating given in the shop app corrects the matching model and, in time, decides "
    "which events are worth recording at all.",
    "**Pillars cross every layer.** Nobody owns Security alone: each layer has its own answer to each pillar, and the "
    "assessment on page 4 asks for it.",
)
STACK_RULE = (
    "A service belongs to exactly one layer. If it seems to belong to two, it is two services, and the contract "
    "between them is missing."
)

CANVAS_LEAD = (
    "A **Platform Architecture Canvas** is a single sheet on which a team describes its platform: whom it serves, "
    "which interaction it makes easier, which layers and integrations it needs, how it is governed and what it earns. "
    "The canvas below is the one we use for Verba Fresh."
)
CANVAS = Canvas(
    title="Platform Architecture Canvas",
    note="Verba Fresh, version 4",
    column_shares=(1, 1.12, 1),
    row_shares=(1, 1.02, 0.92),
    cells=(
        Cell(
            0,
            0,
            "Participants",
            (
                "240 city farms",
                "1,900 shops and kitchens",
                "Couriers on bikes",
                "Households in four cities",
                "City offices that issue permits",
            ),
            tone=TEAL,
        ),
        Cell(
            1,
            0,
            "Core interaction",
            (
                "A farm offers a harvest",
                "A shop or household orders it",
                "A courier brings it within the day",
                "Both sides rate the exchange",
            ),
            tone=NAVY,
        ),
        Cell(
            2,
            0,
            "Value promise",
            (
                "Farms: sold before it wilts",
                "Buyers: known origin, fair price",
                "Couriers: full routes, early pay",
                "Cities: fewer vans, less waste",
            ),
            tone=TEAL,
        ),
        Cell(
            0,
            1,
            "Layers in use",
            (
                "Engagement: three apps",
                "Exchange: orders, split payments",
                "Intelligence: demand forecast",
                "Data: product passports",
            ),
            tone=PLUM,
        ),
        Cell(
            1,
            1,
            "Integrations",
            (
                "Banks: accounts and payouts",
                "Scales and cold stores: sensor events",
                "City: permits for loading bays",
                "Laboratory: certificates of harvests",
            ),
            tone=AMBER,
        ),
        Cell(
            2,
            1,
            "Governance",
            (
                "Platform Council, monthly",
                "Every layer has one owner",
                "Contracts reviewed in public",
                "Farms vote on fees, yearly",
            ),
            tone=SLATE,
        ),
        Cell(
            0,
            2,
            "Costs",
            ("Cold chain: 41 %", "Computing: 9 %", "Support: 12 %", "Delivery: 38 %"),
            tone=CORAL,
        ),
        Cell(
            1,
            2,
            "Revenue",
            ("4.5 % of each order", "Forecasts for farms, by subscription", "Deposits for packaging kept longer"),
            tone=LEAF,
        ),
        Cell(
            2,
            2,
            "Risks",
            (
                "One cold store per city",
                "Two farms give 18 % of supply",
                "Forecast fails on holidays",
                "One bank pays out everything",
            ),
            tone=CORAL,
        ),
    ),
)
CANVAS_STEPS = (
    "Gather one person for every participant group, one engineer for every layer in use, and the owner of the budget.",
    "Fill in the top row first and read it aloud. If two people describe different interactions, stop and settle that.",
    "Fill in the middle row from left to right; put a name beside every integration that does not exist yet.",
    "Let the bottom row be challenged by somebody who was not in the room. Keep the sheet for a year, then redo it.",
)

ASSESSMENT_LEAD = (
    "Twice a year the owner of each layer assesses it together with two engineers from other layers. The level is the "
    "highest one for which **all** evidence exists; a plan to do something is not evidence."
)
ASSESSMENT = Table(
    shares=(1.15, 2.2, 0.7, 0.72, 2.3, 1.0),
    header=("Layer", "What we look at", "Today", "Target", "Evidence", "Owner"),
    centred=(2, 3),
    tinted=(2, 3),
    rows=(
        (
            "**Engagement**",
            "Time from opening the app to an order; accessibility; languages",
            "4",
            "4",
            "Median 74 seconds over 30 days; audit passed in February",
            "A. Lind",
        ),
        (
            "**Exchange**",
            "Orders completed, payments split correctly, disputes settled",
            "3",
            "4",
            "99.2 % completed; 31 disputes open longer than a week",
            "M. Okoye",
        ),
        (
            "**Intelligence**",
            "Forecast error, share of suggestions accepted, drift watched",
            "2",
            "4",
            "Error 23 %; no alarm when the model drifts",
            "P. Sato",
        ),
        (
            "**Data**",
            "Events with an owner and a schema; age of the oldest unread event",
            "3",
            "4",
            "87 % of events owned; oldest unread event: 40 minutes",
            "R. Haddad",
        ),
        (
            "**Foundation**",
            "Time to restore, time to ship, cost of an idle hour",
            "4",
            "5",
            "Restored in 11 minutes in the March drill; 22 releases a day",
            "J. Novak",
        ),
    ),
)
LEVELS = {"2": CORAL, "3": AMBER, "4": LEAF, "5": TEAL}
SCALE = (
    Entry("fill", SLATE, "1  Done by chance"),
    Entry("fill", CORAL, "2  Repeated by the same people"),
    Entry("fill", AMBER, "3  Described and owned"),
    Entry("fill", LEAF, "4  Measured against a target"),
    Entry("fill", TEAL, "5  Improved by its own data"),
)
FINDINGS = (
    "**Intelligence holds the stack back.** Its forecast error of 23 % makes farms pick too much on Mondays and too "
    "little on Fridays. Drift alarms come first on the roadmap, better models second.",
    "**Exchange needs people, not code.** Disputes wait because one person may decide them. From April three people "
    "may, within a limit of 200 euros.",
    "**Foundation is ready for more.** The drill proved that a city can be moved to another region within a quarter "
    "of an hour, so the second region can be built early, ahead of the fifth city.",
)

ROADMAP_LEAD = (
    "The roadmap holds what the assessment calls for, placed on the layer that has to do the work. An arrow means that "
    "the later piece cannot start before the earlier one is in use."
)
QUARTERS = ("Q1", "Q2", "Q3", "Q4")
LANES = (("Engagement", TEAL), ("Exchange", NAVY), ("Intelligence", PLUM), ("Data", AMBER), ("Foundation", SLATE))
# key, title, lane, quarter, length in quarters
PIECES = (
    ("passport", "Product passport", 3, 0, 1.0),
    ("drift", "Drift alarms", 2, 0, 1.0),
    ("identity", "One identity", 4, 0, 1.0),
    ("disputes", "Disputes desk", 1, 0, 1.0),
    ("holiday", "Holiday forecast", 2, 1, 1.0),
    ("groups", "Group orders", 1, 2, 1.0),
    ("regions", "Second region", 4, 1, 1.0),
    ("origin", "Origin in the app", 0, 1, 1.0),
    ("prices", "Daily prices", 2, 2, 1.0),
    ("fifth", "Fifth city opens", 0, 3, 1.0),
    ("lake", "Shared event store", 3, 2, 1.0),
)
DEPENDENCIES = (
    ("drift", "holiday"),
    ("holiday", "prices"),
    ("identity", "regions"),
    ("passport", "origin"),
    ("passport", "lake"),
    ("disputes", "groups"),
    ("regions", "fifth"),
)
ROADMAP_CHANGE = (
    "A change to the platform roadmap is approved by the **Platform Council**: the owners of the five layers and the "
    "finance partner, by majority, at the meeting on the first Tuesday of the month. Between meetings the **chief "
    "architect** alone may approve a change that moves one piece by no more than a quarter and costs nothing extra."
)
ROADMAP_STEPS = (
    "The owner of the layer writes the proposal on one page: what moves, why, which arrows break.",
    "Owners of every layer that an arrow touches answer within five working days.",
    "The Council decides, the decision is published the same day, and the roadmap gets a new version number.",
)


CANVAS_HINT = (
    "A canvas is finished when a stranger can name the core interaction, the owner of every layer in use and the first "
    "thing that will break, after five minutes and without asking."
)
DECISIONS = Table(
    shares=(0.85, 0.65, 3.2, 1.3),
    header=("Date", "Version", "Change", "Approved by"),
    rows=(
        ("4 February", "3.0", "Drift alarms moved from Q3 to Q1 after the assessment", "Platform Council"),
        ("20 February", "3.1", "Group orders moved from Q2 to Q3, no extra cost", "Chief architect"),
        ("4 March", "3.2", "Second region added, 310,000 euros over two quarters", "Platform Council"),
    ),
)
