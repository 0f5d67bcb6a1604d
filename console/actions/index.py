"""What can be done in the index view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

ACTIONS: tuple[Action, ...] = (
    Action("index.query", "slash", N_("Query"), N_("Back to the query; down or enter goes to the hits")),
    Action("index.page", "enter", N_("Page"), N_("The hit's page, its place outlined; from the query: to the hits")),
    Action(
        "index.way", "tab", N_("Way"),
        N_("In the query: words and vectors, words alone, vectors alone; in the list: the next pane"),
        "spotter search WORDS --words-only",
    ),
    Action(
        "index.mode", "m", N_("Mix"), N_("Share the list anew: balanced, text first, pictures first, by score alone"),
        "spotter search WORDS --mode text",
    ),
    Action("index.facets", "f", N_("Facets"), N_("Counts by document, type, tag and run; enter narrows to one"),
           "spotter search WORDS --facets"),
    Action("index.why", "w", N_("Why"), N_("Under each hit, every factor of its place"), "spotter search WORDS --why"),
    Action("index.cards", "c", N_("By page"), N_("Gather the hits by page"), "spotter search WORDS --cards"),
    Action("index.similar", "s", N_("Similar"), N_("Look for records like this one: its words become the query")),
    Action("index.answer", "a", N_("Passages"), N_("The best passages, each opens its page; costs nothing"),
           "spotter answer QUESTION --model ''"),
    Action(
        "index.ask", "R", N_("Ask model"), N_("Let the model of the settings answer the query, with checked citations"),
        "spotter answer QUESTION", stake="money",
    ),
    Action("index.open", "o", N_("Open"), N_("Open the document at its page in a viewer"), "spotter open WORDS"),
    Action("index.collect", "space", N_("Collect"), N_("Collect this hit; e exports the collection"), in_footer=False),
    Action("index.clear", "x", N_("Clear"), N_("Empty the collection"), in_footer=False),
    Action("index.pictures", "i", N_("Pictures"),
           N_("Pictures of two pixels a cell, or none; graphics protocols of single terminals are not used"),
           in_footer=False),
    Action("index.run", "t", N_("Run"), N_("The run that made it"), "spotter watch RUN", in_footer=False),
    Action("index.log", "l", N_("Log"), N_("The run's log at the second in which it was made"), "spotter logs RUN",
           in_footer=False),
    Action("index.chart", "h", N_("Chart"), N_("What was measured at that second: GPU, throughput"), in_footer=False),
    Action("index.region", "b", N_("Region"), N_("Review its region"), "spotter review queue RUN region:ID",
           in_footer=False),
)  # fmt: skip
